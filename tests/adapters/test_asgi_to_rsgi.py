"""An ASGI application under granian's own interface: a real granian, one process for the whole module."""

from __future__ import annotations

import asyncio
import http.client
import json
import pickle
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from granian.server.embed import Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect

from gateway.adapters.asgi_to_rsgi import AsgiToRsgi
from gateway.adapters.asgi_to_rsgi._objects import address, response_fields, scope_of
from gateway.errors import ConfigurationError
from gateway.servers import Bind, Launch, StartError, get, start
from tests.adapters.rsgi_app import application, happened

ROOT = Path(__file__).parents[2]


def launch(folder: Path, **environment: str) -> Launch:
    return Launch(
        target="tests.adapters.rsgi_app:app",
        bind=Bind(path=str(folder / "s")),
        app_dir=str(ROOT),
        environment={"RSGI_NOTES": str(folder / "notes"), **environment},
    )


class Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """Granian inside this process, on a loop that runs already, in a thread of its own."""
    path = folder / "s"
    server = Server(AsgiToRsgi(application), uds=path, log_enabled=False)
    loops: Queue[asyncio.AbstractEventLoop] = Queue()

    async def serve() -> None:
        loops.put(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop = loops.get(timeout=30)
    try:
        await_connection(str(path))
        yield str(path)
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join(30)
        assert not thread.is_alive()


def await_connection(path: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@pytest.fixture(scope="module", params=["process", "embedded"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a granian listens that serves `rsgi_app`: a process of its own, or embedded in this one."""
    folder = tmp_path_factory.mktemp("rsgi")
    if request.param == "process":
        with start(get("granian-rsgi"), launch(folder)):
            yield str(folder / "s")
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RSGI_NOTES", str(folder / "notes"))
            happened.clear()
            with embedded(folder) as where:
                yield where


@pytest.fixture
def client(path: str) -> Iterator[Unix]:
    connection = Unix(path)
    yield connection
    connection.close()


def get_json(client: Unix, target: str, **headers: str) -> Any:
    client.request("GET", target, headers=headers)
    return json.loads(client.getresponse().read())


def wait_until(client: Unix, event: str) -> None:
    """Return when the application has seen the event; the server answers then and not before."""
    with closing(Unix(client.path)) as other:
        other.request("GET", f"/happened?{event}")
        response = other.getresponse()
        assert (response.status, response.read()) == (200, b"ok")


def test_the_scope_is_one_of_asgi(client: Unix) -> None:
    seen = get_json(client, "/caf%C3%A9/a%20b?x=%20y", **{"X-One": "1"})
    assert ["x-one", "1"] in seen.pop("headers")
    assert seen == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/caf\u00e9/a b",
        "query_string": "x=%20y",
        "root_path": "",
        "server": [client.path, None],
        "client": None,
        "state": {"database": "open"},
        "extensions": {"http.response.pathsend": {}},
    }


def test_repeated_request_headers_stay_apart_in_their_order(client: Unix) -> None:
    client.putrequest("GET", "/")
    client.putheader("X-A", "1")
    client.putheader("X-B", "2")
    client.putheader("X-A", "3")
    client.endheaders()
    seen = json.loads(client.getresponse().read())["headers"]
    assert [pair for pair in seen if pair[0].startswith("x-")] == [["x-a", "1"], ["x-a", "3"], ["x-b", "2"]]


def test_response_headers_keep_duplicates_and_text(client: Unix) -> None:
    client.request("GET", "/headers")
    response = client.getresponse()
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert response.headers["x-text"].encode("latin-1").decode() == "caf\u00e9"
    assert response.headers["content-length"] == "2"
    assert response.read() == b"ok"


@pytest.mark.parametrize(("size", "messages"), [(0, 1), (3, 1), (64 * 1024, 1), (300_000, None)])
def test_a_declared_body_arrives_whole(client: Unix, size: int, messages: int | None) -> None:
    client.request("POST", "/upload", body=b"x" * size)
    seen = json.loads(client.getresponse().read())
    assert seen["size"] == size
    assert messages in (None, seen["messages"])


def test_a_chunked_body_arrives_whole(client: Unix) -> None:
    client.request("POST", "/upload", body=iter([b"x" * 100_000] * 3), encode_chunked=True)
    assert json.loads(client.getresponse().read())["size"] == 300_000


def test_both_bodies_stream_at_once(client: Unix) -> None:
    client.putrequest("POST", "/echo")
    client.putheader("Transfer-Encoding", "chunked")
    client.endheaders()
    client.send(b"3\r\nabc\r\n")
    response = client.response_class(client.sock, method="POST")
    response.begin()
    assert response.read1(100) == b"abc"  # came back while the request goes on
    client.send(b"3\r\ndef\r\n0\r\n\r\n")
    assert response.read() == b"def"
    response.close()


def test_a_chunk_is_sent_before_the_response_ends(client: Unix) -> None:
    client.request("GET", "/stream")
    response = client.getresponse()
    assert response.read(6) == b"first "
    other = Unix(client.path)
    other.request("GET", "/happen?go-on")
    assert other.getresponse().status == 200
    other.close()
    assert response.read() == b"second"  # although the application has not returned


@pytest.mark.parametrize("what", ["bytes", "file"])
def test_the_headers_of_a_quiet_stream_are_sent_before_its_body(client: Unix, what: str) -> None:
    client.request("GET", f"/quiet?{what}")
    response = client.getresponse()
    assert response.headers["content-type"] == "text/plain"
    with closing(Unix(client.path)) as other:
        other.request("GET", f"/happen?go-on-{what}")
        assert other.getresponse().status == 200
    whole = Path(__file__).with_name("rsgi_app.py").read_bytes() if what == "file" else b"event"
    assert response.read() == whole


def test_a_client_that_leaves_while_the_application_waits_is_reported(client: Unix) -> None:
    client.request("GET", "/waiting")
    wait_until(client, "waiting")  # else granian may drop a request that it has not handed over yet
    client.close()
    wait_until(client, "disconnected")


def test_a_client_that_leaves_during_the_response_makes_send_fail(client: Unix) -> None:
    client.request("GET", "/endless")
    assert client.getresponse().read(100_000) == b"x" * 100_000
    client.close()
    wait_until(client, "send-failed")


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_client_that_leaves_during_the_request_body_is_reported(client: Unix, size: int) -> None:
    client.putrequest("POST", f"/upload?cut-{size}")
    client.putheader("Content-Length", str(size))
    client.endheaders()
    client.send(b"x" * 100)
    wait_until(client, f"reading-cut-{size}")
    client.close()
    wait_until(client, f"cut-{size}")


def test_a_listener_is_told_when_the_response_has_ended(client: Unix) -> None:
    client.request("GET", "/while-responding")
    assert client.getresponse().read() == b"ok"
    wait_until(client, "listener-ended")


@pytest.mark.parametrize("target", ["/failing", "/silent", "/half-silent", "/late-failure"])
def test_an_error_before_the_response_is_a_500(client: Unix, target: str) -> None:
    client.request("GET", target)
    response = client.getresponse()
    assert (response.status, response.read()) == (500, b"")


def test_an_aborted_response_with_a_declared_length_looks_incomplete(client: Unix) -> None:
    client.request("GET", "/failing-later")
    response = client.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        response.read()


@pytest.mark.parametrize("target", ["/failing-in-a-stream", "/unfinished-stream"])
def test_a_stream_that_fails_does_not_look_complete(target: str, tmp_path: Path) -> None:
    on_a_port = replace(launch(tmp_path), bind=Bind(port=0))
    with start(get("granian-rsgi"), on_a_port) as running:
        kept, failing = (http.client.HTTPConnection(running.bind.host, running.bind.port, timeout=30) for _ in "12")
        with closing(kept), closing(failing):
            kept.request("GET", "/empty")
            assert kept.getresponse().read() == b""
            failing.request("GET", target)
            response = failing.getresponse()
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                response.read()
            kept.request("GET", "/empty")  # the connections of other clients stay
            assert kept.getresponse().read() == b""


def test_a_stream_that_fails_on_a_unix_socket_ends_at_once(client: Unix) -> None:
    client.request("GET", "/failing-in-a-stream")
    assert client.getresponse().read() == b"half"


def test_a_response_without_body(client: Unix) -> None:
    client.request("GET", "/empty")
    response = client.getresponse()
    assert (response.status, response.read()) == (204, b"")


def test_head_has_no_body(client: Unix) -> None:
    client.request("HEAD", "/headers")
    response = client.getresponse()
    assert (response.status, response.headers["content-length"], response.read()) == (200, "2", b"")


def test_a_file_is_sent_by_its_path(client: Unix) -> None:
    client.request("GET", "/file")
    assert client.getresponse().read() == Path(__file__).with_name("rsgi_app.py").read_bytes()


def test_trailers_are_dropped_without_harm(client: Unix) -> None:
    client.request("GET", "/trailers")
    assert client.getresponse().read() == b"with trailers"
    client.request("GET", "/happened?trailers")
    assert client.getresponse().read() == b"ok"


def test_messages_out_of_order_are_refused_and_do_no_harm(client: Unix) -> None:
    client.request("GET", "/wrong")
    assert client.getresponse().read() == b"refused 3"
    wait_until(client, "refused-4")


def connect(client: Unix, path: str) -> ClientConnection:
    return unix_connect(client.path, f"ws://localhost{path}", open_timeout=30, close_timeout=30)


def test_a_websocket_carries_text_and_bytes_both_ways(client: Unix) -> None:
    with connect(client, "/") as websocket:
        websocket.send("hello")
        assert websocket.recv(30) == "HELLO"
        websocket.send(b"abc")
        assert websocket.recv(30) == b"cba"
        websocket.send("state")
        assert json.loads(websocket.recv(30)) == ["ws", {"database": "open"}]
    wait_until(client, "websocket-left")


def test_an_application_may_receive_before_it_accepts_and_keep_send(client: Unix) -> None:
    with connect(client, "/early") as websocket:
        websocket.send("hello")
        assert websocket.recv(30) == "early hello"
        begun = time.monotonic()
    assert time.monotonic() - begun < 5  # the client waits ten seconds for the end of the connection


def test_a_websocket_closed_by_the_application_is_closed(client: Unix) -> None:
    with connect(client, "/closes") as websocket, pytest.raises(ConnectionClosed):
        websocket.recv(30)
    wait_until(client, "websocket-send-failed")


def test_a_websocket_whose_application_fails_is_closed(client: Unix) -> None:
    with connect(client, "/fails") as websocket, pytest.raises(ConnectionClosed):
        websocket.recv(30)


@pytest.mark.parametrize("how", ["receives", "sends"])
def test_a_websocket_whose_client_vanishes_is_reported(client: Unix, how: str) -> None:
    with connect(client, f"/{how}") as websocket:
        websocket.send("ready")
        assert websocket.recv(30) == "READY"
        websocket.socket.shutdown(socket.SHUT_RDWR)
        wait_until(client, f"websocket-vanished-while-it-{how}")


def test_a_websocket_message_out_of_order_is_refused(client: Unix) -> None:
    with connect(client, "/wrong") as websocket:
        assert websocket.recv(30) == "refused 2"


def test_a_websocket_that_is_closed_before_it_was_accepted_is_refused_with_403(client: Unix) -> None:
    with pytest.raises(InvalidStatus, match="403"), connect(client, "/refused"):
        pass


def test_the_server_logs_errors_of_the_application(tmp_path: Path) -> None:
    with start(get("granian-rsgi"), launch(tmp_path)) as running:
        client = Unix(str(tmp_path / "s"))
        for target in ("/failing", "/silent", "/half-silent"):
            client.request("GET", target)
            client.getresponse().read()
        client.close()
        deadline = time.monotonic() + 30  # the answer is sent before the error is logged
        for said in (
            "broken before the head",
            "it returned without a response",
            "it returned before the last body message",
        ):
            while said not in running.output():
                assert time.monotonic() < deadline, running.output()
                time.sleep(0.01)


def test_lifespan_starts_before_the_first_request_and_stops_after_the_last(tmp_path: Path) -> None:
    with start(get("granian-rsgi"), launch(tmp_path)):
        assert (tmp_path / "notes").read_text() == "started\n"
    assert (tmp_path / "notes").read_text() == "started\nstopped\n"


def test_a_refused_startup_ends_the_worker(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no database"):
        start(get("granian-rsgi"), launch(tmp_path, RSGI_REFUSE="1")).stop()


@pytest.fixture(scope="module", params=["one_of_flask", "one_of_fastapi"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unix]:
    """A plain ``granian module:attribute`` around a Gateway."""
    path = tmp_path_factory.mktemp("site") / "s"
    command = [sys.executable, "-m", "granian", f"tests.adapters.rsgi_sites:{request.param}"]
    served = replace(get("granian-rsgi"), arguments=lambda launch: [*command[1:], "--uds", str(path)])
    with start(served, Launch(target="", bind=Bind(path=str(path)), app_dir=str(ROOT))):
        connection = Unix(str(path))
        yield connection
        connection.close()


def test_a_plain_granian_serves_a_gateway_around_flask_and_fastapi(site: Unix) -> None:
    site.request("GET", "/caf%C3%A9?q=x%20y")
    response = site.getresponse()
    assert (response.status, response.read().decode()) == (200, "/caf\u00e9 x y")
    assert [cookie.partition(";")[0] for cookie in response.headers.get_all("set-cookie", [])] == ["a=1", "b=2"]
    site.request("POST", "/upload", body=b"x" * 1_048_576)
    assert site.getresponse().read() == b"1048576"
    site.request("POST", "/upload", body=iter([b"x" * 70_000] * 3), encode_chunked=True)
    assert site.getresponse().read() == b"210000"
    site.request("GET", "/stream")
    assert site.getresponse().read() == b"".join(b"%d " % number for number in range(100))
    whole = Path(__file__).with_name("rsgi_sites.py").read_bytes()
    site.request("GET", "/file")
    assert site.getresponse().read() == whole
    site.request("GET", "/file", headers={"Range": "bytes=10-29"})
    response = site.getresponse()
    assert (response.status, response.read()) == (206, whole[10:30])
    site.request("HEAD", "/file")
    response = site.getresponse()
    assert (response.headers["content-length"], response.read()) == (str(len(whole)), b"")
    with pytest.raises(InvalidStatus, match="403"), connect(site, "/file"):
        pytest.fail("there is no websocket")
    for path, status in (("/error", 500), ("/missing", 404)):
        site.request("GET", path)
        response = site.getresponse()
        response.read()
        assert response.status == status


# --- without a server ------------------------------------------------------------------------------------------------


async def counting(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    scope["state"]["started"] = True
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def test_a_loop_that_runs_already_starts_it_in_a_task() -> None:
    """Granian embedded in a program calls the hooks on the program's own loop."""

    async def main() -> None:
        app = AsgiToRsgi(counting, lifespan="on")
        loop = asyncio.get_running_loop()
        app.__rsgi_init__(loop)
        started = app._started[loop]
        assert started.task is not None
        await started.task
        assert started.lifespan.state == {"started": True}
        app.__rsgi_del__(loop)
        await started.task
        assert started.lifespan.phase == "stopped"
        app.__rsgi_del__(loop)  # a second one does nothing

    asyncio.run(main())


def test_a_pickled_copy_starts_again() -> None:
    app = AsgiToRsgi(counting)
    loop = asyncio.new_event_loop()
    app.__rsgi_init__(loop)
    try:
        other = pickle.loads(pickle.dumps(app))
        assert other.app is counting
        assert other._started == {}
    finally:
        app.__rsgi_del__(loop)
        loop.close()
    assert repr(app).startswith("AsgiToRsgi(<function counting")


def test_a_wrong_lifespan_mode_is_refused_when_built() -> None:
    mode: Any = "maybe"
    with pytest.raises(ConfigurationError, match="'maybe'"):
        AsgiToRsgi(counting, lifespan=mode)


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:8000", ("::1", 8000)),
        ("/run/app.sock", ("/run/app.sock", None)),
        ("", None),
    ],
)
def test_an_address_is_split(spelled: str, expected: tuple[str, int | None] | None) -> None:
    assert address(spelled, unix=True) == expected


def test_a_unix_client_has_no_address() -> None:
    assert address("") is None
    assert address("unnamed") is None


class SecondHttpVersion:
    proto = "http"
    http_version = "2"
    server = "127.0.0.1:80"
    client = "127.0.0.1:5000"
    scheme = "https"
    method = "GET"
    path = "/"
    query_string = ""
    authority = "example.org"

    def __init__(self, **headers: str) -> None:
        self.headers = headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, [(b"host", b"example.org")]), ({"host": "other.org"}, [(b"host", b"other.org")])],
)
def test_the_authority_of_http_2_becomes_the_host_field(headers: Any, expected: Any) -> None:
    assert scope_of(SecondHttpVersion(**headers), None)["headers"] == expected


def test_a_response_header_that_is_no_utf_8_is_spelled_as_latin_1() -> None:
    fields = [(b"x-a", b"caf\xe9"), (b"x-b", "caf\u00e9".encode())]
    assert response_fields(fields) == [("x-a", "caf\u00e9"), ("x-b", "caf\u00e9")]
