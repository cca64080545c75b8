"""A probe of a running server finds the rule that the server breaks, and nothing at a server that keeps them all."""

import pytest

from gateway.check import probe as probing
from tests.gateway.rules.socket_server import SocketServer

_SLOW = [pytest.param(rule, marks=pytest.mark.slow) for rule in ("C09", "E05", "E25", "E26", "W15", "X09")]
FAULTS = ["C06", "C07", "H06", "X11", *_SLOW]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_probe_finds_the_fault_of_a_server(fault: str) -> None:
    probing.asgi.violations.clear()
    probing.asgi.warnings.clear()
    with SocketServer(probing.asgi, fault) as server:
        assert [broken.rule for broken in probing.probe(server.address, "asgi").broken] == [fault]


def test_a_probe_finds_nothing_at_a_server_that_keeps_the_rules() -> None:
    probing.asgi.violations.clear()
    probing.asgi.warnings.clear()
    with SocketServer(probing.asgi) as server:
        assert probing.probe(server.address, "asgi").broken == []
