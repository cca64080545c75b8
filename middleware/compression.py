"""Compress response bodies in the coding that the client prefers: zstd, br or gzip.

All decisions are made in one place, when the response headers come, by the rules of RFC 9110 for content codings. The
body then passes through one encoder. A response that is complete at once keeps a Content-Length. The driver flushes the
encoder after each chunk of a stream, so no chunk is delayed. Event streams are not compressed without the option.

Sources: RFC 9110 sections 8.4 (Content-Encoding), 8.8.3 (ETag), 12.5.3 (Accept-Encoding), 12.5.5 (Vary); RFC 9111
section 5.2.2.6 (no-transform); RFC 9530 (digests); the BREACH attack and its mitigation by padding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.contract import BuildContext, Hooks, Middleware, Slot, Steps, Transform, peek
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.headers import HeaderNames
from gateway.middleware._codings import CODINGS, Encoder, available, choose_coding, encoder_factory
from gateway.middleware._options import check_options
from gateway.middleware._validators import parse_etag, parse_etags

if TYPE_CHECKING:
    from gateway.exchange import Request
    from gateway.headers import Headers

__all__ = ["DEFAULT_TYPES", "Compression"]

#: Media types whose content shrinks: exact, or ``type/*``, or ``*+suffix``.
DEFAULT_TYPES = (
    "text/*",
    "*+json",
    "*+xml",
    "*+text",
    "application/javascript",
    "application/json",
    "application/json-seq",
    "application/jsonl",
    "application/ld+json",
    "application/manifest+json",
    "application/ndjson",
    "application/rtf",
    "application/wasm",
    "application/x-javascript",
    "application/x-jsonlines",
    "application/x-ndjson",
    "application/x-protobuf",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/x-icon",
)
_EVENT_STREAM = "text/event-stream"
#: Headers of a body that is already coded, or is a part of the content.
_DONE = HeaderNames("content-encoding", "content-range")
#: Headers that describe the bytes before the coding. Compression removes them, because it changes the bytes.
_STALE = HeaderNames("content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest")
_WORD = r"[A-Za-z0-9!#$%&'+.^_`|~-]+"
#: An element of ``types``: an exact type, all types of a top level, all with a suffix, or all types.
_PATTERN = re.compile(rf"{_WORD}/(?:{_WORD}|\*)|\*\+{_WORD}|\*/\*")
_SUFFIX = re.compile(rf'-(?:{"|".join(CODINGS)})"')


@dataclass(frozen=True, kw_only=True)
class Compression(Middleware):
    """Compress response bodies in a coding that the client accepts.

    Compression skips 1xx, 204, 205, 206 and 304, responses with Content-Encoding or Content-Range, and
    ``Cache-Control: no-transform``. It also skips media types not in ``types``, content shorter than ``min_bytes``, and
    files that the server sends by itself. A response to HEAD gets the same headers as a response to GET. Every response
    that could have been compressed has ``Vary: Accept-Encoding``.

    Args:
        codings: Codings to offer, best first; None for all that are installed. The client's qualities decide;
            this order decides among equal qualities.
        levels: Levels for codings, on the library's scale. zstd uses a window of at most 8 MiB at every level,
            because browsers refuse larger windows.
        min_bytes: Content with a declared length below this is not compressed.
        types: Media types to compress: exact, ``type/*``, ``*+suffix`` or ``*/*``, in any case.
        event_stream: Compress ``text/event-stream`` too.
        etag: ``"weaken"`` makes a strong entity tag weak, because compression changes the bytes. ``"suffix"``
            adds the coding to the tag, and removes it again in ``If-None-Match`` and ``If-Match``.
        padding: Maximum number of random bytes in a gzip header, so that the length of a response reveals less
            to an attacker (BREACH). br and zstd have no such padding: if a page contains both secrets and text
            from other users, offer only gzip.
        skip_if: Function ``skip_if(request, response)`` that returns true for a response that must not be
            compressed.
    """

    body_cpu: ClassVar[bool] = True

    codings: tuple[str, ...] | None = None
    levels: Mapping[str, int] = field(default_factory=dict)
    min_bytes: int = 500
    types: tuple[str, ...] = DEFAULT_TYPES
    event_stream: bool = False
    etag: Literal["weaken", "suffix"] = "weaken"
    padding: int = 100
    skip_if: Callable[[Request, Response], bool] | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.codings is not None and not self.codings:
            raise ConfigurationError(
                "Compression(codings=...) must name at least one coding; write None for all of them"
            )
        if self.min_bytes < 0:
            raise ConfigurationError(f"Compression(min_bytes=...) must be at least 0, got {self.min_bytes!r}")
        if not 0 <= self.padding <= 4096:
            raise ConfigurationError(f"Compression(padding=...) must be from 0 to 4096 bytes, got {self.padding!r}")
        if self.etag not in ("weaken", "suffix"):
            raise ConfigurationError(f'Compression(etag=...) must be "weaken" or "suffix", got {self.etag!r}')
        for pattern in self.types:
            if not _PATTERN.fullmatch(pattern):
                raise ConfigurationError(
                    f'Compression(types=...) has a pattern that matches nothing: {pattern!r}. Write "type/subtype", '
                    f'"type/*", "*+suffix" or "*/*", without parameters.'
                )
        unknown = set(self.levels) - set(CODINGS)
        if unknown:
            raise ConfigurationError(
                f"Compression(levels=...) has unknown codings {sorted(unknown)}; possible codings: {list(CODINGS)}"
            )
        for coding in self.codings or available():
            encoder_factory(coding, self.levels.get(coding), padding=self.padding)

    def build(self, context: BuildContext) -> Hooks:
        return _Suffixing(self, context) if self.etag == "suffix" else _Compressing(self, context)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to compress the body of one response.

    Attributes:
        coding: The content coding.
        sized: Whether the application declared a length, so that the encoder may collect chunks.
    """

    coding: str
    sized: bool


