"""StaticFiles: every file by one spelling, with validators, ranges and variants, and nothing outside the folder."""

from __future__ import annotations

import asyncio
import gzip
import os
from pathlib import Path

import pytest

from gateway import Gateway
from gateway.errors import ConfigurationError
from gateway.middleware.static_files import StaticFiles
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script
from tests.middleware.test_static_paths import TRAVERSALS

CSS = b"body { color: red }\n" * 50
WHEN = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with plain, precompressed, hashed, hidden and linked files; secrets lie beside it."""
    root = tmp_path / "assets"
    (root / "docs").mkdir(parents=True)
    (root / "site.css").write_bytes(CSS)
    (root / "site.css.gz").write_bytes(gzip.compress(CSS))
    (root / "site.css.br").write_bytes(b"not really brotli")
    (root / "app.0123456789ab.js").write_bytes(b"//js")
    (root / "app-deadbeefface.js").write_bytes(b"//js")
    (root / "docs" / "index.html").write_bytes(b"<h1>docs</h1>")
    (root / "docs" / "é b.txt").write_bytes(b"text")
    (root / "empty.txt").write_bytes(b"")
    (root / "data.tar.gz").write_bytes(b"\x1f\x8b")
    (root / "stale.css").write_bytes(CSS)
    (root / "stale.css.gz").write_bytes(b"old")
    (root / ".env").write_bytes(b"SECRET")
    (root / ".well-known").mkdir()
    (root / ".well-known" / "security.txt").write_bytes(b"Contact: x")
    (tmp_path / "secret").write_bytes(b"SECRET")
    (root / "leak").symlink_to(tmp_path / "secret")
    (root / "leaking").symlink_to(tmp_path, target_is_directory=True)
    (root / "inside.css").symlink_to(root / "site.css")
    for path in sorted(root.rglob("*")):
        if not path.is_symlink():
            os.utime(path, (WHEN, WHEN))
    os.utime(root / "stale.css.gz", (WHEN - 100, WHEN - 100))
    return root


@pytest.fixture(params=[0, 2**20], ids=["from-disk", "from-memory"])
def files(folder: Path, request: pytest.FixtureRequest) -> StaticFiles:
    """Give the middleware over that folder."""
    return StaticFiles(folders={"/static": folder}, index_file="index.html", memory=request.param)


def test_a_file_comes_with_type_length_validators_and_caching(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/site.css")
    assert (answer.status, answer.body, answer.seen) == (200, CSS, [])
    assert answer.get("content-type") == "text/css; charset=utf-8"
    assert answer.get("content-length") == str(len(CSS))
    assert answer.get("last-modified") == DATE
    assert answer.get("accept-ranges") == "bytes"
    assert answer.get("x-content-type-options") == "nosniff"
    assert answer.get("cache-control") == "public, max-age=60"
    assert answer.get("vary") == "Accept-Encoding"
    assert (answer.get("etag") or "").startswith('"')


def test_what_is_no_file_passes_to_the_application(stack: MakeStack, files: StaticFiles) -> None:
    for target in ("/", "/static", "/static/none.css", "/staticx/site.css", "/static/"):
        assert stack(files).request(target).body == b"hello"


@pytest.mark.parametrize("spelling", TRAVERSALS)
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
def test_no_spelling_leads_out_of_the_folder(stack: MakeStack, folder: Path, spelling: str, autorefresh: bool) -> None:
    answer = stack(StaticFiles(folders={"/static": folder}, autorefresh=autorefresh)).request(f"/static/{spelling}")
    assert answer.body == b"hello"


@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
@pytest.mark.parametrize("name", ["leak", "leaking/secret", "leaking/assets/site.css", ".env"])
def test_links_that_lead_out_and_dot_files_are_not_served(
    stack: MakeStack, folder: Path, name: str, autorefresh: bool
) -> None:
    answer = stack(StaticFiles(folders={"/static": folder}, autorefresh=autorefresh)).request(f"/static/{name}")
    assert answer.body == b"hello"


def test_a_link_inside_the_folder_and_well_known_are_served(stack: MakeStack, files: StaticFiles) -> None:
    assert stack(files).request("/static/inside.css").body == CSS
    assert stack(files).request("/static/.well-known/security.txt").body == b"Contact: x"


def test_dot_files_can_be_allowed(stack: MakeStack, folder: Path) -> None:
    assert stack(StaticFiles(folders={"/s": folder}, dotfiles=True)).request("/s/.env").body == b"SECRET"


def test_a_head_has_the_fields_of_the_get(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files)
    head, get = chain.request("/static/site.css", method="HEAD"), chain.request("/static/site.css")
    assert (head.status, head.body) == (200, b"")
    assert sorted(head.headers) == sorted(get.headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_another_method_on_a_file_is_405_with_allow(stack: MakeStack, files: StaticFiles, method: str) -> None:
    answer = stack(files).request("/static/site.css", method=method)
    assert (answer.status, answer.get("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=990-", 990, 1000), ("bytes=-5", 995, 1000)],
)
def test_one_range_is_206(stack: MakeStack, files: StaticFiles, value: str, start: int, stop: int) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Range", value)])
    assert (answer.status, answer.body) == (206, CSS[start:stop])
    assert answer.get("content-range") == f"bytes {start}-{stop - 1}/1000"
    assert answer.get("content-length") == str(stop - start)


@pytest.mark.parametrize("value", ["bytes=0-1,4-5", "items=0-1", "bytes=5-4", "bytes=x"])
def test_several_ranges_and_what_is_none_get_the_whole(stack: MakeStack, files: StaticFiles, value: str) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Range", value)])
    assert (answer.status, answer.body) == (200, CSS)


def test_a_range_behind_the_end_is_416_with_the_size(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Range", "bytes=1000-")])
    assert (answer.status, answer.get("content-range")) == (416, "bytes */1000")


def test_a_range_is_of_the_file_as_it_is_never_of_a_coded_one(stack: MakeStack, files: StaticFiles) -> None:
    fields = [("Range", "bytes=0-3"), ("Accept-Encoding", "gzip")]
    answer = stack(files).request("/static/site.css", headers=fields)
    assert (answer.status, answer.body, answer.get("content-encoding")) == (206, CSS[:4], None)


def test_a_head_ignores_ranges(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/site.css", method="HEAD", headers=[("Range", "bytes=0-3")])
    assert (answer.status, answer.get("content-length")) == (200, "1000")


def test_if_range_wants_the_strong_tag_or_the_exact_date(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files)
    tag = chain.request("/static/site.css").get("etag") or ""
    for value, status in ((tag, 206), (f"W/{tag}", 200), ('"other"', 200), (DATE, 206), ("x", 200)):
        fields = [("Range", "bytes=0-3"), ("If-Range", value)]
        assert chain.request("/static/site.css", headers=fields).status == status, value


def test_preconditions_are_evaluated_before_ranges(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files)
    tag = chain.request("/static/site.css").get("etag") or ""
    cases = [
        ([("If-None-Match", tag)], 304),
        ([("If-None-Match", f'"x", W/{tag}')], 304),
        ([("If-None-Match", "*")], 304),
        ([("If-None-Match", '"x"'), ("If-Modified-Since", DATE)], 200),
        ([("If-Modified-Since", DATE)], 304),
        ([("If-None-Match", tag), ("Range", "bytes=0-3")], 304),
        ([("If-Match", '"x"'), ("Range", "bytes=0-3")], 412),
        ([("If-Unmodified-Since", "Mon, 13 Nov 2023 22:13:20 GMT")], 412),
    ]
    for fields, status in cases:
        assert chain.request("/static/site.css", headers=fields).status == status, fields
    unchanged = chain.request("/static/site.css", headers=[("If-None-Match", tag)])
    assert unchanged.get("etag") == tag
    assert unchanged.get("cache-control") == "public, max-age=60"
    assert unchanged.get("content-type") is None


@pytest.mark.parametrize(
    ("accept", "coding"),
    [("gzip", "gzip"), ("br, gzip", "br"), ("br;q=0, gzip", "gzip"), ("gzip;q=0", None), ("identity", None)],
)
def test_a_precompressed_variant_is_chosen_by_quality(
    stack: MakeStack, files: StaticFiles, folder: Path, accept: str, coding: str | None
) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Accept-Encoding", accept)])
    suffix = {"gzip": ".gz", "br": ".br", None: ""}[coding]
    assert answer.get("content-encoding") == coding
    assert answer.body == (folder / f"site.css{suffix}").read_bytes()
    assert answer.get("vary") == "Accept-Encoding"
    assert answer.get("content-type") == "text/css; charset=utf-8"


def test_precompressed_files_can_be_left_alone(stack: MakeStack, folder: Path) -> None:
    chain = stack(StaticFiles(folders={"/static": folder}, precompressed=False))
    answer = chain.request("/static/site.css", headers=[("Accept-Encoding", "br, gzip, zstd")])
    assert (answer.status, answer.get("content-encoding"), answer.get("vary")) == (200, None, None)


def test_each_variant_has_an_entity_tag_of_its_own(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files)
    tags = {
        chain.request("/static/site.css", headers=[("Accept-Encoding", accept)]).get("etag")
        for accept in ("gzip", "br", "identity")
    }
    assert len(tags) == 3
    tag = chain.request("/static/site.css", headers=[("Accept-Encoding", "gzip")]).get("etag") or ""
    fields = [("Accept-Encoding", "gzip"), ("If-None-Match", tag)]
    assert chain.request("/static/site.css", headers=fields).status == 304
    assert chain.request("/static/site.css", headers=[("If-None-Match", tag)]).status == 200


def test_a_variant_older_than_its_file_is_not_served(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/stale.css", headers=[("Accept-Encoding", "gzip")])
    assert (answer.body, answer.get("content-encoding"), answer.get("vary")) == (CSS, None, None)


@pytest.mark.parametrize("name", ["app.0123456789ab.js", "app-deadbeefface.js"])
def test_a_name_with_a_hash_is_cached_for_a_year(stack: MakeStack, files: StaticFiles, name: str) -> None:
    wanted = {"app.0123456789ab.js": "public, max-age=31536000, immutable", "app-deadbeefface.js": "public, max-age=60"}
    assert stack(files).request(f"/static/{name}").get("cache-control") == wanted[name]


def test_the_test_for_immutable_names_is_an_option(stack: MakeStack, folder: Path) -> None:
    files = StaticFiles(folders={"/s": folder}, immutable=lambda name: name == "site.css")
    assert "immutable" in (stack(files).request("/s/site.css").get("cache-control") or "")


def test_a_folder_is_its_index_file_and_is_redirected_to_its_one_spelling(stack: MakeStack, files: StaticFiles) -> None:
    assert stack(files).request("/static/docs/").body == b"<h1>docs</h1>"
    answer = stack(files).request("/static/docs?a=b%20c")
    assert (answer.status, answer.get("location")) == (308, "/static/docs/?a=b%20c")


def test_a_redirect_never_leads_to_another_host(stack: MakeStack, folder: Path) -> None:
    files = StaticFiles(folders={"/": folder}, index_file="index.html")
    for target in ("//docs", "//evil.example/docs", "/%2fdocs", "/\\docs"):
        answer = stack(files).request(target)
        assert not (answer.get("location") or "").startswith(("//", "/\\")), target


def test_a_compressed_download_is_not_announced_as_coded(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/data.tar.gz")
    assert (answer.get("content-type"), answer.get("content-encoding")) == ("application/octet-stream", None)


def test_an_empty_file_is_empty(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/empty.txt")
    assert (answer.status, answer.body, answer.get("content-length")) == (200, b"", "0")


def test_names_that_are_not_ascii_or_hold_spaces_are_found(stack: MakeStack, files: StaticFiles) -> None:
    assert stack(files).request("/static/docs/%C3%A9%20b.txt").body == b"text"


def test_options_for_fields_and_types_replace_the_built_in_ones(stack: MakeStack, folder: Path) -> None:
    files = StaticFiles(
        folders={"/s": folder},
        headers=(("Cache-Control", "no-cache"), ("Access-Control-Allow-Origin", "*")),
        types={".css": "text/plain"},
        charset="latin-1",
    )
    answer = stack(files).request("/s/site.css")
    assert answer.get("cache-control") == "no-cache"
    assert answer.get("access-control-allow-origin") == "*"
    assert answer.get("content-type") == "text/plain; charset=latin-1"


def test_the_longest_prefix_is_asked_first(stack: MakeStack, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "site.css").write_bytes(b"other")
    files = StaticFiles(folders={"/static": folder, "/static/special": other})
    assert stack(files).request("/static/special/site.css").body == b"other"
    assert stack(files).request("/static/site.css").body == CSS


def test_autorefresh_sees_new_files_and_the_index_does_not(stack: MakeStack, folder: Path) -> None:
    fresh = stack(StaticFiles(folders={"/s": folder}, autorefresh=True))
    fixed = stack(StaticFiles(folders={"/s": folder}))
    (folder / "new.txt").write_bytes(b"new")
    assert fresh.request("/s/new.txt").body == b"new"
    assert fixed.request("/s/new.txt").body == b"hello"


def test_small_files_are_kept_as_they_were_the_smallest_first(stack: MakeStack, tmp_path: Path) -> None:
    for name, size in (("a", 100), ("b", 50), ("c", 65536), ("d", 65537)):
        (tmp_path / name).write_bytes(b"1" * size)
    chain = stack(StaticFiles(folders={"/s": tmp_path}, memory=65536 + 100 + 50 - 1))
    whole = stack(StaticFiles(folders={"/s": tmp_path}))
    for name in "abcd":
        path = tmp_path / name
        path.write_bytes(b"2" * path.stat().st_size)
    assert [chain.request(f"/s/{name}").body[:1] for name in "abcd"] == [b"1", b"1", b"2", b"2"]
    assert [whole.request(f"/s/{name}").body[:1] for name in "abcd"] == [b"1", b"1", b"1", b"2"]
    assert [len(chain.request(f"/s/{name}").body) for name in "abcd"] == [100, 50, 65536, 65537]


def test_a_file_that_cannot_be_kept_is_sent_from_disk(
    stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "growing", "kept"):
        (tmp_path / name).write_bytes(b"1234")
    read = Path.read_bytes

    def racing(path: Path) -> bytes:
        if path.name == "gone":
            raise FileNotFoundError(path)
        return read(path) + (b"5" if path.name == "growing" else b"")

    monkeypatch.setattr(Path, "read_bytes", racing)
    chain = stack(StaticFiles(folders={"/s": tmp_path}))
    for name in ("gone", "growing", "kept"):
        (tmp_path / name).write_bytes(b"abcd")
    bodies = {name: chain.request(f"/s/{name}").body for name in ("gone", "growing", "kept")}
    assert bodies == {"gone": b"abcd", "growing": b"abcd", "kept": b"1234"}


def test_the_web_server_in_front_can_be_told_to_send_the_file(stack: MakeStack, folder: Path) -> None:
    nginx = stack(StaticFiles(folders={"/s": folder}, accelerate=("X-Accel-Redirect", "/internal/")))
    answer = nginx.request("/s/docs/%C3%A9%20b.txt")
    assert (answer.body, answer.get("x-accel-redirect")) == (b"", "/internal/s/docs/%C3%A9%20b.txt")
    coded = nginx.request("/s/site.css", headers=[("Accept-Encoding", "gzip")])
    assert (coded.get("x-accel-redirect"), coded.get("content-encoding")) == ("/internal/s/site.css.gz", "gzip")
    apache = stack(StaticFiles(folders={"/s": folder}, accelerate=("X-Sendfile", "")))
    assert apache.request("/s/site.css").get("x-sendfile") == str(folder / "site.css")


def test_what_is_inside_sees_other_requests_only(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files, script=Script(status=404))
    assert chain.request("/static/none").status == 404
    assert len(chain.seen) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"folders": {}},
        {"folders": {"static": "."}},
        {"folders": {"/a//b": "."}},
        {"folders": {"/static": "no-such-folder"}},
        {"folders": {"/static": "."}, "max_age": -1},
        {"folders": {"/static": "."}, "memory": -1},
        {"folders": {"/static": "."}, "accelerate": ("X-Other", "")},
        {"folders": {"/static": "."}, "headers": (("bad name", "x"),)},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises((ConfigurationError, ValueError)):
        StaticFiles(**options)  # type: ignore[arg-type]


PATHSEND, ZEROCOPYSEND = "http.response.pathsend", "http.response.zerocopysend"


@pytest.mark.parametrize(
    ("offered", "field", "kinds"),
    [
        ([PATHSEND], (), [PATHSEND]),
        ([PATHSEND], ((b"range", b"bytes=1-3"),), ["http.response.body", "http.response.body"]),
        ([ZEROCOPYSEND], (), [ZEROCOPYSEND]),
        ([ZEROCOPYSEND], ((b"range", b"bytes=1-3"),), [ZEROCOPYSEND]),
        ([PATHSEND, ZEROCOPYSEND], (), [PATHSEND]),
        ([PATHSEND, ZEROCOPYSEND], ((b"range", b"bytes=1-3"),), [ZEROCOPYSEND]),
        ([], (), ["http.response.body", "http.response.body"]),
    ],
    ids=["path", "path-range", "copy", "copy-range", "both", "both-range", "none"],
)
def test_a_file_is_sent_by_the_server_where_it_can(
    folder: Path, offered: list[str], field: tuple[tuple[bytes, bytes], ...], kinds: list[str]
) -> None:
    sent: list[dict[str, object]] = []

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("not called")

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/static/site.css",
        "raw_path": b"/static/site.css",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org"), *field],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {name: {} for name in offered},
    }
    files = StaticFiles(folders={"/static": folder}, memory=0)
    asyncio.run(Gateway(app, middleware=[files]).asgi(scope, receive, send))
    assert [message["type"] for message in sent[1:]] == kinds
