"""Serve files from folders: validators, ranges, precompressed variants, and ``sendfile`` if the server has it.

A request is a look-up in an index that was made when the chain was built. A path that is not a file passes to the
application. Small files stay in memory. Other files are opened and described at each request, in a thread on ASGI. The
server sends the open file, by ``sendfile`` or by its path if it can.

Sources: RFC 9110 sections 13.2.2 (preconditions), 14 (ranges), 15.5.6 (405); RFC 8246 (immutable).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple
from urllib.parse import quote

from gateway.contract import BuildContext, Hooks, Middleware, Steps, io
from gateway.errors import ConfigurationError
from gateway.exchange import FileBody, Request, Response
from gateway.headers import AsgiHeaders, Header, HeaderNames, Headers
from gateway.loops import in_thread
from gateway.middleware._codings import choose_coding
from gateway.middleware._location import location_part
from gateway.middleware._options import check_options
from gateway.middleware._range import content_range, select_range
from gateway.middleware._static_index import Index, Opened, keep_small
from gateway.middleware._static_variant import StaticEntry, StaticOptions, Variant, has_hash_in_name
from gateway.middleware._validators import Preconditions, evaluate, if_range_holds
from gateway.problems import problem

__all__ = ["StaticFiles"]

#: Request headers that may lead to a response other than the whole file.
_SPECIAL = HeaderNames("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


@dataclass(frozen=True, kw_only=True)
class StaticFiles(Middleware):
    """Serve the files below some folders.

    GET and HEAD get 200, 206 (one range of the plain file), 304, 412 or 416; another method on a file gets 405. A path
    that is not a file passes to the application. Only one spelling of a path finds its file. Dot files, symbolic links
    that lead out of the folder, and names that Windows reads differently are never served.

    Args:
        folders: Folders on disk by URL prefix: ``{"/static": "assets"}``. The longest prefix is tried first.
        index_file: File to send for a folder, such as ``"index.html"``; a folder without the final "/" is
            redirected.
        max_age: Seconds that a file may be cached without a request; with its validator, a later request costs
            little.
        immutable: Files whose content never changes under their name; they are cached for a year. ``"hashed"``:
            names with 8 to 64 hexadecimal digits before the extension, at least one of them a letter, as in
            ``app.3f2a90c1.js``. Or a regular expression that is searched for in the path below the folder, or a
            function of this path. None: no file.
        charset: Charset of text files.
        precompressed: Send ``file.zst``, ``file.br`` or ``file.gz`` next to the file to clients that accept
            this coding.
        dotfiles: Serve names that begin with a dot; ``.well-known`` is always served.
        autorefresh: Read the disk at each request, for development. Otherwise the list of files is read once,
            when the chain is built. A larger file that is replaced or removed later is still handled correctly.
        memory: Maximum number of bytes of small files, up to 64 KiB each, that are read into memory when the
            chain is built, smallest first, and sent from there; with ``autorefresh``, none.
        headers: Headers for every file; they replace the headers of this middleware.
        types: Media types by extension, in addition to the built-in ones: ``{".vtt": "text/vtt"}``.
        accelerate: Let the web server send the file: ``("X-Accel-Redirect", "/internal")`` for NGINX, with the URL path
            below which it finds the same folders; ``("X-Sendfile", "")`` for Apache, with the path on disk.
    """

    short_circuits: ClassVar[bool | None] = True
    after: ClassVar[tuple[str, ...]] = (
        "AccessLog: requests for files are logged too",
        "SecurityHeaders: files need them too",
        "Cors: pages of other origins can read the files",
        "TrustedHost: files are served for allowed hosts only",
    )

    folders: Mapping[str, str | Path]
    index_file: str | None = None
    max_age: int = 60
    immutable: str | Callable[[str], bool] | None = "hashed"
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
            raise ConfigurationError('StaticFiles(folders=...) is empty; write for example {"/static": "assets"}')
        for prefix, folder in self.folders.items():
            if not prefix.startswith("/") or "//" in prefix:
                raise ConfigurationError(
                    f"a prefix of StaticFiles(folders=...) must start with '/' and not contain '//', got {prefix!r}"
                )
            if not self.autorefresh and not Path(folder).is_dir():
                raise ConfigurationError(
                    f"StaticFiles(folders=...): {str(folder)!r}, for {prefix!r}, is not a folder in "
                    f"{str(Path.cwd())!r}; create it, or give its absolute path"
                )
        if self.max_age < 0:
            raise ConfigurationError(f"StaticFiles(max_age=...) must be at least 0 seconds, got {self.max_age!r}")
        if isinstance(self.immutable, str) and self.immutable != "hashed":
            try:
                re.compile(self.immutable)
            except re.error as error:
                raise ConfigurationError(
                    f'StaticFiles(immutable=...) must be "hashed", a regular expression, a function or None, '
                    f"got {self.immutable!r}: {error}"
                ) from error
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
        return _Serving(context.shared("folders", self._folders), context.interface, self)

    def _folders(self) -> tuple[_Folder, ...]:
        """Find the files of every folder; the folder with the longest prefix comes first."""
        options = StaticOptions(
            index_file=self.index_file,
            max_age=self.max_age,
            immutable=_immutable(self.immutable),
            charset=self.charset,
            precompressed=self.precompressed,
            dotfiles=self.dotfiles,
            headers=tuple(Header(name, value) for name, value in self.headers),
            types=self.types,
        )
        folders: list[_Folder] = []
        for prefix, folder in sorted(self.folders.items(), key=lambda item: -len(item[0])):
            index = Index(Path(folder), options)
            if not self.autorefresh:
                index.scan()
            folders.append(_Folder(len(folders), prefix.rstrip("/") + "/", index))
        if not self.autorefresh and self.accelerate is None:
            keep_small([folder.files for folder in folders], self.memory)
        return tuple(folders)


class _Folder(NamedTuple):
    """A folder, its URL prefix, and its position in the search order."""

    position: int
    prefix: str
    files: Index


class _Wanted(NamedTuple):
    """The file of a request: its folder, and its path below the prefix."""

    request: Request
    folder: _Folder
    relative: str


class _Serving(Hooks):
    def __init__(self, folders: tuple[_Folder, ...], interface: Literal["wsgi", "asgi"], options: StaticFiles) -> None:
        self._folders = folders
        self._asgi = interface == "asgi"
        self._autorefresh = options.autorefresh
        self._accelerate = options.accelerate

    def on_request(self, request: Request) -> Response | Steps[Response | None] | None:
        return self._search(request, self._folders)

    def _search(self, request: Request, folders: tuple[_Folder, ...]) -> Response | Steps[Response | None] | None:
        path = request.local_path
        for folder in folders:
            _, prefix, files = folder
            if not path.startswith(prefix):
                continue
            relative = path[len(prefix) :]
            if self._autorefresh:
                return self._from_disk(_Wanted(request, folder, relative), None)
            entry = files.get(relative)
            if entry is not None:
                return self._serve(request, folder, relative, entry)
        return None

    def _serve(
        self, request: Request, folder: _Folder, relative: str, entry: StaticEntry
    ) -> Response | Steps[Response | None] | None:
        method = request.method
        if entry.redirect or method not in ("GET", "HEAD"):
            return _without_file(request, entry)
        variant = entry.variants[_choose(request, entry) if entry.codings else ""]
        if variant.content is None or self._accelerate is not None:
            return self._from_disk(_Wanted(request, folder, relative), entry)
        if method == "GET" and not request.headers.has_any(_SPECIAL):
            return Response(200, self._head(variant), variant.content)
        return self._answer(_Wanted(request, folder, relative), variant, None)

    # Open a file that is not in memory before describing it, so that the headers always match the sent content.

    def _from_disk(self, wanted: _Wanted, entry: StaticEntry | None) -> Response | Steps[Response | None] | None:
        choose = partial(_choose, wanted.request)
        if self._asgi:
            return self._from_disk_in_thread(wanted, entry, choose)
        return self._opened(wanted, wanted.folder.files.open(wanted.relative, entry, choose))

    def _from_disk_in_thread(
        self, wanted: _Wanted, entry: StaticEntry | None, choose: Callable[[StaticEntry], str]
    ) -> Steps[Response | None]:
        look = wanted.folder.files.open
        opened = yield from io(look, lambda *names: in_thread(look, *names), wanted.relative, entry, choose)
        result = self._opened(wanted, opened)
        return (yield from result) if isinstance(result, Generator) else result

    def _opened(self, wanted: _Wanted, opened: Opened | StaticEntry | None) -> Response | Steps[Response | None] | None:
        if opened is None:  # removed, or not in this folder, so search the next folders
            return self._search(wanted.request, self._folders[wanted.folder.position + 1 :])
        if isinstance(opened, StaticEntry):
            return _without_file(wanted.request, opened)
        response = None
        try:
            if wanted.request.method in ("GET", "HEAD"):
                response = self._answer(wanted, opened.variant, opened.file)
            else:
                response = _not_allowed(wanted.request)
        finally:
            # The driver closes the file of a FileBody. For any other response, and after an exception, close it here.
            if response is None or not isinstance(response.body, FileBody):
                opened.file.close()
        return response

    def _answer(self, wanted: _Wanted, variant: Variant, file: FileIO | None) -> Response:
        """Return the response for a representation, from memory or from the open file that it describes."""
        request = wanted.request
        method, headers = request.method, request.headers
        if method == "GET" and self._accelerate is None and not headers.has_any(_SPECIAL):
            return Response(200, self._head(variant), _part(variant, file, 0, variant.size))
        wants_range = headers.get("range")
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
            return problem(request, 412, "A precondition of the request is not true for this file.")
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
            return problem(request, 416, "The requested range is outside the file.", headers=field)
        if selected is not None and self._accelerate is None:
            head.set("Content-Range", content_range(selected, variant.size))
            head.set("Content-Length", str(selected[1] - selected[0]))
            return Response(206, head, _part(variant, file, *selected))
        if self._accelerate is not None:
            return Response(200, head, b"") if method == "HEAD" else self._hand_over(head, variant, wanted.folder)
        # For HEAD too, because outer middleware treats a file differently and must change the headers as for GET.
        return Response(200, head, _part(variant, file, 0, variant.size))

    def _head(self, variant: Variant) -> Headers:
        """Return the headers of a 200 in the form of this interface, so that the driver need not convert them."""
        return AsgiHeaders.over_raw([*variant.asgi]) if self._asgi else Headers.over([*variant.wsgi])

    def _fields(self, constants: tuple[Header, ...]) -> Headers:
        if self._asgi:
            return AsgiHeaders.over_raw([header.asgi for header in constants])
        return Headers.over([header.wsgi for header in constants])

    def _hand_over(self, head: Headers, variant: Variant, folder: _Folder) -> Response:
        """Let the web server in front send the file. It evaluates ranges and sets the length itself."""
        name, base = self._accelerate or ("", "")
        if name.lower() == "x-sendfile":
            value = quote(variant.path)
        else:
            value = quote(base.rstrip("/") + folder.prefix + folder.files.relative(variant.path))
        head.delete("content-length")
        head.delete("accept-ranges")
        head.set(name, value)
        return Response(200, head, b"")


def _choose(request: Request, entry: StaticEntry) -> str:
    """Choose the coding of a file. A range always refers to the plain file, of which the client may have parts."""
    headers = request.headers
    if headers.get("range") is not None:
        return ""
    return choose_coding(headers.get("accept-encoding"), entry.codings) or ""


def _part(variant: Variant, file: FileIO | None, start: int, stop: int) -> bytes | FileBody:
    """Return a part of a file: bytes from memory, or a `FileBody` that the server sends."""
    if variant.content is None:
        return FileBody(variant.path, start, stop - start, file)
    return variant.content if stop - start == variant.size else variant.content[start:stop]


def _without_file(request: Request, entry: StaticEntry) -> Response:
    if request.method not in ("GET", "HEAD"):
        return _not_allowed(request)
    return _to_folder(request)


def _not_allowed(request: Request) -> Response:
    return problem(request, 405, "Files support GET and HEAD only.", headers=[("Allow", "GET, HEAD")])


def _immutable(option: str | Callable[[str], bool] | None) -> Callable[[str], bool]:
    if callable(option):
        return option
    if option == "hashed":
        return has_hash_in_name
    pattern = re.compile(option if option is not None else r"(?!)")
    return lambda path: pattern.search(path) is not None


def _to_folder(request: Request) -> Response:
    """Redirect to the folder's URL with a final "/". The path has been checked, so it cannot begin with "//"."""
    query = location_part(request.query_string)
    location = "/" + quote(request.root_path + request.local_path).lstrip("/") + "/" + (f"?{query}" if query else "")
    return Response(308, [("Location", location), ("Content-Length", "0"), ("Cache-Control", "no-cache")])
