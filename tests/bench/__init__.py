"""Benchmarks: ``python -m tests.bench NAME [options]``. Measured and printed, never asserted."""
