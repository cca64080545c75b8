"""Tests of Django that cannot pass in a mode, and why."""

from __future__ import annotations

__all__ = ["EXPECTED", "unexpected"]

_INTEGER = "The test passes an integer as `CONTENT_LENGTH`. WSGI allows only strings in the environ."

#: By mode and test: the reason.
EXPECTED: dict[str, dict[str, str]] = {
    "object": {},
    "threads": {},
    "adapters": {
        "handlers.test_exception.ExceptionHandlerTests.test_data_upload_max_memory_size_exceeded": _INTEGER,
        "handlers.test_exception.ExceptionHandlerTests.test_data_upload_max_number_fields_exceeded": _INTEGER,
        "handlers.test_exception.ExceptionHandlerTests.test_data_upload_max_number_files_exceeded": _INTEGER,
        "wsgi.tests.WSGITest.test_file_wrapper": (
            "The test reads the block size of the file wrapper. Django sets 4,096 bytes, the adapter 65,536."
        ),
        "wsgi.tests.WSGITest.test_get_wsgi_application": (
            "The test compares header names by case. ASGI has them in lower case; HTTP does not distinguish case."
        ),
        "servers.tests.LiveServerInMemoryDatabaseLockTest.test_in_memory_database_lock": (
            "The test lends a database in memory to the thread of the server. The adapter uses threads of its own."
        ),
    },
}


def unexpected(mode: str, native: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return each difference from the native run that has no reason, and each reason that is not needed any more."""
    different = {name: found.get(name, "not run") for name in native if found.get(name) != native[name]}
    different |= {name: result for name, result in found.items() if name not in native}
    known = EXPECTED[mode]
    return [
        *(
            f"{mode}: {name}: {native.get(name)}, now {result}"
            for name, result in different.items()
            if name not in known
        ),
        *(f"{mode}: {name} passes: remove it from EXPECTED" for name in known if name not in different),
    ]
