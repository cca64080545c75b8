"""What other middleware do, and what ours does, on the same cases.

A case is an application, requests, the rule with its source, and a judge. Each peer in it stands in its best
documented configuration, in the same harness as ours. ``python -m tests.evidence.anchors`` runs all of them and
writes ``docs/explanation/compared-with-others.md``; the suite runs ours on every case, and the peers that it has.
"""
