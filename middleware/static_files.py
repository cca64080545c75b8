"""Serve files from folders: validators, ranges, precompressed variants, and the server's own way of sending a file.

A request is a look-up in an index that was made when the chain was built. What is not a file passes to the
application. Small files are kept in memory; of others the body is never read here: the server sends the file by
``sendfile`` or a path where it can.

Sources: RFC 9110 sections 13.2.2 (preconditions), 14 (ranges), 15.5.6 (405); RFC 8246 (immutable).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote

from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.exchange import FileBody, Response
from gateway.headers import AsgiHeaders, Header, HeaderNames, Headers
from gateway.middleware._accept_encoding import choose_coding
from gateway.middleware._options import check_options
from gateway.middleware._range import content_range, select_range
from gateway.middleware._static_index import Entry, Index, StaticOptions, Variant, keep_small
from gateway.middleware._validators import Preconditions, evaluate, if_range_holds
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["StaticFiles"]

#: What makes an answer another than the whole file.
_SPECIAL = HeaderNames("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


@dataclass(frozen=True, kw_only=True)
class StaticFiles(Middleware):
    """Serve the files below some folders.

    GET and HEAD are answered with 200, 206 (one range of the file as it is), 304, 412 or 416; another method on a file
    with 405. A path that names no file passes to the application. Only the one spelling of a path finds its file; dot
    files, symbolic links that lead out of the folder, and names that Windows reads otherwise are never served.

    Args:
        folders: Folder on disk by URL prefix: ``{"/static": "assets"}``. The longest prefix is asked first.
        index_file: The file that stands for a folder, ``"index.html"``; a folder without the final "/" is redirected.
        max_age: Seconds that a file may be cached without asking; with its validator it costs little to ask.
        immutable: Tells of a path below the folder whether its content never changes; None: its name holds a hash of
            8 to 64 hexadecimal digits before the ending. Such a file is cached for a year.
        charset: Of text files.
        precompressed: Send ``file.zst``, ``file.br`` or ``file.gz`` beside the file to who accepts it.
        dotfiles: Serve names that begin with a dot; ``.well-known`` is served either way.
        autorefresh: Ask the disk at each request; for development. Without it files are found once, when built.
        memory: Bytes at most of small files, each of up to 64 KiB, that are read into memory when built, the smallest
            first; with ``autorefresh`` none are.
        headers: Fields of every file; they replace those made here.
        types: Media types by ending, where the built-in ones do not do: ``{".vtt": "text/vtt"}``.
        accelerate: Let the web server send the file: ``("X-Accel-Redirect", "/internal")`` for NGINX, with the URL path
            below which it finds the same folders; ``("X-Sendfile", "")`` for Apache, with the path on disk.
    """

    short_circuits: ClassVar[bool | None] = True
    after: ClassVar[tuple[str, ...]] = (
        "AccessLog: a file is logged too",
        "SecurityHeaders: a file needs them too",
        "Cors: a page of another origin could not read the file",
        "TrustedHost: a file is served for our own hosts only",
    )

    folders: Mapping[str, str | Path]
    index_file: str | None = None
    max_age: int = 60
    immutable: Callable[[str], bool] | None = None
    charset: str = "utf-8"
    precompressed: bool = True
    dotfiles: bool = False
    autorefresh: bool = False
    memory: int = 16 * 2**20
    headers: tuple[tuple[str, str], ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    accelerate: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if not self.folders:
            raise ConfigurationError('StaticFiles(folders=...) must name a folder: {"/static": "assets"}')
        for prefix, folder in self.folders.items():
            if not prefix.startswith("/") or "//" in prefix:
                raise ConfigurationError(
                    f"a prefix of StaticFiles(folders=...) must start with '/' and hold no '//', got {prefix!r}"
                )
            if not self.autorefresh and not Path(folder).is_dir():
                raise ConfigurationError(
                    f"StaticFiles(folders=...) names {str(folder)!r} for {prefix!r}, which is no folder in "
                    f"{str(Path.cwd())!r}; make it, or give its absolute path"
                )
        if self.max_age < 0:
            raise ConfigurationError(f"StaticFiles(max_age=...) must be at least 0 seconds, got {self.max_age!r}")
        if self.memory < 0:
            raise ConfigurationError(f"StaticFiles(memory=...) must be at least 0 bytes, got {self.memory!r}")
        if self.accelerate is not None and self.accelerate[0].lower() not in ("x-accel-redirect", "x-sendfile"):
            raise ConfigurationError(
                f'StaticFiles(accelerate=...) must be ("X-Accel-Redirect", URL path) or ("X-Sendfile", ""), '
                f"got {self.accelerate!r}"
            )
        for name, value in self.headers:
            Header(name, value)

    def build(self, context: BuildContext) -> Hooks:
        options = StaticOptions(
            index_file=self.index_file,
            max_age=self.max_age,
            immutable=self.immutable,
            charset=self.charset,
            precompressed=self.precompressed,
            dotfiles=self.dotfiles,
            headers=tuple(Header(name, value) for name, value in self.headers),
            types=self.types,
        )
        folders = []
        for prefix, folder in sorted(self.folders.items(), key=lambda item: -len(item[0])):
            index = Index(Path(folder), options)
            if not self.autorefresh:
                index.scan()
            folders.append((prefix.rstrip("/") + "/", index))
        if not self.autorefresh and self.accelerate is None:
            keep_small([index for _, index in folders], self.memory)
        return _Serving(tuple(folders), context.interface, autorefresh=self.autorefresh, accelerate=self.accelerate)


class _Serving(Hooks):
    def __init__(
        self,
        folders: tuple[tuple[str, Index], ...],
        interface: Literal["wsgi", "asgi"],
        *,
        autorefresh: bool,
        accelerate: tuple[str, str] | None,
    ) -> None:
        self._folders = folders
        self._asgi = interface == "asgi"
        self._autorefresh = autorefresh
        self._accelerate = accelerate

    def on_request(self, request: Request) -> Response | None:
        path = request.local_path
        for prefix, index in self._folders:
            if not path.startswith(prefix):
                continue
            relative = path[len(prefix) :]
            entry = index.find(relative) if self._autorefresh else index.get(relative)
            if entry is not None:
                return self._answer(request, entry, prefix, relative)
        return None

    def _answer(self, request: Request, entry: Entry, prefix: str, relative: str) -> Response:
        method = request.method
        if method not in ("GET", "HEAD"):
            return problem(request, 405, "A file can be read only.", headers=[("Allow", "GET, HEAD")])
        if entry.redirect:
            return _to_folder(request)
        headers = request.headers
        if method == "GET" and self._accelerate is None and not headers.has_any(_SPECIAL):
            coding = choose_coding(headers.get("accept-encoding"), entry.codings) if entry.codings else None
            variant = entry.variants[coding or ""]
            return Response(200, self._head(variant), _part(variant, 0, variant.size))
        wants_range = headers.get("range")
        coding = choose_coding(headers.get("accept-encoding"), entry.codings) if entry.codings else None
        # A range of a coded file is of no use to who has parts of the plain one: ranges are of the file as it is.
        variant = entry.variants[coding if coding and wants_range is None else ""]
        conditions = Preconditions(
            headers.get("if-match"),
            headers.get("if-none-match"),
            headers.get("if-modified-since"),
            headers.get("if-unmodified-since"),
        )
        verdict = evaluate(conditions, method=method, etag=variant.etag, last_modified=variant.modified)
        if verdict == 304:
            return Response(304, self._fields(variant.validators))
        if verdict == 412:
            return problem(request, 412, "A precondition of the request does not hold for this file.")
        head = self._head(variant)
        selected = None
        if (
            wants_range is not None
            and method == "GET"
            and if_range_holds(headers.get("if-range"), etag=variant.etag, last_modified=variant.modified)
        ):
            selected = select_range(wants_range, variant.size)
        if selected == "unsatisfiable":
            field = [("Content-Range", content_range(selected, variant.size))]
            return problem(request, 416, "The file has no such bytes.", headers=field)
        if selected is not None and self._accelerate is None:
            head.set("Content-Range", content_range(selected, variant.size))
            head.set("Content-Length", str(selected[1] - selected[0]))
            return Response(206, head, _part(variant, *selected))
        if method == "HEAD":
            return Response(200, head, b"")
        if self._accelerate is not None:
            return self._hand_over(head, variant, prefix, relative)
        return Response(200, head, _part(variant, 0, variant.size))

    def _head(self, variant: Variant) -> Headers:
        """Spell the head of a 200 the way that this driver sends it, so that nothing is converted."""
        return AsgiHeaders.over_raw([*variant.asgi]) if self._asgi else Headers.over([*variant.wsgi])

    def _fields(self, constants: tuple[Header, ...]) -> Headers:
        if self._asgi:
            return AsgiHeaders.over_raw([header.asgi for header in constants])
        return Headers.over([header.wsgi for header in constants])

    def _hand_over(self, head: Headers, variant: Variant, prefix: str, relative: str) -> Response:
        """Name the file to the web server in front; it evaluates ranges itself and sets the length."""
        name, base = self._accelerate or ("", "")
        if name.lower() == "x-sendfile":
            value = quote(variant.path)
        else:
            ending = Path(variant.path).name.removeprefix(Path(relative).name) if relative else ""
            value = quote(base.rstrip("/") + prefix + relative + (ending if ending in (".zst", ".br", ".gz") else ""))
        head.delete("content-length")
        head.delete("accept-ranges")
        head.set(name, value)
        return Response(200, head, b"")


def _part(variant: Variant, start: int, stop: int) -> bytes | FileBody:
    """Return bytes of a file: from memory, or for the server to send."""
    if variant.content is None:
        return FileBody(variant.path, start, stop - start)
    return variant.content if stop - start == variant.size else variant.content[start:stop]


def _to_folder(request: Request) -> Response:
    """Redirect to the folder's one spelling; the path has been checked, so it cannot begin with "//"."""
    query = request.query_string.decode("latin-1")
    location = "/" + quote(request.root_path + request.local_path).lstrip("/") + "/" + (f"?{query}" if query else "")
    return Response(308, [("Location", location), ("Content-Length", "0"), ("Cache-Control", "no-cache")])
