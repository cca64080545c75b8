"""Compare each response of real applications, native and adapted: ``python -m tests.evidence.applications``."""