class _Compressing(Hooks):
    def __init__(self, options: Compression, context: BuildContext) -> None:
        self._options = options
        self._offered = options.codings or available()
        self._encoders = {
            coding: encoder_factory(coding, options.levels.get(coding), padding=options.padding)
            for coding in self._offered
        }
        types = [pattern.lower() for pattern in options.types]
        self._exact = {pattern for pattern in types if "*" not in pattern}
        # "*/*" becomes the empty prefix, which matches every media type.
        self._tops = tuple(pattern.removesuffix("*").removeprefix("*/") for pattern in types if pattern.endswith("/*"))
        self._suffixes = tuple(pattern[1:] for pattern in types if pattern.startswith("*+"))
        self._plan: Slot[_Plan] = context.slot(_Plan)
        self._asked: Slot[str] = context.slot(str)
        self._skip_if = options.skip_if
        self._min_bytes = options.min_bytes
        #: A small cache is enough, because an application writes few different Content-Types.
        self._shrinks = lru_cache(maxsize=128)(self._judge)

    def on_response(self, request: Request, response: Response) -> Steps[None] | None:
        headers, status = response.headers, response.status
        if status == 304:
            headers.add_vary("Accept-Encoding")
            self._weaken_again(request, headers)
            self._restore_suffix(request, headers)
            return None
        # First decide whether any client could get this response compressed, for Vary. Then decide for this client.
        if status < 200 or status in (204, 205, 206) or headers.has_any(_DONE):
            return None
        content_type, control = headers.get("content-type"), headers.get("cache-control")
        if not content_type or not self._shrinks(content_type[:_LONGEST_TYPE]):
            return None
        if control is not None and "no-transform" in control.lower():
            return None
        if self._skip_if is not None and self._skip_if(request, response):
            return None
        # Before the choice, because a cache must know that the uncompressed response varies too.
        headers.add_vary("Accept-Encoding")
        length = headers.get("content-length")
        if length is not None and length.isascii() and length.isdigit() and int(length) < self._min_bytes:
            return None
        coding = choose_coding(request.headers.get("accept-encoding"), self._offered)
        if coding is None:
            return None
        return self._begin(request, headers, _Plan(coding, length is not None))

    def _begin(self, request: Request, headers: Headers, plan: _Plan) -> Steps[None]:
        if (yield from peek(0)) is None:  # the server sends a file by itself, so its bytes do not pass here
            return
        # Add Content-Encoding, and remove or change the headers that describe the bytes before the coding.
        headers.set("content-encoding", plan.coding)
        headers.delete_all(_STALE)
        tag = headers.get("etag")
        # Leave a tag as it is if it is weak, or not a valid entity tag.
        if tag is not None and not tag.startswith("W/") and tag.endswith('"'):
            strong = f'{tag[:-1]}-{plan.coding}"'
            headers.set("etag", f"W/{tag}" if self._options.etag == "weaken" else strong)
        self._plan[request] = plan

    def on_body(self, request: Request, response: Response) -> Transform | None:
        plan = self._plan.get(request)
        if plan is None:
            return None
        encoder = self._encoders[plan.coding]()
        return _Sized(encoder) if plan.sized else encoder

    def _judge(self, content_type: str) -> bool:
        """Return whether this media type is compressed at all."""
        media_type = _media_type(content_type)
        if media_type == _EVENT_STREAM:
            return self._options.event_stream
        return (
            media_type in self._exact or media_type.startswith(self._tops) or media_type.endswith(self._suffixes)
        ) and bool(media_type)

    def _weaken_again(self, request: Request, headers: Headers) -> None:
        """Give a 304 the weak tag of its 200, because a cache cannot find the stored response by a strong tag.

        RFC 9111 section 4.3.4: a strong validator selects only stored responses with the same strong validator.
        """
        tag = parse_etag(headers.get("etag") or "")
        if tag is None or tag.weak:
            return
        held = parse_etags(request.headers.get("if-none-match") or "")
        weakened = replace(tag, weak=True)
        if isinstance(held, list) and weakened in held:
            headers.set("etag", str(weakened))

    def _restore_suffix(self, request: Request, headers: Headers) -> None:
        """Give a 304 the entity tag that the client holds."""
        asked, tag = self._asked.get(request), headers.get("etag")
        if asked is None or tag is None:
            return
        for coding in self._offered:
            if f'{tag[:-1]}-{coding}"' in asked:
                headers.set("etag", f'{tag[:-1]}-{coding}"')
                return


class _Suffixing(_Compressing):
    """Compress, and give each coded representation its own entity tag."""

    def on_request(self, request: Request) -> None:
        """Remove the suffix from the client's entity tags, so that inner middleware and the app can compare them."""
        for name in ("if-none-match", "if-match"):
            value = request.headers.get(name)
            if value is not None and _SUFFIX.search(value):
                self._asked[request] = value
                request.headers.set(name, _SUFFIX.sub('"', value))


class _Sized:
    """An encoder for content of a declared length. It has no ``flush``, so that it compresses best."""

    __slots__ = ("finish", "push")

    def __init__(self, encoder: Encoder) -> None:
        self.push = encoder.push
        self.finish = encoder.finish


#: Number of characters of a Content-Type to examine. Parameters may be longer and are cut off.
_LONGEST_TYPE = 256


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
