"""Mount points and paths in both spellings."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.paths import asgi_path, latin1_octets, path_octets, raw_target_path, split_mount, wsgi_path

TO_WSGI = [
    ("plain", "/x", "", b"/x", ("", "/x")),
    ("mounted", "/app/x", "/app", b"/app/x", ("/app", "/x")),
    ("mount-itself", "/app", "/app", b"/app", ("/app", "")),
    ("mount-with-slash", "/app/", "/app", b"/app/", ("/app", "/")),
    ("same-prefix-other-segment", "/appfoo", "/app", b"/appfoo", ("/app", "/appfoo")),
    ("root-ends-with-slash", "/app/x", "/app/", b"/app/x", ("/app", "/x")),
    ("root-without-first-slash", "/app/x", "app", b"/app/x", ("/app", "/x")),
    ("root-is-slash", "/x", "/", b"/x", ("", "/x")),
    ("utf-8", "/café", "", b"/caf%C3%A9", ("", "/caf\xc3\xa9")),
    ("not-utf-8", "/caf\ufffd", "", b"/caf%E9", ("", "/caf\xe9")),
    ("not-utf-8-escaped", "/caf\udce9", "", None, ("", "/caf\xe9")),
    ("not-utf-8-unknown", "/caf\ufffd", "", None, ("", "/caf\xef\xbf\xbd")),
    ("lone-surrogate", "/\ud800", "", None, ("", "/?")),
    ("rewritten", "/caffè", "", b"/caf%E9", ("", "/caff\xc3\xa8")),
    ("non-ascii-mount", "/é/x", "/é", b"/%C3%A9/x", ("/\xc3\xa9", "/x")),
    ("asterisk", "*", "", b"*", ("", "*")),
]


@pytest.mark.parametrize(("path", "root", "raw", "expected"), [c[1:] for c in TO_WSGI], ids=[c[0] for c in TO_WSGI])
def test_wsgi_path_splits_and_respells(path: str, root: str, raw: bytes | None, expected: tuple[str, str]) -> None:
    assert wsgi_path(path, root, raw) == expected


TO_ASGI = [
    ("plain", ("", "/x", "/x"), ("/x", "", b"/x")),
    ("mounted", ("/app", "/x", ""), ("/app/x", "/app", b"/app/x")),
    ("escaped-slash", ("", "/a/b", "/a%2Fb?q"), ("/a/b", "", b"/a%2Fb")),
    ("absolute-form", ("", "/a", "http://h:1/a"), ("/a", "", b"/a")),
    ("collapsed", ("", "/a/b", "//a%2Fb"), ("/a/b", "", b"//a%2Fb")),
    ("rewritten", ("", "/new", "/old"), ("/new", "", b"/new")),
    ("not-utf-8", ("", "/caf\xe9", ""), ("/caf\ufffd", "", b"/caf%E9")),
    ("reserved", ("", "/a b?c", ""), ("/a b?c", "", b"/a%20b%3Fc")),
]


@pytest.mark.parametrize(("given_", "expected"), [c[1:] for c in TO_ASGI], ids=[c[0] for c in TO_ASGI])
def test_asgi_path_joins_and_respells(given_: tuple[str, str, str], expected: tuple[str, str, bytes]) -> None:
    assert asgi_path(*given_) == expected


@given(st.binary(max_size=20), st.sampled_from([b"", b"/app", b"/\xc3\xa9", b"/a/b"]))
def test_wsgi_path_undoes_asgi_path_for_any_bytes(octets: bytes, mount: bytes) -> None:
    script_name, path_info = mount.decode("latin-1"), "/" + octets.decode("latin-1")
    path, root_path, raw_path = asgi_path(script_name, path_info, "")
    assert wsgi_path(path, root_path, raw_path) == (script_name, path_info)


@given(st.binary(max_size=20))
def test_a_path_as_a_server_decodes_it_keeps_its_bytes(octets: bytes) -> None:
    raw = quote(octets, safe="/")
    assert path_octets(unquote(raw), raw.encode()) == octets


@given(st.text(max_size=20), st.text("/ab", max_size=4))
def test_split_mount_loses_nothing(path: str, root: str) -> None:
    mount, rest = split_mount(path, root)
    assert path in (mount + rest, rest, root + rest)
    assert not mount or (mount.startswith("/") and not mount.endswith("/"))


def test_a_target_without_a_path_has_none() -> None:
    assert raw_target_path("") == b""
    assert raw_target_path("*") == b"*"
    assert raw_target_path("h:443") == b"h:443"


@given(st.text(max_size=10))
def test_latin1_octets_never_fails(text: str) -> None:
    assert isinstance(latin1_octets(text), bytes)
