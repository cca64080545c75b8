"""AccessLog: exactly one line a request, and it is true."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
import os
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import client as _watch
from gateway.errors import ConfigurationError
from gateway.middleware import _log_thread
from gateway.middleware.access_log import AccessLog, Entry, combined, json_line
from gateway.middleware.errors import Errors
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.request_id import RequestId
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script, Seen, Stack
from tests.shows import shows


class Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.threads.append(threading.current_thread().name)

    def entries(self, chain: Stack) -> list[Entry]:
        """Return what was logged, once the chain's own thread has written it."""
        chain.close()
        return [record.entry for record in self.records]  # type: ignore[attr-defined]

    def lines(self, chain: Stack) -> list[str]:
        chain.close()
        return [record.getMessage() for record in self.records]


@pytest.fixture
def log() -> Iterator[Lines]:
    """Give a handler on the access logger."""
    logger, handler = logging.getLogger("gateway.access"), Lines()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@shows("Exactly one line, on completion, abort or exception")
@shows("Method, path, query, status, bytes both ways, times, client, scheme, version, agent, referer, ids, route")
def test_a_request_is_one_line_with_true_counts(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(), script=Script(status=201, chunks=(b"hello", b"world"), reads=True))
    chain.request(
        "/a%20b?x=1", method="POST", body=b"12345", headers=[("User-Agent", "ua"), ("Referer", "r"), ("Host", "h")]
    )
    [entry] = log.entries(chain)
    assert (entry.method, entry.path, entry.query, entry.status) == ("POST", "/a%20b", "x=1", 201)
    assert (entry.bytes_sent, entry.bytes_received, entry.outcome) == (10, 5, "completed")
    assert (entry.user_agent, entry.referer, entry.host, entry.http_version) == ("ua", "r", "h", "1.1")
    assert (entry.client, entry.scheme, entry.error, entry.close_code) == ("203.0.113.7", "http", None, None)
    assert entry.first_byte is not None
    assert 0 <= entry.first_byte <= entry.duration < 60
    assert entry.time > 1_700_000_000


@shows("Exactly one line, on completion, abort or exception")
def test_a_client_that_leaves_is_aborted_with_the_bytes_that_it_got(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(), script=Script(chunks=[b"x" * 100_000] * 50))
    answer = chain.request(leave_after=3)
    [entry] = log.entries(chain)
    assert (entry.status, entry.outcome) == (200, "aborted")
    assert len(answer.body) <= entry.bytes_sent < 5_000_000


