"""Static files: every peer on every question."""

from __future__ import annotations

import atexit
import functools
import gzip
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.middleware import StaticFiles
from tests.evidence.anchors.model import Case, Peer, Step, is_status, shown, status
from tests.middleware.stacks import Answer, Call, Script

CONTENT = b"body { color: teal; margin: 0; padding: 0 }\n" * 20
SIZE = len(CONTENT)
MODIFIED = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
DATE, LATER, EARLIER = (
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
    "Tue, 14 Nov 2023 22:13:19 GMT",
)
HASHED = r"^.+\.[0-9a-f]{12}\..+$"


@functools.cache
def folder() -> str:
    """Make the files: a style sheet with its gzip, one plain, a dot file, a link that leads out, a folder."""
    root = Path(tempfile.mkdtemp(prefix="anchors-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "secret").write_bytes(b"SECRET")
    site = root / "site"
    (site / "docs").mkdir(parents=True)
    for name, content in {
        "plain.css": CONTENT,
        "site.css": CONTENT,
        "site.css.gz": gzip.compress(CONTENT, mtime=0),
        "app.3f2a9c1d8b7e.js": CONTENT,
        ".env": b"SECRET",
        "docs/index.html": b"<p>docs",
    }.items():
        (site / name).write_bytes(content)
        os.utime(site / name, (MODIFIED, MODIFIED))
    (site / "out").symlink_to(root / "secret")
    return str(site)


def _starlette(app: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles as Theirs

    return Starlette(routes=[Mount("/static", Theirs(directory=folder(), html=True)), Mount("/", app)])


def _werkzeug(app: Any) -> Any:
    from werkzeug.middleware.shared_data import SharedDataMiddleware

    return SharedDataMiddleware(app, {"/static": folder()})


def _whitenoise(app: Any) -> Any:
    from whitenoise import WhiteNoise

    return WhiteNoise(app, root=folder(), prefix="/static", index_file=True, immutable_file_test=HASHED)


def _servestatic(app: Any) -> Any:
    from servestatic import ServeStaticASGI

    return ServeStaticASGI(app, root=folder(), prefix="/static", index_file=True, immutable_file_test=HASHED)


def peers(*named: str) -> list[Peer]:
    """Return all four; ``named`` are those that the case was written for."""
    return [
        Peer("starlette", "`StaticFiles(html=True)`", _starlette, named="starlette" in named),
        Peer(
            "servestatic",
            "`ServeStaticASGI(index_file=True, immutable_file_test=...)`",
            _servestatic,
            named="servestatic" in named,
        ),
        Peer("werkzeug", "`SharedDataMiddleware`", _werkzeug, side="wsgi", named="werkzeug" in named),
        Peer(
            "whitenoise",
            "`WhiteNoise(index_file=True, immutable_file_test=...)`",
            _whitenoise,
            side="wsgi",
            named="whitenoise" in named,
        ),
    ]


def ours() -> list[Any]:
    return [StaticFiles(folders={"/static": folder()}, index_file="index.html")]


def asked(*fields: tuple[str, str], path: str = "/static/plain.css", **more: Any) -> Call:
    return Call(target=path, headers=(("Host", "example.org"), *fields), **more)


def with_tag(write: Callable[[str], list[tuple[str, str]]], path: str = "/static/plain.css") -> tuple[Step, Step]:
    """Ask once for the entity tag, then with fields that are made of it."""

    def again(answer: Answer) -> Call:
        return asked(*write(answer.get("etag") or '"none"'), path=path)

    return asked(path=path), again


def part(first: int, stop: int) -> Callable[[Answer], bool]:
    """Judge that exactly these bytes came, and are said to be these."""

    def judge(answer: Answer) -> bool:
        return (
            answer.status == 206
            and answer.body == CONTENT[first:stop]
            and answer.get("content-range") == f"bytes {first}-{stop - 1}/{SIZE}"
            and answer.get("content-encoding") is None
        )

    return judge


def whole(answer: Answer) -> bool:
    return answer.status == 200 and answer.body == CONTENT


def show_part(answer: Answer) -> str:
    said = answer.get("content-range")
    return f"{answer.status}, {len(answer.body)} bytes" + (f", {said}" if said else "")


def show_coding(answer: Answer) -> str:
    return f"{answer.status}, {answer.get('content-encoding') or 'identity'}"


def decoded(answer: Answer) -> bytes | None:
    coding = answer.get("content-encoding")
    if coding is None:
        return answer.body
    return gzip.decompress(answer.body) if coding == "gzip" and answer.status == 200 else None


def ask(id: str, asks: str, rule: str, source: str, *named: str, only: bool = False, **more: Any) -> Case:
    """Make a case of static files: what stands behind is always the same, and who is asked, but for ``only``."""
    return Case(
        id=id,
        part="StaticFiles",
        asks=asks,
        rule=rule,
        source=f"RFC 9110 section {source}" if source[0].isdigit() else source,
        peers=[peer for peer in peers(*named) if peer.named or not only],
        ours=ours,
        script=Script(status=404, chunks=(b"the application",)),
        **more,
    )


def _tells(answer: Answer) -> str:
    return "the secret" if b"SECRET" in answer.body else str(answer.status)


def _tells_nothing(answer: Answer) -> bool:
    return b"SECRET" not in answer.body and answer.status in (301, 302, 307, 308, 400, 403, 404)


CASES = [
    ask(
        "first-bytes",
        "`Range: bytes=0-3`",
        "206 with these four bytes",
        "14.2",
        "werkzeug",
        steps=(asked(("Range", "bytes=0-3")),),
        shows=show_part,
        judge=part(0, 4),
    ),
    ask(
        "last-bytes",
        "`Range: bytes=-3`",
        "206 with the last three bytes",
        "14.1.2",
        "werkzeug",
        steps=(asked(("Range", "bytes=-3")),),
        shows=show_part,
        judge=part(SIZE - 3, SIZE),
    ),
    ask(
        "more-than-all",
        f"`Range: bytes=-9999` of {SIZE} bytes",
        "206 with all of them: a suffix may be longer than the file",
        "14.1.2",
        steps=(asked(("Range", "bytes=-9999")),),
        shows=show_part,
        judge=part(0, SIZE),
    ),
    ask(
        "behind-the-end",
        f"`Range: bytes={SIZE}-`",
        f"416 with `Content-Range: bytes */{SIZE}`",
        "15.5.17",
        "werkzeug",
        steps=(asked(("Range", f"bytes={SIZE}-")),),
        shows=shown("content-range"),
        judge=lambda answer: answer.status == 416 and answer.get("content-range") == f"bytes */{SIZE}",
    ),
    ask(
        "no-range",
        "`Range: bytes=abc`",
        "ignored (200) or rejected (400, 416), never a part",
        "14.2",
        steps=(asked(("Range", "bytes=abc")),),
        shows=show_part,
        judge=lambda answer: whole(answer) or answer.status in (400, 416),
    ),
    ask(
        "backwards",
        "`Range: bytes=9-1`",
        "ignored (200) or rejected (400, 416), never a part",
        "14.2",
        steps=(asked(("Range", "bytes=9-1")),),
        shows=show_part,
        judge=lambda answer: whole(answer) or answer.status in (400, 416),
    ),
    ask(
        "other-unit",
        "`Range: lines=0-3`",
        "200, because an unknown unit is ignored",
        "14.2",
        steps=(asked(("Range", "lines=0-3")),),
        shows=show_part,
        judge=whole,
    ),
    ask(
        "two-ranges",
        "`Range: bytes=0-0,5-5`",
        "multipart/byteranges, or the whole file",
        "15.3.7.2",
        steps=(asked(("Range", "bytes=0-0,5-5")),),
        shows=lambda answer: f"{answer.status}, {(answer.get('content-type') or '').partition(';')[0]}",
        judge=lambda answer: (
            whole(answer)
            or (answer.status == 206 and (answer.get("content-type") or "").startswith("multipart/byteranges"))
        ),
    ),
    ask(
        "range-of-head",
        "HEAD with `Range: bytes=0-3`",
        "200: a range is defined for GET only",
        "14.2",
        steps=(asked(("Range", "bytes=0-3"), method="HEAD"),),
        shows=status,
        judge=is_status(200),
    ),
    ask(
        "if-range-other-tag",
        '`If-Range: "other"` with a range: the client has parts of another version',
        "200: the whole new version",
        "13.1.5",
        "starlette",
        "whitenoise",
        "servestatic",
        steps=(asked(("Range", "bytes=0-3"), ("If-Range", '"other"')),),
        shows=show_part,
        judge=whole,
    ),
    ask(
        "if-range-weak-tag",
        "`If-Range` with the current tag marked weak",
        "200: a weak tag does not identify bytes",
        "13.1.5",
        "starlette",
        "whitenoise",
        "servestatic",
        steps=with_tag(lambda tag: [("Range", "bytes=0-3"), ("If-Range", "W/" + tag.removeprefix("W/"))]),
        shows=show_part,
        judge=whole,
    ),
    ask(
        "if-range-later-date",
        "`If-Range` with a date one second later than the file's",
        "200: the date must be equal",
        "13.1.5",
        "starlette",
        "whitenoise",
        "servestatic",
        steps=(asked(("Range", "bytes=0-3"), ("If-Range", LATER)),),
        shows=show_part,
        judge=whole,
    ),
    ask(
        "if-range-same",
        "`If-Range` with the file's date and a range",
        "206",
        "13.1.5",
        "werkzeug",
        steps=(asked(("Range", "bytes=0-3"), ("If-Range", DATE)),),
        shows=show_part,
        judge=part(0, 4),
    ),
    ask(
        "not-modified",
        "`If-None-Match` with the current tag, marked weak, second in a list",
        "304: any tag of the list matches, compared weakly",
        "13.1.2",
        steps=with_tag(lambda tag: [("If-None-Match", '"x", W/' + tag.removeprefix("W/"))]),
        shows=status,
        judge=is_status(304),
    ),
    ask(
        "any-tag",
        "`If-None-Match: *`",
        "304: a representation exists",
        "13.1.2",
        steps=(asked(("If-None-Match", "*")),),
        shows=status,
        judge=is_status(304),
    ),
    ask(
        "tag-before-date",
        "`If-None-Match` with another tag, `If-Modified-Since` with the file's date",
        "200: with a tag the date is ignored",
        "13.2.2",
        steps=(asked(("If-None-Match", '"other"'), ("If-Modified-Since", DATE)),),
        shows=status,
        judge=is_status(200),
    ),
    ask(
        "if-match",
        "`If-Match` with another tag",
        "412",
        "13.1.1",
        steps=(asked(("If-Match", '"other"')),),
        shows=status,
        judge=is_status(412),
    ),
    ask(
        "if-unmodified-since",
        "`If-Unmodified-Since` with a date before the file's",
        "412",
        "13.1.4",
        steps=(asked(("If-Unmodified-Since", EARLIER)),),
        shows=status,
        judge=is_status(412),
    ),
    ask(
        "condition-before-range",
        "`If-None-Match` with the current tag, and a range",
        "304: conditions are evaluated before ranges",
        "13.2.2",
        steps=with_tag(lambda tag: [("If-None-Match", tag), ("Range", "bytes=0-3")]),
        shows=status,
        judge=is_status(304),
    ),
    ask(
        "precompressed",
        "`Accept-Encoding: gzip`, and `site.css.gz` exists next to `site.css`",
        "the compressed file",
        "8.4",
        "starlette",
        "werkzeug",
        steps=(asked(("Accept-Encoding", "gzip"), path="/static/site.css"),),
        shows=show_coding,
        judge=lambda answer: answer.get("content-encoding") == "gzip" and decoded(answer) == CONTENT,
    ),
    ask(
        "precompressed-refused",
        "`Accept-Encoding: gzip;q=0`",
        "the plain file",
        "12.4.2",
        steps=(asked(("Accept-Encoding", "gzip;q=0"), path="/static/site.css"),),
        shows=show_coding,
        judge=lambda answer: answer.get("content-encoding") is None and whole(answer),
    ),
    ask(
        "precompressed-token",
        "`Accept-Encoding: notgzip`",
        "the plain file: codings are tokens",
        "12.5.3",
        steps=(asked(("Accept-Encoding", "notgzip"), path="/static/site.css"),),
        shows=show_coding,
        judge=lambda answer: answer.get("content-encoding") is None and whole(answer),
    ),
    ask(
        "precompressed-tag",
        "the entity tags of the plain file and of the compressed file",
        "they differ, or are weak, because the bytes differ",
        "8.8.3.3",
        "whitenoise",
        "servestatic",
        only=True,
        steps=(
            asked(path="/static/site.css"),
            lambda answer: asked(
                ("Accept-Encoding", "gzip"), ("If-None-Match", answer.get("etag") or '"none"'), path="/static/site.css"
            ),
        ),
        shows=lambda answer: "the same tag" if answer.status == 304 else f"another tag, {show_coding(answer)}",
        judge=lambda answer: answer.status == 200,
    ),
    ask(
        "method",
        "`POST` to a file",
        "405 with `Allow: GET, HEAD`",
        "15.5.6",
        steps=(asked(method="POST"),),
        shows=shown("allow"),
        judge=lambda answer: answer.status == 405 and "GET" in (answer.get("allow") or ""),
    ),
    ask(
        "dot-file",
        "`GET /static/.env`",
        "never served",
        "CWE-538",
        steps=(asked(path="/static/.env"),),
        shows=_tells,
        judge=_tells_nothing,
    ),
    ask(
        "link-out",
        "a symbolic link in the folder points outside",
        "not followed",
        "CWE-59",
        steps=(asked(path="/static/out"),),
        shows=_tells,
        judge=_tells_nothing,
    ),
    ask(
        "traversal",
        "`GET /static/%2e%2e/secret`",
        "never served",
        "CWE-22",
        steps=(asked(path="/static/%2e%2e/secret"),),
        shows=_tells,
        judge=_tells_nothing,
    ),
    ask(
        "hashed-name",
        "`GET /static/app.3f2a9c1d8b7e.js`, whose name contains a hash of its content",
        "`Cache-Control` with `immutable` and a year",
        "RFC 8246 section 2",
        steps=(asked(path="/static/app.3f2a9c1d8b7e.js"),),
        shows=shown("cache-control"),
        judge=lambda answer: "immutable" in (answer.get("cache-control") or ""),
    ),
    ask(
        "nosniff",
        "the type of a file",
        "`X-Content-Type-Options: nosniff`",
        "Fetch, X-Content-Type-Options",
        steps=(asked(),),
        shows=shown("x-content-type-options"),
        judge=lambda answer: answer.get("x-content-type-options") == "nosniff",
    ),
]
