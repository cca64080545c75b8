"""StaticFiles: every file by one spelling, with validators, ranges and variants, and nothing outside the folder."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import zstandard

from gateway import Gateway
from gateway.errors import ConfigurationError
from gateway.middleware import _static_index
from gateway.middleware._static_index import Index
from gateway.middleware.errors import Errors
from gateway.middleware.static_files import StaticFiles
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script, Stack
from tests.middleware.test_static_paths import TRAVERSALS
from tests.shows import shows

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


@shows("An entity tag for each coding, Last-Modified, Accept-Ranges, Content-Type with charset, nosniff")
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


@shows("What is no file passes to the application")
def test_a_request_without_a_file_reaches_the_application(stack: MakeStack, files: StaticFiles) -> None:
    for target in ("/", "/static", "/static/none.css", "/staticx/site.css", "/static/"):
        assert stack(files).request(target).body == b"hello"


@shows("One canonical URL only; NUL, backslash, .., %2e, drive letters, Windows names are refused")
@pytest.mark.parametrize("spelling", TRAVERSALS)
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
def test_no_spelling_leads_out_of_the_folder(stack: MakeStack, folder: Path, spelling: str, autorefresh: bool) -> None:
    answer = stack(StaticFiles(folders={"/static": folder}, autorefresh=autorefresh)).request(f"/static/{spelling}")
    assert answer.body == b"hello"


@shows("Symbolic links out of the root and dot files are denied")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
@pytest.mark.parametrize("name", ["leak", "leaking/secret", "leaking/assets/site.css", ".env"])
def test_links_that_lead_out_and_dot_files_are_not_served(
    stack: MakeStack, folder: Path, name: str, autorefresh: bool
) -> None:
    answer = stack(StaticFiles(folders={"/static": folder}, autorefresh=autorefresh)).request(f"/static/{name}")
    assert answer.body == b"hello"


@shows("Symbolic links out of the root and dot files are denied")
def test_a_link_inside_the_folder_and_well_known_are_served(stack: MakeStack, files: StaticFiles) -> None:
    assert stack(files).request("/static/inside.css").body == CSS
    assert stack(files).request("/static/.well-known/security.txt").body == b"Contact: x"


@shows("Symbolic links out of the root and dot files are denied")
def test_dot_files_can_be_allowed(stack: MakeStack, folder: Path) -> None:
    assert stack(StaticFiles(folders={"/s": folder}, dotfiles=True)).request("/s/.env").body == b"SECRET"


@shows("GET and HEAD, else 405 with Allow")
def test_a_head_has_the_fields_of_the_get(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files)
    head, get = chain.request("/static/site.css", method="HEAD"), chain.request("/static/site.css")
    assert (head.status, head.body) == (200, b"")
    assert sorted(head.headers) == sorted(get.headers)


@shows("GET and HEAD, else 405 with Allow")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_than_get_and_head_for_a_file_get_405(stack: MakeStack, files: StaticFiles, method: str) -> None:
    answer = stack(files).request("/static/site.css", method=method)
    assert (answer.status, answer.get("allow")) == (405, "GET, HEAD")


@shows("A single range is 206, also 0-0, suffix and open; several get the whole; 416 with the size")
@shows(
    "The server sends the file: wsgi.file_wrapper, http.response.pathsend, http.response.zerocopysend; in "
    "blocks where it can none"
)
@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=990-", 990, 1000), ("bytes=-5", 995, 1000)],
)
def test_one_range_is_206(stack: MakeStack, files: StaticFiles, value: str, start: int, stop: int) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Range", value)])
    assert (answer.status, answer.body) == (206, CSS[start:stop])
    assert answer.get("content-range") == f"bytes {start}-{stop - 1}/1000"
    assert answer.get("content-length") == str(stop - start)


@shows("A single range is 206, also 0-0, suffix and open; several get the whole; 416 with the size")
@pytest.mark.parametrize("value", ["bytes=0-1,4-5", "items=0-1", "bytes=5-4", "bytes=x"])
def test_several_or_invalid_ranges_get_the_whole_file(stack: MakeStack, files: StaticFiles, value: str) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Range", value)])
    assert (answer.status, answer.body) == (200, CSS)


@shows("A single range is 206, also 0-0, suffix and open; several get the whole; 416 with the size")
def test_a_range_beyond_the_end_gets_416_with_the_size(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/site.css", headers=[("Range", "bytes=1000-")])
    assert (answer.status, answer.get("content-range")) == (416, "bytes */1000")


@shows("A range applies to the file as it is, never to a coded variant")
def test_ranges_are_of_the_uncompressed_file(stack: MakeStack, files: StaticFiles) -> None:
    fields = [("Range", "bytes=0-3"), ("Accept-Encoding", "gzip")]
    answer = stack(files).request("/static/site.css", headers=fields)
    assert (answer.status, answer.body, answer.get("content-encoding")) == (206, CSS[:4], None)


@shows("A single range is 206, also 0-0, suffix and open; several get the whole; 416 with the size")
def test_a_head_ignores_ranges(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/site.css", method="HEAD", headers=[("Range", "bytes=0-3")])
    assert (answer.status, answer.get("content-length")) == (200, "1000")


@shows("If-Range wants a strong tag or the exact date")
def test_if_range_wants_the_strong_tag_or_the_exact_date(stack: MakeStack, files: StaticFiles) -> None:
    chain = stack(files)
    tag = chain.request("/static/site.css").get("etag") or ""
    for value, status in ((tag, 206), (f"W/{tag}", 200), ('"other"', 200), (DATE, 206), ("x", 200)):
        fields = [("Range", "bytes=0-3"), ("If-Range", value)]
        assert chain.request("/static/site.css", headers=fields).status == status, value


@shows("If-None-Match lists, weak and *, before If-Modified-Since; preconditions before ranges")
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


@shows("Precompressed br, gz and zst by quality; a stale variant is not served")
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


@shows("Charset, media types and further fields are options; precompressed files can be left alone")
def test_precompressed_files_can_be_left_alone(stack: MakeStack, folder: Path) -> None:
    chain = stack(StaticFiles(folders={"/static": folder}, precompressed=False))
    answer = chain.request("/static/site.css", headers=[("Accept-Encoding", "br, gzip, zstd")])
    assert (answer.status, answer.get("content-encoding"), answer.get("vary")) == (200, None, None)


@shows("An entity tag for each coding, Last-Modified, Accept-Ranges, Content-Type with charset, nosniff")
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


@shows("Precompressed br, gz and zst by quality; a stale variant is not served")
def test_a_variant_older_than_its_file_is_not_served(stack: MakeStack, files: StaticFiles) -> None:
    answer = stack(files).request("/static/stale.css", headers=[("Accept-Encoding", "gzip")])
    assert (answer.body, answer.get("content-encoding"), answer.get("vary")) == (CSS, None, None)


@shows("A name with a hash is immutable for a year; the test is an option")
@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        ("app.0123456789ab.js", True),
        ("app-3F2A90C1.css", True),
        ("app.0123456789ab.min.js", True),
        ("app-deadbeefface.js", False),
        ("report-20240131.pdf", False),
        ("photo.1700000000.jpg", False),
        ("invoice-123456789012345678901234567890.pdf", False),
        ("app.3f2a90c.js", False),
    ],
)
def test_names_with_a_hash_are_cached_for_a_year_and_dates_are_not(
    stack: MakeStack, tmp_path: Path, name: str, hashed: bool
) -> None:
    (tmp_path / name).write_bytes(b"content")
    wanted = "public, max-age=31536000, immutable" if hashed else "public, max-age=60"
    assert stack(StaticFiles(folders={"/s": tmp_path})).request(f"/s/{name}").get("cache-control") == wanted


@shows("A name with a hash is immutable for a year; the test is an option")
@pytest.mark.parametrize(
    ("option", "names"),
    [
        (lambda name: name == "site.css", {"site.css"}),
        (r"^docs/|\.js$", {"docs/index.html", "app.0123456789ab.js", "app-deadbeefface.js"}),
        ("hashed", {"app.0123456789ab.js"}),
        (None, set()),
    ],
    ids=["function", "pattern", "hashed", "none"],
)
def test_an_option_selects_immutable_files(stack: MakeStack, folder: Path, option: Any, names: set[str]) -> None:
    chain = stack(StaticFiles(folders={"/s": folder}, immutable=option))
    asked = ("site.css", "app.0123456789ab.js", "app-deadbeefface.js", "docs/index.html")
    assert {name for name in asked if "immutable" in (chain.request(f"/s/{name}").get("cache-control") or "")} == names


@shows("Index file, and a redirect of a folder with the // guard")
def test_a_folder_serves_its_index_file_and_redirects_without_the_slash(stack: MakeStack, files: StaticFiles) -> None:
    assert stack(files).request("/static/docs/").body == b"<h1>docs</h1>"
    answer = stack(files).request("/static/docs?a=b%20c")
    assert (answer.status, answer.get("location")) == (308, "/static/docs/?a=b%20c")


@shows("Index file, and a redirect of a folder with the // guard")
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


@shows("One canonical URL only; NUL, backslash, .., %2e, drive letters, Windows names are refused")
def test_names_that_are_not_ascii_or_hold_spaces_are_found(stack: MakeStack, files: StaticFiles) -> None:
    assert stack(files).request("/static/docs/%C3%A9%20b.txt").body == b"text"


@shows("Charset, media types and further fields are options; precompressed files can be left alone")
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


@shows("A prefix map; files are found once, or at each request with autorefresh; the longest prefix first")
def test_the_longest_prefix_is_asked_first(stack: MakeStack, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "site.css").write_bytes(b"other")
    files = StaticFiles(folders={"/static": folder, "/static/special": other})
    assert stack(files).request("/static/special/site.css").body == b"other"
    assert stack(files).request("/static/site.css").body == CSS


@shows("A prefix map; files are found once, or at each request with autorefresh; the longest prefix first")
def test_autorefresh_sees_new_files_and_the_index_does_not(stack: MakeStack, folder: Path) -> None:
    fresh = stack(StaticFiles(folders={"/s": folder}, autorefresh=True))
    fixed = stack(StaticFiles(folders={"/s": folder}))
    (folder / "new.txt").write_bytes(b"new")
    assert fresh.request("/s/new.txt").body == b"new"
    assert fixed.request("/s/new.txt").body == b"hello"


@shows("Small files are kept in memory, the smallest first, within a bound")
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


@shows("Small files are kept in memory, the smallest first, within a bound")
def test_a_file_that_cannot_be_kept_is_sent_from_disk(
    stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "growing", "kept"):
        (tmp_path / name).write_bytes(b"1234")
    read = _static_index._read

    def racing(path: str) -> bytes:
        if path.endswith("gone"):
            raise FileNotFoundError(path)
        return read(path) + (b"5" if path.endswith("growing") else b"")

    monkeypatch.setattr(_static_index, "_read", racing)
    chain = stack(StaticFiles(folders={"/s": tmp_path}))
    for name in ("gone", "growing", "kept"):
        (tmp_path / name).write_bytes(b"abcd")
    bodies = {name: chain.request(f"/s/{name}").body for name in ("gone", "growing", "kept")}
    assert bodies == {"gone": b"abcd", "growing": b"abcd", "kept": b"1234"}


@shows("X-Accel-Redirect and X-Sendfile by option")
def test_the_web_server_in_front_can_be_told_to_send_the_file(stack: MakeStack, folder: Path) -> None:
    nginx = stack(StaticFiles(folders={"/s": folder}, accelerate=("X-Accel-Redirect", "/internal/")))
    answer = nginx.request("/s/docs/%C3%A9%20b.txt")
    assert (answer.body, answer.get("x-accel-redirect")) == (b"", "/internal/s/docs/%C3%A9%20b.txt")
    (folder / "docs" / "index.html.gz").write_bytes(b"\x1f\x8b")
    index = stack(StaticFiles(folders={"/s": folder}, index_file="index.html", accelerate=("X-Accel-Redirect", "/i")))
    answer = index.request("/s/docs/", headers=[("Accept-Encoding", "gzip")])
    assert (answer.get("x-accel-redirect"), answer.get("content-encoding")) == ("/i/s/docs/index.html.gz", "gzip")
    coded = nginx.request("/s/site.css", headers=[("Accept-Encoding", "gzip")])
    assert (coded.get("x-accel-redirect"), coded.get("content-encoding")) == ("/internal/s/site.css.gz", "gzip")
    apache = stack(StaticFiles(folders={"/s": folder}, accelerate=("X-Sendfile", "")))
    assert apache.request("/s/site.css").get("x-sendfile") == str(folder / "site.css")


@shows("What is no file passes to the application")
def test_a_request_for_a_missing_file_reaches_the_application(stack: MakeStack, files: StaticFiles) -> None:
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
        {"folders": {"/static": "."}, "immutable": "("},
        {"folders": {"/static": "."}, "immutable": 1},
        {"folders": {"/static": "."}, "accelerate": ("X-Other", "")},
        {"folders": {"/static": "."}, "headers": (("bad name", "x"),)},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises((ConfigurationError, ValueError)):
        StaticFiles(**options)  # type: ignore[arg-type]


# files that change after they were found

BIG = b"1" * 100_000


def ask(chain: Stack, name: str, **more: Any) -> tuple[int, bytes, str | None, str | None]:
    """Ask for a file: its status, its body, its length and its tag."""
    answer = chain.request(f"/s/{name}", **more)
    assert answer.error is None
    return answer.status, answer.body, answer.get("content-length"), answer.get("etag")


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
@pytest.mark.parametrize(
    "content",
    [b"2" * 70_000, b"2" * 200_000, b"2" * 100_000, b"2" * 10, b""],
    ids=["shorter", "longer", "same-size", "small", "empty"],
)
def test_the_headers_describe_a_replaced_file_correctly(
    stack: MakeStack, tmp_path: Path, content: bytes, autorefresh: bool
) -> None:
    path = tmp_path / "app.js"
    path.write_bytes(BIG)
    os.utime(path, (WHEN, WHEN))
    chain = stack(StaticFiles(folders={"/s": tmp_path}, autorefresh=autorefresh))
    status, body, length, tag = ask(chain, "app.js")
    assert (status, body, length) == (200, BIG, "100000")
    other = tmp_path / "new"
    other.write_bytes(content)
    os.utime(other, (WHEN, WHEN))
    other.replace(path)
    held = [("If-None-Match", tag or "")]
    status, body, length, changed = ask(chain, "app.js", headers=held)
    assert (status, body, length) == (200, content, str(len(content)))
    assert changed != tag
    assert ask(chain, "app.js", headers=[("If-None-Match", changed or "")])[0] == 304
    assert ask(chain, "app.js", method="HEAD")[2] == str(len(content))
    assert ask(chain, "app.js", headers=[("Range", "bytes=0-9"), ("If-Range", tag or "")])[:2] == (200, content)
    wanted = (206, content[1:5]) if content else (416, b"")
    status, body, _, _ = ask(chain, "app.js", headers=[("Range", "bytes=1-4")])
    assert (status, body if content else b"") == wanted


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_for_a_removed_file_reaches_the_application(
    stack: MakeStack, tmp_path: Path, autorefresh: bool, method: str
) -> None:
    path = tmp_path / "app.js"
    path.write_bytes(BIG)
    chain = stack(StaticFiles(folders={"/s": tmp_path}, autorefresh=autorefresh), script=Script(status=404))
    assert chain.request("/s/app.js", method=method).status == 200
    path.unlink()
    answer = chain.request("/s/app.js", method=method, headers=[("If-None-Match", "*")])
    assert (answer.status, answer.error, len(answer.seen)) == (404, None, 1)
    path.write_bytes(b"2" * 70_000)
    assert chain.request("/s/app.js").body == b"2" * 70_000


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
def test_a_removed_file_is_searched_in_the_next_folder(stack: MakeStack, tmp_path: Path) -> None:
    for name in ("own", "shared/own"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "app.js").write_bytes(name.encode() + BIG)
    chain = stack(StaticFiles(folders={"/s/own": tmp_path / "own", "/s": tmp_path / "shared"}))
    assert chain.request("/s/own/app.js").body == b"own" + BIG
    (tmp_path / "own" / "app.js").unlink()
    assert chain.request("/s/own/app.js").body == b"shared/own" + BIG


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
def test_a_compressed_form_of_a_file_that_was_replaced_is_not_sent(stack: MakeStack, tmp_path: Path) -> None:
    path = tmp_path / "app.js"
    path.write_bytes(BIG * 2)
    (tmp_path / "app.js.br").write_bytes(BIG)
    chain = stack(StaticFiles(folders={"/s": tmp_path}))
    fields = [("Accept-Encoding", "br")]
    assert ask(chain, "app.js", headers=fields)[1] == BIG
    path.write_bytes(b"2" * 200_000)
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    answer = chain.request("/s/app.js", headers=fields)
    assert (answer.body, answer.get("content-encoding")) == (b"2" * 200_000, None)
    (tmp_path / "app.js.br").write_bytes(b"3" * 70_000)
    os.utime(tmp_path / "app.js.br", ns=(later, later))
    path.touch()
    os.utime(path, ns=(later, later))
    assert chain.request("/s/app.js").body == b"2" * 200_000
    (tmp_path / "app.js.br").unlink()
    assert chain.request("/s/app.js", headers=fields).body == b"2" * 200_000


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
def test_a_replacement_that_is_not_a_file_of_the_folder_is_not_served(
    stack: MakeStack, tmp_path: Path, autorefresh: bool
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(b"SECRET" * 20_000)
    path = root / "app.js"
    for take_place in (lambda: path.symlink_to(secret), path.mkdir, lambda: os.mkfifo(path)):
        path.write_bytes(BIG)
        chain = stack(StaticFiles(folders={"/s": root}, autorefresh=autorefresh))
        assert chain.request("/s/app.js").body == BIG
        path.unlink()
        take_place()
        assert chain.request("/s/app.js").body == b"hello"
        path.rmdir() if path.is_dir() else path.unlink()


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
def test_a_file_that_grows_while_it_is_served_has_one_length(
    stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(BIG)
    chain = stack(StaticFiles(folders={"/s": tmp_path}))
    stat_of = os.fstat

    def growing(descriptor: int) -> os.stat_result:
        status = stat_of(descriptor)
        if status.st_ino == path.stat().st_ino:
            with path.open("ab") as file:
                file.write(b"x")
        return status

    monkeypatch.setattr(_static_index.os, "fstat", growing)
    for _ in range(3):
        status, body, length, _ = ask(chain, "app.log")
        assert (status, str(len(body))) == (200, length)


@shows("A file or folder that cannot be read is logged once and is not served; a process without descriptors fails")
def test_a_request_for_an_unreadable_file_reaches_the_application(
    stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "app.js").write_bytes(BIG)
    chain = stack(StaticFiles(folders={"/s": tmp_path}), script=Script(status=404))

    def denied(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(_static_index, "_open_without_waiting", denied)
    assert [chain.request("/s/app.js").status for _ in range(3)] == [404] * 3
    assert caplog.text.count("app.js is not served: [Errno 13] Permission denied") == 1


@shows("A file or folder that cannot be read is logged once and is not served; a process without descriptors fails")
def test_without_free_descriptors_a_file_is_not_treated_as_missing(
    stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.js").write_bytes(BIG)
    chain = stack(Errors(), StaticFiles(folders={"/s": tmp_path}))

    def exhausted(path: str, flags: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(_static_index, "_open_without_waiting", exhausted)
    assert chain.request("/s/app.js").status == 500


# versions


@shows("A tag is the content's hash up to 4 MiB; Last-Modified is never in the future")
def test_a_new_version_with_equal_size_and_time_has_a_different_tag(stack: MakeStack, tmp_path: Path) -> None:
    """Reproducible builds and images give all files the same time."""
    tags = {}
    for version in (b"1", b"2"):
        for name, size in (("small.js", 100), ("big.js", 100_000)):
            (tmp_path / name).write_bytes(version * size)
            os.utime(tmp_path / name, (WHEN, WHEN))
        chain = stack(StaticFiles(folders={"/s": tmp_path}))
        for name in ("small.js", "big.js"):
            held = tags.get(name)
            status, body, _, tags[name] = ask(chain, name, headers=[("If-None-Match", held)] if held else [])
            assert (status, body[:1]) == (200, version)


@shows("A tag is the content's hash up to 4 MiB; Last-Modified is never in the future")
def test_the_same_content_has_the_same_tag_on_every_machine(stack: MakeStack, tmp_path: Path) -> None:
    tags = set()
    for when, memory in ((WHEN, 0), (WHEN + 5, 2**20)):
        (tmp_path / "a.js").write_bytes(b"content")
        os.utime(tmp_path / "a.js", (when, when))
        tags.add(ask(stack(StaticFiles(folders={"/s": tmp_path}, memory=memory)), "a.js")[3])
    assert len(tags) == 1


@shows("A tag is the content's hash up to 4 MiB; Last-Modified is never in the future")
def test_a_file_above_the_limit_is_tagged_by_size_and_time(
    stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_static_index, "HASHED", 1000)
    (tmp_path / "a.bin").write_bytes(BIG)
    os.utime(tmp_path / "a.bin", (WHEN, WHEN))
    assert ask(stack(StaticFiles(folders={"/s": tmp_path})), "a.bin")[3] == f'"{WHEN * 10**9:x}-{len(BIG):x}"'


@shows("A tag is the content's hash up to 4 MiB; Last-Modified is never in the future")
@pytest.mark.parametrize(("when", "future"), [(WHEN, False), (2**33, True), (0, False), (-1000, False)])
def test_last_modified_is_never_in_the_future(stack: MakeStack, tmp_path: Path, when: int, future: bool) -> None:
    """RFC 9110 section 8.8.2.1: a time later than the response is replaced by the response's."""
    (tmp_path / "a.js").write_bytes(b"content")
    os.utime(tmp_path / "a.js", (when, when))
    began = int(time.time())
    answer = stack(StaticFiles(folders={"/s": tmp_path})).request("/s/a.js")
    told = parsedate_to_datetime(answer.get("last-modified") or "").timestamp()
    if future:
        assert began <= told <= time.time()
    else:
        assert told == max(when, 0)


