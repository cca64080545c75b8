"""The long runs of the adapters: ``python -m tests.evidence.soak``; no part of the test suite."""
