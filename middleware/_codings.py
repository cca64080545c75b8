"""Content codings: choose one for a client, and the stream encoders for gzip, br and zstd.

The choice compares ``Accept-Encoding`` with the codings that the server can offer. ``Compression`` and the
precompressed files of ``StaticFiles`` share it. It compares tokens whole and without case, never as substrings.
``q=0`` refuses a coding, and ``*`` covers every coding that is not named. The outcome is never 406: if no offered
coding is acceptable, the body is sent without a coding.

An encoder takes bytes and returns bytes. ``flush`` returns everything that the encoder has taken so far, so an event
stream is not delayed. A middleware looks for the installed libraries once, when it is built.

Sources: RFC 9110 sections 8.4.1 (codings, ``x-gzip``), 12.4.2 (quality values), 12.5.3 (Accept-Encoding); RFC 1952
(gzip), RFC 7932 (brotli), RFC 8878 section 3.1.1 (zstd); RFC 9659 (the window of zstd in HTTP).
"""

from __future__ import annotations

import importlib.util
import re
import secrets
import sys
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Protocol

from gateway._bounds import BOUNDS
from gateway.errors import ConfigurationError, MissingExtraError

__all__ = [
    "CODINGS",
    "DEFAULT_LEVELS",
    "ZSTD_HEADER",
    "ZSTD_WINDOW",
    "Encoder",
    "available",
    "choose_coding",
    "encode",
    "encoder_factory",
    "parse_accept_encoding",
    "zstd_window",
]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ELEMENT = re.compile(rf"[ \t]*({_TOKEN})(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?[ \t]*")
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}
#: Longer values bypass the cache, so that a client cannot fill it with them. Browsers send few values, all short.
_LONG = 128
_LONGEST = BOUNDS["accept-encoding"].characters
CODINGS = ("zstd", "br", "gzip")
DEFAULT_LEVELS = {"gzip": 5, "br": 4, "zstd": 3}
_LEVELS = {"gzip": range(1, 10), "br": range(12), "zstd": range(1, 23)}
#: Largest window of a zstd frame that an HTTP client must accept, in bytes; browsers refuse larger ones (RFC 9659).
ZSTD_WINDOW = 8 * 2**20
_ZSTD_WINDOW_LOG = 23
#: The library chooses larger windows from this level on.
_ZSTD_LARGE = 20
#: Number of bytes at the beginning of a file that hold the whole header of its first zstd frame.
ZSTD_HEADER = 18


class Encoder(Protocol):
    """The encoder of one body."""

    def push(self, data: bytes) -> bytes:
        """Take bytes and return the encoded bytes that are ready; b"" if there are none."""
        ...

    def flush(self) -> bytes:
        """Return everything taken so far, in a form that the client can decode."""
        ...

    def finish(self) -> bytes:
        """End the stream and return the rest."""
        ...


class _Gzip:
    """gzip with our own header: without time and system, and optionally with a file name of random length.

    The name is padding: an attacker who measures lengths (BREACH) sees a different length each time.
    """

    __slots__ = ("_crc", "_deflate", "_head", "_size")

    def __init__(self, level: int, padding: int) -> None:
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._size = 0
        name = b"a" * secrets.randbelow(padding + 1) + b"\0" if padding else b""
        self._head = b"\x1f\x8b\x08" + (b"\x08" if name else b"\0") + b"\0\0\0\0\0\xff" + name

    def _out(self, data: bytes) -> bytes:
        if self._head:
            data, self._head = self._head + data, b""
        return data

    def push(self, data: bytes) -> bytes:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        ready = self._deflate.compress(data)
        return self._out(ready) if ready else b""

    def flush(self) -> bytes:
        return self._out(self._deflate.flush(zlib.Z_SYNC_FLUSH))

    def finish(self) -> bytes:
        tail = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._out(self._deflate.flush() + tail)


