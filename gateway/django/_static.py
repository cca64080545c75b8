"""The static files of a Django project, from the folder that ``collectstatic`` fills.

Django's manifest knows which names contain a hash of the content. Those are cached for a year.

Sources: Django "The staticfiles app"; RFC 8246 (immutable).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django import conf  # not its lazy settings: a tool that looks into this module would load them
from django.contrib.staticfiles import storage

from gateway.errors import ConfigurationError
from gateway.middleware._static_variant import has_hash_in_name
from gateway.middleware.static_files import StaticFiles

__all__ = ["collected", "static_files", "without_folder"]


def static_files() -> StaticFiles:
    """Return the middleware that serves ``STATIC_ROOT`` below ``STATIC_URL``; Django must be set up.

    Names in the manifest of the storage are cached for a year, and so are other names with a hash. Compressed files
    next to a file are sent to clients that accept them. To change an option, use ``dataclasses.replace``.

    Raises:
        ConfigurationError: ``STATIC_ROOT`` or ``STATIC_URL`` is not set, or the folder does not exist.
    """
    if not conf.settings.STATIC_ROOT or not conf.settings.STATIC_URL:
        name = "STATIC_URL" if conf.settings.STATIC_ROOT else "STATIC_ROOT"
        raise ConfigurationError(
            f'the static files cannot be served, because the setting {name} is not set; write STATIC_URL = "static/" '
            f'and STATIC_ROOT = BASE_DIR / "staticfiles", and run: python manage.py collectstatic'
        )
    if not collected():
        raise ConfigurationError(without_folder())
    return StaticFiles(folders={_prefix(): conf.settings.STATIC_ROOT}, immutable=_immutable())


def collected() -> bool:
    """Return whether the folder of the collected files exists."""
    return bool(conf.settings.STATIC_ROOT) and Path(conf.settings.STATIC_ROOT).is_dir()


def without_folder() -> str:
    """Describe a missing folder of the collected files."""
    return (
        f"the static files are not served, because STATIC_ROOT = {str(conf.settings.STATIC_ROOT)!r} is not a folder; "
        "run: python manage.py collectstatic"
    )


def _prefix() -> str:
    """Return the path of ``STATIC_URL`` below the mount point, which may be on another host (a CDN)."""
    url: str = conf.settings.STATIC_URL
    path = urlsplit(url).path or "/"
    # Django has put this setting in front of a relative STATIC_URL, and requests come without it.
    script_name: str | None = conf.settings.FORCE_SCRIPT_NAME
    mount = (script_name or "").rstrip("/")
    if mount and path.startswith(mount + "/"):
        path = path.removeprefix(mount)
    return path if path.startswith("/") else f"/{path}"


def _immutable() -> Callable[[str], bool]:
    configured: Any = storage.staticfiles_storage
    # Maps names to names with a hash, if the storage has a manifest.
    hashed: dict[str, str] = getattr(configured, "hashed_files", {})
    names = frozenset(hashed.values())
    return lambda path: path in names or has_hash_in_name(path)
