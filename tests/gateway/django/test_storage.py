"""Compressed files next to collected ones."""

from __future__ import annotations

import gzip
import os
from io import StringIO
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from django.core.management import call_command
from django.test import override_settings

from gateway.django import get_application
from gateway.django._precompress import precompress
from gateway.testing import Client
from tests import django_site

CSS = b"body { color: black; }\n" * 100
STORAGE = "gateway.django.storage.Compressed{}StaticFilesStorage"


def _opened(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".br":
        return bytes(brotli.decompress(data))
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _settings(tmp_path: Path, kind: str, **more: Any) -> override_settings:
    django_site.configure()
    (tmp_path / "assets/css").mkdir(parents=True, exist_ok=True)
    (tmp_path / "assets/css/site.css").write_bytes(CSS + b".logo { background: url(logo.svg); }\n")
    (tmp_path / "assets/css/logo.svg").write_bytes(b"<svg/>")
    (tmp_path / "assets/photo.jpg").write_bytes(CSS)
    return override_settings(
        INSTALLED_APPS=["django.contrib.staticfiles"],
        STATIC_URL="static/",
        STATIC_ROOT=tmp_path / "static",
        STATICFILES_DIRS=[tmp_path / "assets"],
        STORAGES={"staticfiles": {"BACKEND": STORAGE.format(kind)}},
        ALLOWED_HOSTS=["*"],
        **more,
    )


@pytest.mark.parametrize("kind", ["", "Manifest"])
def test_collectstatic_writes_every_coding(kind: str, tmp_path: Path) -> None:
    out = StringIO()
    with _settings(tmp_path, kind):
        call_command("collectstatic", interactive=False, stdout=out)
        static = tmp_path / "static"
        hashed = next(static.glob("css/site.*.css")).name if kind else "site.css"
        for name in {"site.css", hashed}:
            for suffix in (".gz", ".br", ".zst"):
                assert _opened(static / f"css/{name}{suffix}") == (static / f"css/{name}").read_bytes()
        assert not [name for name in _names(static) if name.startswith(("photo.jpg.", "css/logo.svg."))]
        application = get_application()
    assert "post-processed" in out.getvalue()
    with Client(application, interface="asgi") as client:
        for coding in ("gzip", "br", "zstd"):
            response = client.get(f"/static/css/{hashed}", headers={"accept-encoding": coding})
            assert response.headers["content-encoding"] == coding
            assert ("immutable" in response.headers["cache-control"]) is bool(kind)


def test_a_second_run_writes_only_what_changed(tmp_path: Path) -> None:
    with _settings(tmp_path, ""):
        call_command("collectstatic", interactive=False, verbosity=0)
        compressed = tmp_path / "static/css/site.css.gz"
        before = compressed.stat()
        call_command("collectstatic", interactive=False, verbosity=0)
        assert compressed.stat() == before
        source = tmp_path / "assets/css/site.css"
        source.write_bytes(CSS + b"changed")
        later = source.stat().st_mtime + 10
        os.utime(source, (later, later))
        call_command("collectstatic", interactive=False, verbosity=0)
        assert _opened(compressed) == CSS + b"changed"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    with _settings(tmp_path, "Manifest"):
        call_command("collectstatic", interactive=False, verbosity=0, dry_run=True)
    assert not (tmp_path / "static").exists()


def test_a_compressed_file_that_is_not_smaller_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.css"
    path.write_bytes(CSS)
    assert precompress(path) == [".zst", ".br", ".gz"]
    assert precompress(path) == []
    path.write_bytes(b"x")
    os.utime(path, ns=(0, 1))
    assert precompress(path) == []
    assert _names(tmp_path) == {"a.css"}


def test_a_failed_write_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("no space")

    path = tmp_path / "a.css"
    path.write_bytes(CSS)
    monkeypatch.setattr(os, "utime", fails)
    with pytest.raises(OSError, match="no space"):
        precompress(path)
    assert _names(tmp_path) == {"a.css"}


def test_a_compressed_file_has_the_mode_of_its_original(tmp_path: Path) -> None:
    path = tmp_path / "a.css"
    path.write_bytes(CSS)
    path.chmod(0o640)
    precompress(path)
    assert (tmp_path / "a.css.gz").stat().st_mode & 0o777 == 0o640