class _Brotli:
    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        import brotli

        self._compressor = brotli.Compressor(quality=level)

    def push(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data))

    def flush(self) -> bytes:
        return bytes(self._compressor.flush())

    def finish(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        import zstandard

        if level < _ZSTD_LARGE:
            compressor = zstandard.ZstdCompressor(level=level)
        else:
            capped = zstandard.ZstdCompressionParameters.from_level(level, window_log=_ZSTD_WINDOW_LOG)
            compressor = zstandard.ZstdCompressor(compression_params=capped)
        self._compressor = compressor.compressobj()

    def push(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        import zstandard

        return self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _StandardZstd:
    """zstd of the standard library (Python 3.14 and newer)."""

    __slots__ = ("_compressor", "_mode")

    def __init__(self, level: int) -> None:
        module = importlib.import_module("compression.zstd")
        which = module.CompressionParameter
        capped = {which.window_log: _ZSTD_WINDOW_LOG} if level >= _ZSTD_LARGE else {}
        self._compressor = module.ZstdCompressor(options={which.compression_level: level, **capped})
        self._mode = module.ZstdCompressor

    def push(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data))

    def flush(self) -> bytes:
        return bytes(self._compressor.flush(self._mode.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._compressor.flush(self._mode.FLUSH_FRAME))


def zstd_window(start: bytes) -> int | None:
    """Return the window size of a zstd frame: the memory that a client needs to decode it.

    Args:
        start: The first bytes of the frame: at least :data:`ZSTD_HEADER`, or the whole frame if it is shorter.

    Returns:
        Size in bytes. None if this is not the start of a zstd frame that can be decoded without a dictionary.

    >>> zstd_window(bytes.fromhex("28b52ffd 00 68")), zstd_window(b"text")
    (8388608, None)
    """
    if start[:4] != b"\x28\xb5\x2f\xfd" or len(start) < 6:
        return None
    descriptor = start[4]
    if descriptor & 0b11:  # a dictionary id follows, so the frame needs a dictionary
        return None
    if not descriptor & 0b100000:
        base = 1 << (10 + (start[5] >> 3))
        return base + base // 8 * (start[5] & 7)
    # A single segment: the client keeps the whole content, so the content size replaces the window size.
    size_bytes = (1, 2, 4, 8)[descriptor >> 6]
    size = start[5 : 5 + size_bytes]
    if len(size) < size_bytes:
        return None
    return int.from_bytes(size, "little") + (256 if size_bytes == 2 else 0)


def available() -> tuple[str, ...]:
    """Name the codings whose libraries are installed, best first."""
    zstd = sys.version_info >= (3, 14) or importlib.util.find_spec("zstandard") is not None
    brotli = importlib.util.find_spec("brotli") is not None
    return (*(("zstd",) if zstd else ()), *(("br",) if brotli else ()), "gzip")


def encoder_factory(coding: str, level: int | None = None, *, padding: int = 0) -> Callable[[], Encoder]:
    """Prepare encoders of one coding.

    Args:
        coding: "gzip", "br" or "zstd".
        level: Level on the library's own scale; None for a level that suits a server (gzip 5, br 4, zstd 3).
        padding: Maximum number of random bytes in a gzip header, against BREACH. The other codings have no padding.

    Raises:
        ConfigurationError: The coding or the level does not exist.
        MissingExtraError: The coding's library is not installed.
    """
    if coding not in CODINGS:
        raise ConfigurationError(f"unknown content coding {coding!r}; possible codings: {', '.join(CODINGS)}")
    chosen = DEFAULT_LEVELS[coding] if level is None else level
    if chosen not in _LEVELS[coding]:
        scale = _LEVELS[coding]
        raise ConfigurationError(f"the level of {coding} must be from {scale.start} to {scale.stop - 1}, got {level!r}")
    if coding not in available():
        raise MissingExtraError(
            f"the content coding {coding}", "compression", package={"br": "brotli", "zstd": "zstandard"}[coding]
        )
    if coding == "gzip":
        return partial(_Gzip, chosen, padding)
    if coding == "br":
        return partial(_Brotli, chosen)
    if sys.version_info >= (3, 14):
        return partial(_StandardZstd, chosen)
    return partial(_Zstd, chosen)


def encode(coding: str, content: bytes, level: int) -> bytes:
    """Encode a whole content at once.

    zstd then knows the size and takes small tables, so a small file needs a tenth of the time of a stream.

    Args:
        coding: "gzip", "br" or "zstd".
        content: The bytes to encode.
        level: Level on the library's own scale; for zstd at most 19.

    Raises:
        ConfigurationError: The coding or the level does not exist.
        MissingExtraError: The coding's library is not installed.
    """
    encoder = encoder_factory(coding, level)()
    if coding != "zstd":
        return encoder.push(content) + encoder.finish()
    if sys.version_info >= (3, 14):
        return bytes(importlib.import_module("compression.zstd").compress(content, level))
    import zstandard

    return zstandard.ZstdCompressor(level=level).compress(content)


def parse_accept_encoding(value: str) -> dict[str, float]:
    """Parse the value of ``Accept-Encoding`` into ``{coding: quality}``.

    The parser ignores an element outside the grammar and keeps the others, so a typing error costs only one coding.

    Args:
        value: The header value; repeated lines joined with ",".

    Returns:
        Lower-case codings, aliases resolved. If a coding is named twice, the first counts.

    >>> parse_accept_encoding("gzip;q=0, br, *;q=0.5")
    {'gzip': 0.0, 'br': 1.0, '*': 0.5}
    """
    accepted: dict[str, float] = {}
    for element in value.split(","):
        match = _ELEMENT.fullmatch(element)
        if match is None:
            continue
        coding = match[1].lower()
        accepted.setdefault(_ALIASES.get(coding, coding), float(match[2]) if match[2] else 1.0)
    return accepted


def choose_coding(value: str | None, offered: Sequence[str]) -> str | None:
    """Choose the coding of a response.

    Args:
        value: The value of ``Accept-Encoding``, or None if the request does not have the header.
        offered: Codings that can be produced, in the server's order of preference, lower-case.

    Returns:
        The offered coding of highest quality, the server's preference among equals. None means identity: no offered
        coding is acceptable, or the header is absent, empty or above its bound. It also means that the client gives
        identity a higher quality.

    >>> choose_coding("br;q=0.5, gzip;q=0.5", ["br", "gzip"])
    'br'
    >>> choose_coding("gzip;q=0", ["gzip"]) is None
    True
    """
    if not value or len(value) > _LONGEST:
        return None
    return (_choose if len(value) <= _LONG else _choose.__wrapped__)(value, tuple(offered))


@lru_cache(maxsize=256)
def _choose(value: str, offered: tuple[str, ...]) -> str | None:
    accepted = parse_accept_encoding(value)
    others = accepted.get("*", 0.0)
    best, best_quality = None, 0.0
    for coding in offered:
        quality = accepted.get(coding, others)
        if quality > best_quality:
            best, best_quality = coding, quality
    identity = accepted.get("identity")
    return None if identity is not None and identity > best_quality else best
