"""Describe a file: media type, validators, caching, and the resulting headers of a 200.

The entity tag is the hash of the content if the content was read. The modification time does not distinguish versions,
because reproducible builds give all files the same time.

Pure, but for the clock. Sources: RFC 9110 sections 8.8 (validators), 14.3 (Accept-Ranges); RFC 8246 (immutable).
"""

from __future__ import annotations

import mimetypes
import os
import posixpath
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.headers import Header
from gateway.middleware._validators import ETag, format_http_date

__all__ = ["SUFFIXES", "Found", "Stamp", "StaticEntry", "StaticOptions", "Variant", "describe", "has_hash_in_name"]

#: Suffix of a precompressed file, by coding, in the server's order of preference.
SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
#: A hash contains a letter and a digit, because only digits may be a date, and only letters may be a word.
_HASH_IN_NAME = re.compile(r"[.-](?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,64}\.[^/]+$")
_TEXT = ("application/javascript", "application/json", "application/manifest+json", "application/xml", "image/svg+xml")
_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp4": "video/mp4",
    ".otf": "font/otf",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}


def has_hash_in_name(path: str) -> bool:
    """Return whether a file's name contains a hash: 8 to 64 hexadecimal digits, letters among them, before the ending.

    >>> has_hash_in_name("app.3f2a90c1.js"), has_hash_in_name("report-20240131.pdf")
    (True, False)
    """
    return _HASH_IN_NAME.search(path) is not None


@dataclass(frozen=True)
class StaticOptions:
    """The options of `StaticFiles` for the choice and the description of files."""

    index_file: str | None = None
    max_age: int = 60
    immutable: Callable[[str], bool] = has_hash_in_name
    charset: str = "utf-8"
    precompressed: bool = True
    dotfiles: bool = False
    headers: tuple[Header, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)


class Stamp(NamedTuple):
    """The version of a file. It changes if another file takes the path, or if the content changes."""

    size: int
    modified_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return tuple.__new__(cls, (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino))

    def is_near(self, other: Stamp) -> bool:
        """Return whether it is the same file, even if it has changed, or the same size and time.

        The second test is for file systems that do not keep the inode of a file.
        """
        return self[2:] == other[2:] or self[:2] == other[:2]


@dataclass(slots=True)
class Found:
    """A file on disk that is not described yet.

    Attributes:
        path: Absolute path.
        stamp: The version of the file.
        compressed: Its precompressed forms by coding.
        digest: Hash of the content, or None if the content was not read.
        content: The content, or None if it is not kept in memory.
    """

    path: str
    stamp: Stamp
    compressed: dict[str, Found] = field(default_factory=dict["str", "Found"])
    digest: str | None = None
    content: bytes | None = None


@dataclass(frozen=True)
class Variant:
    """One representation of a file: plain or precompressed."""

    path: str
    stamp: Stamp
    digest: str | None
    modified: int
    etag: ETag
    head: tuple[Header, ...]
    """Every field of a 200, ready."""
    validators: tuple[Header, ...]
    """The fields that a 304 carries."""
    content: bytes | None = field(default=None, repr=False)
    """The bytes, where they are kept."""
    asgi: list[tuple[bytes, bytes]] = field(init=False, repr=False)
    """The head in one spelling, to be copied; and in the other."""
    wsgi: list[tuple[str, str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "asgi", [header.asgi for header in self.head])
        object.__setattr__(self, "wsgi", [header.wsgi for header in self.head])

    @property
    def size(self) -> int:
        return self.stamp.size


@dataclass(frozen=True)
class StaticEntry:
    """One URL: its representations by coding (``""`` for none), or a redirect to the folder's URL."""

    variants: Mapping[str, Variant]
    codings: tuple[str, ...] = ()
    redirect: bool = False


def describe(found: Found, relative: str, coding: str, options: StaticOptions, *, varies: bool) -> Variant:
    """Describe one representation of a file.

    Args:
        found: The file.
        relative: Its path below the served folder, with "/".
        coding: Its content coding, ``""`` for none.
        options: The middleware's options.
        varies: Whether the file has other representations.
    """
    stamp = found.stamp
    own = {header.key for header in options.headers}
    plain = relative.removesuffix(SUFFIXES[coding]) if coding else relative
    etag = ETag(found.digest or f"{stamp.modified_ns:x}-{stamp.size:x}")
    # RFC 9110 section 8.8.2.1: Last-Modified must not be later than the response, so a time in the future is cut.
    modified = max(0, min(stamp.modified_ns // 10**9, int(time.time())))
    forever = options.immutable(plain)
    cache = "public, max-age=31536000, immutable" if forever else f"public, max-age={options.max_age}"
    validators = [Header("ETag", str(etag)), Header("Cache-Control", cache)]
    if varies:
        validators.append(Header("Vary", "Accept-Encoding"))
    validators = [header for header in validators if header.key not in own] + list(options.headers)
    head = [
        Header("Content-Type", _media_type(plain, options)),
        Header("Content-Length", str(stamp.size)),
        Header("Last-Modified", format_http_date(modified)),
        Header("Accept-Ranges", "bytes"),
        Header("X-Content-Type-Options", "nosniff"),
        *([Header("Content-Encoding", coding)] if coding else []),
    ]
    head = [header for header in head if header.key not in own]
    return Variant(
        path=found.path,
        stamp=stamp,
        digest=found.digest,
        modified=modified,
        etag=etag,
        head=(*head, *validators),
        validators=tuple(validators),
        content=found.content,
    )


def _media_type(path: str, options: StaticOptions) -> str:
    """Return the media type of a file by its ending, with the charset if it is text."""
    name = path.rpartition("/")[2]
    ending = posixpath.splitext(name)[1].lower()
    media_type = options.types.get(ending) or _TYPES.get(ending)
    if media_type is None:
        guessed, coding = mimetypes.guess_type(name)
        # A compressed file (x.tar.gz) is sent with the type of the archive, not of its content.
        media_type = guessed if guessed and not coding else "application/octet-stream"
    if (media_type.startswith("text/") or media_type in _TEXT) and "charset" not in media_type:
        return f"{media_type}; charset={options.charset}"
    return media_type