# compressed forms that no browser decodes


@shows("A zst file with a window above 8 MiB is not served, and the log says so once")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
@pytest.mark.parametrize(
    ("kind", "coding"), [("19", "zstd"), ("22", "br"), ("single", "br"), ("text", "br"), ("dictionary", "br")]
)
def test_a_zst_file_with_a_window_that_browsers_refuse_is_not_served(
    stack: MakeStack,
    tmp_path: Path,
    kind: str,
    coding: str,
    autorefresh: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = b"text of a page, " * 600_000
    dictionary = zstandard.train_dictionary(1024, [b"a line of text %d, and more" % number for number in range(2000)])
    streamed = zstandard.ZstdCompressor(level=22 if kind == "22" else 19).compressobj()
    compressed = {
        "19": lambda: streamed.compress(content) + streamed.flush(),
        "22": lambda: streamed.compress(content) + streamed.flush(),
        "single": lambda: zstandard.ZstdCompressor(level=22).compress(content),
        "text": lambda: b"not zstd",
        "dictionary": lambda: zstandard.ZstdCompressor(dict_data=dictionary).compress(content),
    }[kind]()
    for name, data in (("page.html", content), ("page.html.br", b"br"), ("page.html.zst", compressed)):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (WHEN, WHEN))
    chain = stack(StaticFiles(folders={"/s": tmp_path}, autorefresh=autorefresh))
    for _ in range(2):
        answer = chain.request("/s/page.html", headers=[("Accept-Encoding", "zstd, br")])
        assert (answer.status, answer.get("content-encoding")) == (200, coding)
    assert caplog.text.count("page.html.zst is not served") == (coding == "br")


