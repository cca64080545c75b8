"""Every behaviour of the adapters has a test that names it, and the page that lists them is current."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from tests.adapters import rows
from tests.adapters.asgi_under_wsgi import MODES as HERE_MODES
from tests.adapters.driving import serve
from tests.adapters.rows import MODES, MOST_EXCUSES, NOT_APPLICABLE, OPEN, PAGE, ROWS, mode_of, page, rows_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

variable = ContextVar("variable", default="unset")


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.adapters.rows"


def test_every_row_has_a_test_and_every_test_of_a_row_has_a_row() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow or not slow", str(HERE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    modes: dict[str, set[str]] = {}
    for line in listed.splitlines():
        for row in rows_of(line) if "::" in line else ():
            modes.setdefault(row, set()).add(mode_of(line))
    assert modes.keys() == {row.id for row in ROWS}
    here = {"pool", *HERE_MODES}  # what this interpreter has
    missing = {row.id: set(row.applies_in()) & here - modes[row.id] for row in ROWS if not row.modes}
    assert not {row: lacking for row, lacking in missing.items() if lacking}


def test_no_row_is_listed_twice_and_each_excuse_is_one_of_a_row() -> None:
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))
    assert not OPEN.keys() & set(ids)
    assert len(NOT_APPLICABLE) <= MOST_EXCUSES
    for row, mode in NOT_APPLICABLE:
        assert row in ids
        assert mode in MODES[row[0]]


@pytest.mark.parametrize(
    ("test", "named", "mode"),
    [
        ("tests/adapters/test_x.py::test_b12_it_holds[lend-1]", {"B12"}, "lend"),
        ("tests/adapters/test_x.py::test_A06b_it_holds[asyncio]", {"A06b"}, "pool"),
        ("tests/adapters/test_x.py::test_inputs[A20-read]", {"A20"}, "pool"),
        ("tests/adapters/test_x.py::test_any[shared]", set(), "shared"),
    ],
)
def test_a_test_names_its_row_and_its_mode(test: str, named: set[str], mode: str) -> None:
    assert rows_of(test) == named
    assert mode_of(test) == mode


@pytest.mark.parametrize(("holds", "status"), [(True, 1), (False, 0)])
def test_an_excused_row_that_passes_is_an_error(tmp_path: Path, holds: bool, status: int) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.adapters.rows import excuse\n"
        "def pytest_collection_modifyitems(items):\n"
        "    excuse(items, {('B12', 'lend'): 'by its meaning'})\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('mode', ['shared', 'lend'])\n"
        f"def test_b12_it_holds(mode): assert mode == 'shared' or {holds}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rxX", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert "B12: by its meaning" in done.stdout


def test_the_table_says_where_a_row_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Every row holds in every mode of its direction." in list(rows.table())
    monkeypatch.setattr(rows, "NOT_APPLICABLE", {("B13", "lend"): "because"})
    lines = list(rows.table())
    assert "- B13 does not apply in mode `lend`: because" in lines
    assert next(line for line in lines if line.startswith("| B13")).endswith("| shared |")


# rows that have no other place


def test_a43_cookies_stay_in_order_and_names_are_lower_cased() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Set-Cookie", "b=2"), ("X-A", "1"), ("SET-COOKIE", "a=1")])
        return [b"x"]

    assert serve(WsgiToAsgi(app)).headers == [(b"set-cookie", b"b=2"), (b"x-a", b"1"), (b"set-cookie", b"a=1")]


def test_a59_hop_by_hop_fields_of_the_application_are_dropped() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("X-A", "1")])
        return [b"x"]

    assert serve(WsgiToAsgi(app)).headers == [(b"x-a", b"1")]


@pytest.mark.parametrize(("status", "left"), [("204 No Content", []), ("200 OK", [(b"content-length", b"0")])])
def test_a75_a_204_is_sent_without_a_content_length(status: str, left: list[tuple[bytes, bytes]]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, [("Content-Length", "0"), ("ETag", '"1"')])
        return []

    assert serve(WsgiToAsgi(app)).headers == [*left, (b"etag", b'"1"')]


def test_a74_close_runs_in_the_thread_and_the_context_of_the_request() -> None:
    where: list[tuple[int, str]] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

        def close(self) -> None:
            where.append((threading.get_ident(), variable.get()))

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        variable.set("of the request")
        where.append((threading.get_ident(), variable.get()))
        start_response("200 OK", [])
        return Body()

    serve(WsgiToAsgi(app))
    assert where[0] == where[1]
    assert where[0][0] != threading.get_ident()
    assert where[0][1] == "of the request"
