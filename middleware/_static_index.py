"""The files that may be served: found on disk, with their heads made ready.

An index is built once, where a middleware is; a request is then a look-up in a dictionary. With ``autorefresh`` each
request asks the disk instead. Nothing is in the index that lies outside the folder, also by a symbolic link.

IO: ``stat`` and directory listings, and small files are read once, where they are kept. Source of the heads: RFC 9110
sections 8.8 (validators), 14.3 (Accept-Ranges), RFC 8246 (immutable).
"""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.headers import Header
from gateway.middleware._static_paths import safe_segments
from gateway.middleware._validators import ETag, format_http_date

__all__ = ["SMALL", "Entry", "Index", "StaticOptions", "Variant", "keep_small"]

#: Up to this size, in bytes, a file is kept in memory: sending it from there costs less than to open it.
SMALL = 64 * 1024

#: Suffix of a precompressed file, by coding, in the server's order of preference.
SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
_HASHED = re.compile(r"[.-](?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,64}\.[^/]+$")
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


@dataclass(frozen=True)
class StaticOptions:
    """What the index has to know of the middleware's options."""

    index_file: str | None = None
    max_age: int = 60
    immutable: Callable[[str], bool] | None = None
    charset: str = "utf-8"
    precompressed: bool = True
    dotfiles: bool = False
    headers: tuple[Header, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One representation of a file: as it is, or precompressed."""

    path: str
    size: int
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


@dataclass(frozen=True)
class Entry:
    """One URL: its representations by coding (``""`` for none), or the place of its folder."""

    variants: Mapping[str, Variant]
    codings: tuple[str, ...] = ()
    redirect: bool = False


class Index:
    """The files below one folder, by the path below its prefix.

    Args:
        folder: The folder; it need not exist with ``autorefresh``.
        options: How heads are made.
    """

    def __init__(self, folder: Path, options: StaticOptions) -> None:
        self._root = Path(os.path.realpath(folder))
        self._options = options
        self._entries: dict[str, Entry] = {}

    def scan(self) -> None:
        """Find every file; called once, before the first look-up."""
        for relative in self._walk():
            entry = self.find(relative)
            if entry is not None:
                self._entries[relative] = entry
                if self._options.index_file is not None and relative.endswith("/"):
                    self._entries[relative[:-1]] = Entry({}, redirect=True)

    def get(self, relative: str) -> Entry | None:
        """Look a path up in what was found."""
        return self._entries.get(relative)

    def __len__(self) -> int:
        return len(self._entries)

    def variants(self) -> Iterator[Variant]:
        """Yield every representation that was found."""
        for entry in self._entries.values():
            yield from entry.variants.values()

    def keep(self, paths: Mapping[str, bytes]) -> None:
        """Keep the content of files, by their path."""
        for relative, entry in self._entries.items():
            variants = {
                coding: replace(variant, content=paths.get(variant.path)) for coding, variant in entry.variants.items()
            }
            self._entries[relative] = replace(entry, variants=variants)

    def _walk(self) -> Iterator[str]:
        """Yield each file's path, and each folder's with its final "/"."""
        pending = [""]
        while pending:
            folder = pending.pop()
            yield folder
            try:
                entries = sorted(os.scandir(self._root / folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                relative = folder + entry.name
                if entry.is_symlink() and entry.is_dir():
                    # Followed inside the folder only, and not into one of its own parents, which would never end.
                    real = os.path.realpath(entry.path)
                    if self._holds(real) and not os.path.realpath(self._root / folder).startswith(real):
                        pending.append(relative + "/")
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(relative + "/")
                else:
                    yield relative

    def find(self, relative: str) -> Entry | None:
        """Ask the disk for one path; None where there is no file to serve."""
        segments = safe_segments(relative, dotfiles=self._options.dotfiles)
        if segments is None:
            return None
        if not segments[-1]:
            if self._options.index_file is None:
                return None
            segments[-1] = self._options.index_file
        path = self._root.joinpath(*segments)
        found = self._stat(path)
        if found is None:
            return None
        if stat.S_ISDIR(found.st_mode):
            # Without the final "/" the relative links of its index would lead elsewhere.
            has_index = self._options.index_file is not None and self._stat(path / self._options.index_file) is not None
            return Entry({}, redirect=True) if has_index else None
        if not stat.S_ISREG(found.st_mode):
            return None
        others = {}
        if self._options.precompressed:
            for coding, suffix in SUFFIXES.items():
                compressed = self._stat(path.with_name(path.name + suffix))
                # One made from an older file would be another text: it counts only if it is at least as new.
                if (
                    compressed is not None
                    and stat.S_ISREG(compressed.st_mode)
                    and compressed.st_mtime_ns >= found.st_mtime_ns
                    and compressed.st_size < found.st_size
                ):
                    others[coding] = compressed
        variants = {"": self._variant(path, found, "", varies=bool(others))}
        for coding, compressed in others.items():
            variants[coding] = self._variant(path, compressed, coding, varies=True)
        return Entry(variants, tuple(others))

    def _holds(self, real: str) -> bool:
        """Tell whether a path without symbolic links is the folder or lies below it."""
        root = str(self._root)
        return real == root or real.startswith(root.rstrip(os.sep) + os.sep)

    def _stat(self, path: Path) -> os.stat_result | None:
        """Stat a path that stays inside the folder at every step, with each symbolic link followed."""
        try:
            steps = [path, *path.parents]
            for step in steps[: steps.index(self._root)]:
                if not self._holds(os.path.realpath(step, strict=True)):
                    return None
            return path.stat()
        except (OSError, ValueError):
            return None

    def _variant(self, path: Path, found: os.stat_result, coding: str, *, varies: bool) -> Variant:
        options = self._options
        media_type = _media_type(path, options)
        etag = ETag(f"{found.st_mtime_ns:x}-{found.st_size:x}" + (f"-{coding}" if coding else ""))
        immutable = options.immutable or (lambda name: _HASHED.search(name) is not None)
        forever = immutable(path.relative_to(self._root).as_posix())
        cache = "public, max-age=31536000, immutable" if forever else f"public, max-age={options.max_age}"
        validators = [Header("ETag", str(etag)), Header("Cache-Control", cache)]
        if varies:
            validators.append(Header("Vary", "Accept-Encoding"))
        own = {header.key for header in options.headers}
        validators = [header for header in validators if header.key not in own] + list(options.headers)
        head = [
            Header("Content-Type", media_type),
            Header("Content-Length", str(found.st_size)),
            Header("Last-Modified", format_http_date(found.st_mtime)),
            Header("Accept-Ranges", "bytes"),
            Header("X-Content-Type-Options", "nosniff"),
            *([Header("Content-Encoding", coding)] if coding else []),
        ]
        head = [header for header in head if header.key not in own]
        real = str(path) + SUFFIXES.get(coding, "")
        return Variant(real, found.st_size, int(found.st_mtime), etag, (*head, *validators), tuple(validators))


def keep_small(indexes: Iterable[Index], most_bytes: int) -> None:
    """Read small files into memory, the smallest first, of all indexes together at most so many bytes."""
    indexes = [*indexes]
    sizes = {variant.path: variant.size for index in indexes for variant in index.variants() if variant.size <= SMALL}
    kept: dict[str, bytes] = {}
    for path, size in sorted(sizes.items(), key=lambda item: item[1]):
        if size > most_bytes:
            break
        try:
            content = Path(path).read_bytes()
        except OSError:
            continue
        if len(content) == size:  # else it is being written: what is sent must be what its head says
            kept[path] = content
            most_bytes -= size
    for index in indexes:
        index.keep(kept)


def _media_type(path: Path, options: StaticOptions) -> str:
    """Name the media type of a file by its ending, with the charset where it is text."""
    ending = path.suffix.lower()
    media_type = options.types.get(ending) or _TYPES.get(ending)
    if media_type is None:
        guessed, coding = mimetypes.guess_type(path.name)
        # A file that is compressed itself is sent as that, not as what it holds.
        media_type = guessed if guessed and not coding else "application/octet-stream"
    if (media_type.startswith("text/") or media_type in _TEXT) and "charset" not in media_type:
        return f"{media_type}; charset={options.charset}"
    return media_type
