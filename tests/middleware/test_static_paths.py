"""A URL path leads to a file inside the folder, by one spelling, or nowhere."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._static_paths import safe_segments

GOOD = [
    ("file", "a.css", ["a.css"]),
    ("folders", "a/b/c.js", ["a", "b", "c.js"]),
    ("folder", "a/", ["a", ""]),
    ("root", "", [""]),
    ("space-inside", "a b.txt", ["a b.txt"]),
    ("not-ascii", "bücher/é.txt", ["bücher", "é.txt"]),
    ("two-dots-inside", "a..b", ["a..b"]),
    ("well-known", ".well-known/security.txt", [".well-known", "security.txt"]),
    ("narrow-space", "Screenshot 9.41\u202fAM.png", ["Screenshot 9.41\u202fAM.png"]),
    ("joined-emoji", "\U0001f468\u200d\U0001f469.png", ["\U0001f468\u200d\U0001f469.png"]),
    ("device-as-a-part", "console.log", ["console.log"]),
]
TRAVERSALS = [
    "../secret",
    "a/../../secret",
    "..",
    "a/..",
    ".",
    "a/./b",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "..%2fsecret",
    "..%5csecret",
    "..\\secret",
    "a\\..\\secret",
    "/etc/passwd",
    "//etc/passwd",
    "a//b",
    "C:/windows/win.ini",
    "C:%5cwindows",
    "file%00.txt",
    "file.txt%00.css",
    "%c0%ae%c0%ae/secret",
    "..;/secret",
    ".git/config",
    "a/.env",
    "a/.well-known/x",
    "con",
    "NUL.txt",
    "aux/x",
    "com1.log",
    "file.txt::$DATA",
    "file.txt.",
    "file.txt%20",
    "a./b",
    "file%0d%0a.txt",
    "file%7f.txt",
    "file%c2%85.txt",
    "file%ff.txt",
    "*.txt",
]


@pytest.mark.parametrize(("path", "expected"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_the_one_spelling_of_a_file_is_split_into_names(path: str, expected: list[str]) -> None:
    assert safe_segments(path) == expected


@pytest.mark.parametrize("spelling", TRAVERSALS)
def test_no_spelling_leads_out_of_the_folder_or_to_a_hidden_file(spelling: str) -> None:
    decoded = unquote(spelling, errors="surrogateescape")
    assert safe_segments(decoded) is None


def test_dotfiles_can_be_allowed_but_never_the_two_dots() -> None:
    assert safe_segments(".git/config", dotfiles=True) == [".git", "config"]
    assert safe_segments("../x", dotfiles=True) is None


@given(st.text(alphabet=st.sampled_from("ab./\\:% \x00\n~;é"), max_size=24), st.booleans())
def test_accepted_paths_stay_inside_the_folder_on_every_system(path: str, dotfiles: bool) -> None:
    segments = safe_segments(path, dotfiles=dotfiles)
    if segments is None:
        return
    assert "/".join(segments) == path
    posix = PurePosixPath("/srv/files").joinpath(*[name for name in segments if name])
    windows = PureWindowsPath("C:/files").joinpath(*[name for name in segments if name])
    assert ".." not in posix.parts
    assert posix.is_relative_to("/srv/files")
    assert windows.is_relative_to("C:/files")
