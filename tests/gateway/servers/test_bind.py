"""One form of address for every server's own spelling."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.servers import Bind


@dataclass(frozen=True)
class Case:
    id: str
    text: str
    expected: Bind


PARSED = [
    Case("host-and-port", "127.0.0.1:80", Bind("127.0.0.1", 80)),
    Case("name-and-port", "localhost:8080", Bind("localhost", 8080)),
    Case("host-alone", "localhost", Bind("localhost", 8000)),
    Case("port-alone", "8080", Bind("127.0.0.1", 8080)),
    Case("every-address", ":8080", Bind("0.0.0.0", 8080)),
    Case("ipv6", "[::1]:8080", Bind("::1", 8080)),
    Case("unix-socket", "unix:/run/app.sock", Bind(path="/run/app.sock")),
    Case("descriptor", "fd://3", Bind(fd=3)),
    Case("any-free-port", "127.0.0.1:0", Bind("127.0.0.1", 0)),
]
REFUSED = ["", "unix:", "fd://x", "host:port", "host:", "127.0.0.1:65536", "::1:8000", "/run/app.sock", "http://a:80"]


@pytest.mark.parametrize("case", PARSED, ids=lambda case: case.id)
def test_an_address_is_read_from_each_spelling(case: Case) -> None:
    assert Bind.parse(case.text) == case.expected


@pytest.mark.parametrize(
    "case", [case for case in PARSED if case.id not in ("port-alone", "host-alone")], ids=lambda case: case.id
)
def test_an_address_written_out_is_read_back_as_the_same(case: Case) -> None:
    assert Bind.parse(str(case.expected)) == case.expected


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:8000"):
        Bind.parse(text)


def test_port_zero_becomes_the_port_that_the_system_gave() -> None:
    with Bind(port=0).listen() as listener:
        found = Bind(port=0).at(listener)
        assert found.port == listener.getsockname()[1] > 0
        with found.connect(5.0) as client:
            assert client.getpeername()[1] == found.port


def test_a_port_in_use_is_unavailable_and_a_free_one_is_not() -> None:
    with Bind(port=0).listen() as listener:
        taken = Bind(port=0).at(listener)
        assert taken.unavailable() == f"127.0.0.1:{taken.port} is in use by another process; stop that process"
    assert taken.unavailable() is None


def test_an_address_of_another_machine_is_unavailable() -> None:
    assert Bind("192.0.2.1").unavailable() == (
        "cannot listen on 192.0.2.1:8000 (Cannot assign requested address); check the host and the port"
    )


def test_a_host_without_an_address_is_unavailable() -> None:
    said = str(Bind("no-such-host.invalid").unavailable())
    assert said.startswith("cannot listen on no-such-host.invalid:8000 (")
    assert said.endswith("); check the host and the port")


def test_a_unix_socket_is_unavailable_only_while_somebody_listens(tmp_path: Path) -> None:
    bind = Bind(path=str(tmp_path / "s"))
    assert bind.unavailable() is None
    with bind.listen():
        assert "in use" in str(bind.unavailable())
        bind.connect(5.0).close()
    assert (tmp_path / "s").is_socket()
    assert bind.unavailable() is None
    bind.listen().close()  # takes the place of what was left behind


def test_a_file_is_never_replaced_by_a_unix_socket(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    bind = Bind(path=str(tmp_path / "s"))
    assert "not a socket" in str(bind.unavailable())
    with pytest.raises(OSError):
        bind.listen()
    assert (tmp_path / "s").read_text() == "mine"


def test_a_unix_socket_needs_its_folder_and_a_short_path(tmp_path: Path) -> None:
    assert "does not exist; create it" in str(Bind(path=str(tmp_path / "no" / "s")).unavailable())
    assert "100 bytes" in str(Bind(path="/" + "x" * 120).unavailable())


def test_a_descriptor_must_be_a_socket(tmp_path: Path) -> None:
    with Bind(port=0).listen() as listener:
        assert Bind(fd=listener.fileno()).unavailable() is None
        assert listener.getsockname()  # the check took a copy
    with (tmp_path / "file").open("w") as file:
        assert "is not a socket" in str(Bind(fd=file.fileno()).unavailable())


def test_every_address_is_reached_over_loopback() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        Bind("0.0.0.0", listener.getsockname()[1]).connect(5.0).close()


def test_connections_do_not_wait_for_the_acknowledgement_of_the_last_packet() -> None:
    with Bind(port=0).listen() as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            handed_on = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert handed_on or sys.platform != "linux"
