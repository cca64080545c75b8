"""Control signals through every chain and both adapters come to what one table says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, start
from tests.gateway.drivers.signals import CHAINS, MEANINGS, PATHS, SIGNALS, TABLE, Row, play
from tests.gateway.drivers.upgrades import bytes_after_close

ROOT = str(Path(__file__).resolve().parents[3])


def test_the_table_has_every_signal_on_every_path() -> None:
    rows = {(row.signal, row.path) for row in TABLE}
    assert len(rows) == len(TABLE)
    # An ASGI server has no socket to hand over.
    assert rows == {(signal, path) for signal in SIGNALS for path in PATHS if signal != "sign-off" or path == "wsgi"}
    assert set(MEANINGS) == set(SIGNALS)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.signal}-{row.path}")
def test_a_signal_comes_to_what_the_table_says(row: Row, chain: str) -> None:
    came = play(row.signal, row.path, chain)
    expected = row.errors if "Errors" in chain else row.plain
    # Not every chain keeps an outcome and writes a line.
    assert came == dataclasses.replace(
        expected,
        outcome=expected.outcome if came.outcome else "",
        line=expected.line if "AccessLog" in chain else "",
    )
    assert bool(came.outcome) == (chain in ("hooks", "generator", "AccessLog, Errors"))


def test_a_sign_off_passes_two_adapters() -> None:
    target = "tests.gateway.drivers.sign_off_site:twice"
    launch = Launch(target=target, bind=Bind(port=0), app_dir=ROOT, hooks=True)
    with start(servers.get("gunicorn-gthread"), launch) as running:
        assert bytes_after_close(running.bind, 30.0) == b"\x88\x02\x03\xe8"
