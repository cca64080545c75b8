"""Each of the four: WSGI and ASGI, the naive driver and the specialised ones."""

from __future__ import annotations

import pytest

from tests.gateway.drivers._side import SIDES, Side


@pytest.fixture(params=SIDES, ids=str)
def side(request: pytest.FixtureRequest) -> Side:
    side: Side = request.param
    return side
