"""Benchmarks: ``python -m tests.evidence.bench NAME [options]``. Measured and printed, never asserted."""
