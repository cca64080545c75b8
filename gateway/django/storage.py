"""Storages for ``collectstatic`` that write compressed files next to the collected ones.

Name one in the settings, and `gateway.middleware.static_files.StaticFiles`, or NGINX with ``gzip_static``, sends the
compressed files without compressing at each request::

    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "gateway.django.storage.CompressedManifestStaticFilesStorage"},
    }

Sources: Django "The staticfiles app" (``post_process``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.django._precompress import INCOMPRESSIBLE, precompress

__all__ = ["CompressedManifestStaticFilesStorage", "CompressedStaticFilesStorage"]

if TYPE_CHECKING:
    # Django has no types. With its classes as base classes, no attribute would have a type.
    class _Storage:
        def path(self, name: str) -> str: ...

    class StaticFilesStorage(_Storage): ...

    class ManifestStaticFilesStorage(_Storage): ...
else:
    from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, StaticFilesStorage

    _Storage = object


class _CompressedStorage(_Storage):
    """Compresses what was collected, after the storage that it is mixed into has processed it."""

    incompressible: ClassVar[frozenset[str]] = INCOMPRESSIBLE
    """Endings of files that are compressed already, in lower case, with the dot."""

    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[tuple[str, str | None, Any]]:
        """Yield what ``collectstatic`` reports: old name, new name, and whether it was written or the error."""
        if dry_run:
            return
        names = set(paths)
        process: Any = getattr(super(), "post_process", None)
        for name, new_name, processed in () if process is None else process(paths, dry_run, **options):
            if new_name and not isinstance(processed, Exception):
                names.add(new_name)
            yield name, new_name, processed
        yield from self._compress(sorted(names))

    def _compress(self, names: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
        wanted = [name for name in names if not name.lower().endswith(tuple(self.incompressible))]
        with ThreadPoolExecutor() as threads:  # the compressors release the interpreter's lock
            for name, suffixes in zip(wanted, threads.map(precompress, map(self.path, wanted)), strict=True):
                for suffix in suffixes:
                    yield name, name + suffix, True


class CompressedStaticFilesStorage(_CompressedStorage, StaticFilesStorage):
    """Django's ``StaticFilesStorage``, and compressed files next to the collected ones."""


class CompressedManifestStaticFilesStorage(_CompressedStorage, ManifestStaticFilesStorage):
    """Django's ``ManifestStaticFilesStorage``, and compressed files next to the collected ones and the hashed ones."""
