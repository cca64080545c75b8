"""Fixtures of the drivers' tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from gateway import client as _watch
from tests.gateway.drivers._side import SIDES, Side


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no driver look for the client before the headers because this machine is slow."""
    monkeypatch.setattr(_watch, "LOOK_AFTER", 1e9)


@pytest.fixture(params=SIDES, ids=str)
def side(request: pytest.FixtureRequest) -> Side:
    """WSGI, then ASGI."""
    side: Side = request.param
    return side


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    """Keep back what is logged of hooks that fail at the end, thousands of times in random exchanges."""
    logger = logging.getLogger("gateway.drivers")
    logger.disabled = True
    yield
    logger.disabled = False
