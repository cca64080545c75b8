"""A probe of a running server names the case and the rule that the server breaks; its clean server breaks none."""

import subprocess
import sys

import pytest

from gateway.check import probe as probing
from gateway.check.cases import cases_of
from gateway.errors import ConfigurationError, ServerError
from tests.gateway.rules.socket_server import SocketServer


@pytest.fixture(autouse=True)
def _no_earlier_findings() -> None:
    probing.asgi.violations.clear()
    probing.asgi.warnings.clear()


def test_a_worker_of_gevent_imports_the_probe() -> None:
    code = "import sys; sys.modules['gunicorn.workers.ggevent'] = sys; from gateway.check.probe import asgi, wsgi"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_a_probe_names_each_fault_of_a_server_and_the_case_that_found_it() -> None:
    faults = {
        "C06": "invalid-message",
        "C07": "additional-keys",
        "E26": "response-headers",
        "H19": "percent-encoded-path",
        "N04": "unread-body",
        "W15": "websocket-refused",
        "X11": "extensions",
    }
    written = iter(["", *(f"line {n}\n" for n in range(1000))])
    said = ""

    def output() -> str:
        nonlocal said
        said += next(written)
        return said

    with SocketServer(probing.asgi, *faults) as server:
        examined = probing.probe(server.address, "asgi", output)
    found = {broken.rule: case.id for case in examined.cases for broken in case.broken}
    assert found == {**faults, "H04": "percent-encoded-path"}  # a path that is not decoded breaks two rules
    assert [case.id for case in examined.cases] == [case.id for case in cases_of("asgi")]
    for case in examined.cases:
        assert ("line" in case.output) is bool(case.broken)
    assert [broken.rule for broken in examined.broken] == sorted(found)


@pytest.mark.slow
def test_a_probe_finds_nothing_at_a_server_that_keeps_the_rules() -> None:
    with SocketServer(probing.asgi) as server:
        assert probing.probe(server.address, "asgi").broken == []


def test_a_server_that_stops_in_a_case_is_an_error_with_its_output() -> None:
    with SocketServer(probing.asgi) as server:
        address = server.address
    with pytest.raises(ServerError, match=r"(?s)stopped accepting connections in the case query: .*Segmentation fault"):
        probing.probe(address, "asgi", iter(["", "Segmentation fault"]).__next__)


async def another(scope: object, receive: object, send: object) -> None:
    if scope["type"] == "http":  # type: ignore[index]  # typed as object
        await send({"type": "http.response.start", "status": 404, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body"})  # type: ignore[operator]


def test_a_server_with_another_application_is_an_error() -> None:
    with SocketServer(another) as server, pytest.raises(ConfigurationError, match="does not serve the probe"):
        probing.probe(server.address, "asgi")