@shows("A client that left before the head is 499", once="a WSGI server finds out when it writes the head")
def test_a_client_that_leaves_before_the_head_is_499(
    socket_stack: MakeStack, log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A WSGI server finds out when it writes."""
    monkeypatch.setattr(_watch, "LOOK_AFTER", -1.0)
    chain = socket_stack(AccessLog())
    chain.request(leaves_early=True)
    [entry] = log.entries(chain)
    assert (entry.status, entry.outcome, entry.bytes_sent) == (499, "aborted", 0)


def test_a_request_that_is_cancelled_before_the_head_is_499(socket_stack: MakeStack, log: Lines) -> None:
    async def asgi(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            return
        raise asyncio.CancelledError

    chain = socket_stack(AccessLog(), applications=(None, asgi))
    with pytest.raises(asyncio.CancelledError):
        chain.request()
    [entry] = log.entries(chain)
    assert (entry.status, entry.outcome) == (499, "aborted")


@shows("Exactly one line, on completion, abort or exception")
@pytest.mark.parametrize(
    ("after", "status", "sent"), [(None, 500, 0), (1, 200, 5)], ids=["before-the-head", "in-the-body"]
)
def test_an_exception_is_one_line_that_names_it(
    stack: MakeStack, log: Lines, after: int | None, status: int, sent: int
) -> None:
    chain = stack(AccessLog(), script=Script(chunks=(b"hello", b"x"), raises=RuntimeError("x"), raises_after=after))
    chain.request()
    [entry] = log.entries(chain)
    assert (entry.status, entry.outcome, entry.error, entry.bytes_sent) == (status, "failed", "RuntimeError", sent)


@shows("Exactly one line, on completion, abort or exception")
def test_a_handled_exception_is_logged_with_its_response_status(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(), Errors(log=False), script=Script(raises=RuntimeError("x")))
    answer = chain.request()
    [entry] = log.entries(chain)
    assert (entry.status, entry.outcome, entry.bytes_sent) == (500, "completed", len(answer.body))


@shows("Exactly one line, on completion, abort or exception")
def test_a_head_sends_no_bytes(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(), script=Script(status=204, chunks=()))
    chain.request(method="HEAD")
    [entry] = log.entries(chain)
    assert (entry.status, entry.bytes_sent, entry.outcome) == (204, 0, "completed")


@shows("Exactly one line, on completion, abort or exception")
@shows("A middleware that must not act twice marks the state; the second is a no-op")
def test_a_second_access_log_in_a_chain_logs_nothing(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(), AccessLog())
    chain.request()
    assert len(log.entries(chain)) == 1


@shows("Method, path, query, status, bytes both ways, times, client, scheme, version, agent, referer, ids, route")
def test_client_request_id_trace_and_route_are_those_of_the_request(stack: MakeStack, log: Lines) -> None:
    def act(seen: Seen) -> None:
        seen.state["route"] = "/items/{id}"

    chain = stack(ProxyHeaders(trust=("10.0.0.0/8",)), RequestId(), AccessLog(), script=Script(act=act))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    fields = [("X-Forwarded-For", "198.51.100.9"), ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")]
    answer = chain.request("/items/7", headers=fields, client=("10.0.0.1", 1))
    [entry] = log.entries(chain)
    assert (entry.client, entry.trace_id, entry.route) == ("198.51.100.9", trace, "/items/{id}")
    assert entry.request_id == answer.get("x-request-id")


ATTACK = 'x" 200 5\r\n203.0.113.9 - - "GET /forged\x1b[31m \\ é'


@shows("JSON, combined, or a function")
@shows("Injection-safe: CR, LF, quotes and escapes are written as \\xNN")
def test_a_json_line_cannot_be_broken(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog())
    chain.request("/a%0d%0ab", headers=[("User-Agent", ATTACK)])
    [line] = log.lines(chain)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["user_agent"] == ATTACK


@shows("JSON, combined, or a function")
@shows("Injection-safe: CR, LF, quotes and escapes are written as \\xNN")
def test_a_combined_line_cannot_be_forged(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(format="combined"))
    chain.request("/a%0d%0ab", headers=[("User-Agent", ATTACK), ("Referer", "\x00")])
    [line] = log.lines(chain)
    assert line.isascii()
    assert line.isprintable()
    assert re.fullmatch(
        r'203\.0\.113\.7 - - \[[^\]]+ \+0000\] "GET /a%0d%0ab HTTP/1\.1" 200 5 "\\x00" "x\\x22 [^"]+"', line
    )


@shows("JSON, combined, or a function")
def test_the_format_can_be_a_function(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(format=lambda entry: f"{entry.method} {entry.status}"))
    chain.request()
    assert log.lines(chain) == ["GET 200"]


@shows("Redacted queries, skipped paths, sampling that keeps failures")
def test_secrets_in_the_query_are_hidden(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(redact=("token", "pass")))
    chain.request("/?a=1&token=secret&TOKEN=secret&xtoken=shown&pass=")
    [entry] = log.entries(chain)
    assert entry.query == "a=1&token=***&TOKEN=***&xtoken=shown&pass=***"


#: One parameter as a client can write it; an application reads "token" and "SECRET" in each.
HIDDEN = [
    "token=SECRET",
    "a=1&ToKeN=SECRET&b=2",
    "%74oken=SECRET",
    "%54%4f%4B%65%6e=SECRET",
    "a=1;token=SECRET",
    "token=x;SECRET",
    "next=%2Fcallback%3Ftoken%3DSECRET",
    "next=/callback%3fa%3D1%26%74oken%3dSECRET%26b%3d2",
    "my+name=SECRET",
    "my%20name=SECRET",
    "caf%c3%a9=SECRET",
    "caf\xc3\xa9=SECRET",
]
REDACT = AccessLog(redact=("token", "my name", "caf\xe9"))


@shows("A secret is hidden in every logged value, percent-encoded or not")
@pytest.mark.parametrize("written", HIDDEN)
def test_a_secret_is_hidden_in_every_logged_value(stack: MakeStack, log: Lines, written: str) -> None:
    chain = stack(REDACT)
    target = written if written.isascii() else "a=1"
    headers = [
        ("Referer", f"https://example.org/a?{written}"),
        ("User-Agent", f"bot (+https://bot.example/?{written})"),
    ]
    chain.request(f"/a;{target}?{target}", headers=[*headers, ("Host", f"h?{written}")])
    [entry] = log.entries(chain)
    assert (entry.referer or "").startswith("https://example.org/a?")
    assert entry.path.startswith("/a;")
    assert "SECRET" not in repr(entry)
    assert "SECRET" not in json_line(entry) + combined(entry)


@pytest.mark.parametrize("written", ["xtoken=shown", "token", "tokens=shown", "a=token", "a=shown&b=/c=token=shown"])
def test_a_value_that_is_not_a_secret_is_shown(stack: MakeStack, log: Lines, written: str) -> None:
    chain = stack(REDACT)
    chain.request(f"/?{written}", headers=[("Referer", f"https://example.org/?{written}"), ("User-Agent", "a=b")])
    [entry] = log.entries(chain)
    assert (entry.query, entry.referer, entry.user_agent) == (written, f"https://example.org/?{written}", "a=b")


@shows("A secret is hidden in every logged value, percent-encoded or not")
def test_the_user_information_of_a_referer_is_hidden(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(redact=()))
    chain.request("/", headers=[("Referer", "https://user:p@ss@example.org/a?b=c@d")])
    [entry] = log.entries(chain)
    assert entry.referer == "https://***@example.org/a?b=c@d"


def test_nothing_is_hidden_without_names(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(redact=()))
    chain.request("/?token=shown", headers=[("Referer", "https://example.org/?token=shown")])
    [entry] = log.entries(chain)
    assert (entry.query, entry.referer) == ("token=shown", "https://example.org/?token=shown")


@shows("Redacted queries, skipped paths, sampling that keeps failures")
def test_the_query_can_be_left_out(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(query=False))
    chain.request("/?a=1")
    assert [entry.query for entry in log.entries(chain)] == [None]


@shows("Lines that wait for a log that stands still are bounded", once="the thread is that of the event loop's side")
def test_lines_that_wait_for_a_blocked_log_are_limited_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_log_thread, "MOST", 3)
    begun, stalled, written = threading.Event(), threading.Event(), []

    def write(line: int) -> None:
        begun.set()
        stalled.wait(30)
        written.append(line)

    thread = _log_thread.LogThread(write)
    thread.put(0)
    assert begun.wait(30)  # this one is being written, and no longer waits
    for line in range(1, 9):
        thread.put(line)
    stalled.set()
    thread.close()
    assert written == [0, 1, 2, 3]
    assert [record.getMessage()[:26] for record in caplog.records] == ["5 log lines were dropped, "]


def test_a_blocked_log_does_not_keep_the_process_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_thread, "CLOSE_SECONDS", 0.05)
    stalled, written = threading.Event(), threading.Event()

    def write(line: int) -> None:
        stalled.wait(30)
        written.set()

    thread = _log_thread.LogThread(write)
    thread.put(0)
    closing = threading.Thread(target=thread.close)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert not written.is_set()
    stalled.set()
    assert written.wait(30)


@shows("Redacted queries, skipped paths, sampling that keeps failures")
def test_paths_can_be_skipped(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(skip=("/livez",)))
    chain.request("/livez")
    chain.request("/other")
    assert [entry.path for entry in log.entries(chain)] == ["/other"]


@shows("Redacted queries, skipped paths, sampling that keeps failures")
def test_a_sample_of_zero_still_logs_failures(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog(sample=0), script=Script(act=lambda seen: Script(status=int(seen.path[1:]))))
    for status in (200, 404, 503):
        chain.request(f"/{status}")
    assert [entry.status for entry in log.entries(chain)] == [503]


@shows("Written off the event loop, to the logger's handlers or to standard output")
def test_without_a_handler_lines_go_to_standard_output(stack: MakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("gateway.access")
    logger.propagate = False  # the suite's own handlers are the root's
    try:
        chain = stack(AccessLog(format=lambda entry: f"{entry.method} {entry.path}"))
        chain.request("/x")
        chain.close()
    finally:
        logger.propagate = True
    assert capsys.readouterr().out == "GET /x\n"


@shows("Written off the event loop, to the logger's handlers or to standard output")
def test_the_level_of_the_root_logger_does_not_suppress_lines(stack: MakeStack) -> None:
    root, kept = logging.getLogger(), logging.handlers.BufferingHandler(10)
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.WARNING)  # as waitress leaves it
    try:
        chain = stack(AccessLog(format=lambda entry: f"{entry.method} {entry.path}"))
        chain.request("/x")
        chain.close()
    finally:
        root.setLevel(level)
        root.removeHandler(kept)
    assert [record.getMessage() for record in kept.buffer if record.name == "gateway.access"] == ["GET /x"]


@shows("Written off the event loop, to the logger's handlers or to standard output")
@pytest.mark.parametrize("name", ["gateway", "gateway.access"])
def test_a_configured_level_applies_without_a_handler(
    stack: MakeStack, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    logger = logging.getLogger("gateway.access")
    logger.propagate = False
    logging.getLogger(name).setLevel(logging.WARNING)
    try:
        chain = stack(AccessLog())
        chain.request("/x")
        chain.close()
    finally:
        logging.getLogger(name).setLevel(logging.NOTSET)
        logger.propagate = True
    assert capsys.readouterr().out == ""


def test_filters_of_the_logger_apply_to_standard_output(stack: MakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    def only_a(record: logging.LogRecord) -> bool:
        return record.entry.path == "/a"  # type: ignore[attr-defined, no-any-return]

    logger = logging.getLogger("gateway.access")
    logger.propagate = False
    logger.addFilter(only_a)
    try:
        chain = stack(AccessLog(format=lambda entry: entry.path))
        chain.request("/a")
        chain.request("/b")
        chain.close()
    finally:
        logger.removeFilter(only_a)
        logger.propagate = True
    assert capsys.readouterr().out == "/a\n"


def test_a_log_record_equals_one_of_the_logging_module(stack: MakeStack, log: Lines) -> None:
    chain = stack(AccessLog())
    began = time.time()
    chain.request("/1")
    chain.request("/2")
    first, second = log.entries(chain)
    assert (first.path, second.path) == ("/1", "/2")
    model = logging.makeLogRecord({})
    for record, entry in zip(log.records, (first, second), strict=True):
        assert vars(record).keys() - {"message", "asctime"} == {*vars(model), "entry"}
        assert record.name == "gateway.access"
        assert (record.levelno, record.levelname, record.process) == (logging.INFO, "INFO", os.getpid())
        assert json.loads(record.getMessage())["path"] == entry.path
        assert began - 1 < record.created < time.time() + 1
        assert 0 <= record.msecs < 1000
        assert logging.Formatter("%(asctime)s %(relativeCreated)d").format(record)
    assert log.records[0].relativeCreated <= log.records[1].relativeCreated


texts = st.none() | st.text(max_size=20)


@given(
    st.builds(
        Entry,
        time=st.floats(min_value=0, max_value=4e9),
        method=st.text(max_size=8),
        path=st.text(max_size=20),
        query=texts,
        status=st.integers(100, 599),
        outcome=st.sampled_from(["completed", "aborted", "failed"]),
        bytes_sent=st.integers(0, 2**70),
        bytes_received=st.integers(0, 2**70),
        first_byte=st.none() | st.floats(min_value=0, max_value=1e6),
        duration=st.floats(min_value=0, max_value=1e6),
        client=texts,
        scheme=st.sampled_from(["http", "wss"]),
        host=texts,
        http_version=st.sampled_from(["1.1", "2"]),
        user_agent=texts,
        referer=texts,
        request_id=texts,
        trace_id=texts,
        route=texts,
        error=texts,
        close_code=st.none() | st.integers(1000, 4999),
    )
)
def test_a_json_line_equals_the_output_of_the_json_module(entry: Entry) -> None:
    whole, rest = divmod(int(entry.time * 1000), 1000)
    moment = datetime.fromtimestamp(whole, UTC) + timedelta(milliseconds=rest)
    members: dict[str, object] = {"time": moment.isoformat(timespec="milliseconds")}
    for name, value in entry._asdict().items():
        if name in ("first_byte", "duration") and value is not None:
            members[f"{name}_ms"] = float(f"{value * 1000:.3f}")
        elif name != "time" and value is not None:
            members[name] = value
    line = json_line(entry)
    assert list(json.loads(line).items()) == list(members.items())
    assert line.isascii()
    assert line.isprintable()


@shows("Written off the event loop, to the logger's handlers or to standard output")
def test_a_line_is_written_off_the_event_loop(socket_stack: MakeStack, log: Lines) -> None:
    chain = socket_stack(AccessLog())
    chain.request()
    assert len(log.entries(chain)) == 1
    assert log.threads == ["gateway-log"]


@shows("Written off the event loop, to the logger's handlers or to standard output")
def test_a_handler_that_raises_does_not_end_the_log(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    logger, broken = logging.getLogger("gateway.access"), Broken()
    logger.addHandler(broken)
    logger.setLevel(logging.INFO)
    try:
        chain = stack(AccessLog())
        answers = [chain.request().status for _ in range(2)]
        chain.close()
    finally:
        logger.removeHandler(broken)
        logger.setLevel(logging.NOTSET)
    assert answers == [200, 200]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


@shows("A WebSocket is one line when it ends", once="WebSockets are ASGI's")
def test_a_websocket_is_one_line_with_its_close_code(socket_stack: MakeStack, log: Lines) -> None:
    chain = socket_stack(AccessLog())
    chain.handshake("/ws")
    [entry] = log.entries(chain)
    assert (entry.method, entry.path, entry.status, entry.scheme, entry.close_code) == (
        "WEBSOCKET",
        "/ws",
        101,
        "ws",
        1000,
    )


@pytest.mark.parametrize("options", [{"format": "xml"}, {"sample": 1.1}, {"skip": "/livez"}, {"redact": "token"}])
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="AccessLog"):
        AccessLog(**options)  # type: ignore[arg-type]