# names and folders


@shows("Every name without control characters is found, by the spelling that its folder lists")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
@pytest.mark.parametrize(
    "name",
    [
        "Screenshot 2024-01-31 at 9.41.00\u202fAM.png",
        "soft\u00adhyphen.txt",
        "zero\u200bwidth.txt",
        "\u3000wide space.txt",
        "family \U0001f468\u200d\U0001f469\u200d\U0001f467.png",
        "private\ue000use.txt",
    ],
)
def test_every_name_without_control_characters_is_found(
    stack: MakeStack, tmp_path: Path, name: str, autorefresh: bool
) -> None:
    (tmp_path / name).write_bytes(b"found")
    assert stack(StaticFiles(folders={"/s": tmp_path}, autorefresh=autorefresh)).request(f"/s/{quote(name)}").body == (
        b"found"
    )


@shows("Every name without control characters is found, by the spelling that its folder lists")
@pytest.mark.parametrize("autorefresh", [False, True], ids=["index", "autorefresh"])
def test_only_the_spelling_that_the_folder_lists_finds_a_file(
    stack: MakeStack, folder: Path, autorefresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that finds SITE.CSS, or SITE~1.CSS, too."""
    stat_of = os.stat

    def careless(path: Any, **more: Any) -> os.stat_result:
        return stat_of(str(path).replace("SITE.CSS", "site.css").replace("ENV~1", ".env"), **more)

    monkeypatch.setattr(_static_index.os, "stat", careless)
    monkeypatch.setattr(_static_index.os.path, "realpath", lambda path, **more: str(path))
    chain = stack(StaticFiles(folders={"/s": folder}, autorefresh=autorefresh, memory=0))
    assert [chain.request(f"/s/{name}").body for name in ("SITE.CSS", "ENV~1")] == [b"hello"] * 2


@shows("A file or folder that cannot be read is logged once and is not served; a process without descriptors fails")
def test_links_that_lead_in_circles_end(stack: MakeStack, tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a"), ("ab", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_bytes(name.encode())
        (tmp_path / name / "link").symlink_to(tmp_path / other)
        (tmp_path / name / "up").symlink_to(tmp_path)
    chain = stack(StaticFiles(folders={"/s": tmp_path}))
    assert chain.request("/s/a/link/file.txt").body == b"b"
    assert chain.request("/s/ab/link/file.txt").body == b"a"
    assert chain.request("/s/a/link/link/file.txt").body == b"hello"
    assert chain.request("/s/a/up/b/file.txt").body == b"hello"


@shows("A file or folder that cannot be read is logged once and is not served; a process without descriptors fails")
def test_a_folder_that_cannot_be_listed_is_logged_and_the_others_are_served(
    stack: MakeStack, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listing = os.scandir

    def denied(path: str) -> Any:
        if path.endswith("docs"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(_static_index.os, "scandir", denied)
    chain = stack(StaticFiles(folders={"/s": folder}, index_file="index.html"))
    assert chain.request("/s/site.css").body == CSS
    assert chain.request("/s/docs/").body == b"hello"
    assert "docs are not served: [Errno 13] Permission denied" in caplog.text


# the start


@shows(
    "Files are found once, for both interfaces, within twice the time of WhiteNoise",
    once="it happens before any request",
)
def test_files_are_found_once_for_both_interfaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[Any] = []
    scan = Index.scan
    monkeypatch.setattr(Index, "scan", lambda index: scans.append(index) or scan(index))
    gateway = Gateway(lambda environ, start_response: [], middleware=[StaticFiles(folders={"/s": folder})])
    assert gateway.wsgi is not None
    assert gateway.asgi is not None
    assert len(scans) == 1


@shows("Files are found once, for both interfaces, within twice the time of WhiteNoise")
def test_finding_a_file_does_not_check_each_parent_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    for number in range(50):
        (deep / f"{number}.txt").write_bytes(b"x")
    looks: list[str] = []
    for module, name in ((os, "stat"), (os, "lstat"), (os, "scandir"), (os.path, "realpath"), (_static_index, "_read")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *args, name=name, real=real, **more: looks.append(name) or real(*args, **more)
        )
    Stack("wsgi", [StaticFiles(folders={"/s": tmp_path})])
    assert (looks.count("_read"), looks.count("scandir")) == (50, 4)
    assert looks.count("stat") + looks.count("lstat") + looks.count("realpath") < 20, "of the root only"


@shows("Files are found once, for both interfaces, within twice the time of WhiteNoise")
@pytest.mark.slow
def test_the_start_takes_no_more_than_twice_whitenoise_s(tmp_path: Path) -> None:
    from whitenoise import WhiteNoise

    for number in range(10_000):
        parent = tmp_path / f"folder{number % 100:02}"
        parent.mkdir(exist_ok=True)
        (parent / f"{number}.css").write_bytes(b"x" * (number % 4000))

    def app(environ: Any, start_response: Any) -> Any:
        raise AssertionError("not called")

    def theirs() -> None:
        WhiteNoise(app).add_files(str(tmp_path), prefix="static")

    def ours() -> None:
        gateway = Gateway(app, middleware=[StaticFiles(folders={"/static": tmp_path})])
        assert gateway.wsgi is not gateway.asgi

    def seconds(start: Callable[[], None]) -> float:
        began = time.process_time()
        start()
        return time.process_time() - began

    pairs = [(seconds(ours), seconds(theirs)) for _ in range(3)]
    assert min(mine / other for mine, other in pairs) < 2, pairs


PATHSEND, ZEROCOPYSEND = "http.response.pathsend", "http.response.zerocopysend"


@shows(
    "The server sends the file: wsgi.file_wrapper, http.response.pathsend, http.response.zerocopysend; in "
    "blocks where it can none"
)
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
