"""The long runs of the adapters: ``python -m tests.soak``; no part of the test suite."""
