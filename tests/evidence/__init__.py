"""Programs about other software, and about the speed and the endurance of the package, with the tests of the programs.

The default run of the suite leaves this folder out: ``pytest tests/evidence -m "slow or not slow"`` runs its tests.
`tests/test_evidence_pages.py` is in the default run: it compares the pages in docs/explanation with the programs.
"""
