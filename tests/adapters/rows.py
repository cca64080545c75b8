"""The behaviours of the adapters: a row each, where it is written, and where it cannot hold.

A test names its row, ``test_a31_...`` or a parameter ``A31-...``. `excuse` marks the tests of what stands in
`NOT_APPLICABLE` as expected failures, strictly: a row in it that passes is an error.

``python -m tests.adapters.rows`` writes the table into ``docs/reference/adapters.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "adapters.md"
BEGIN, END = "<!-- begin: from tests/adapters/rows.py -->", "<!-- end -->"

#: Where an application runs: WSGI in the adapter's threads; ASGI on a loop of its own, or in the thread that waits.
MODES: Mapping[str, tuple[str, ...]] = {"A": ("pool",), "B": ("shared", "lend")}
#: Rows that cannot hold in a mode by the mode's meaning: ``(row, mode)`` and why.
NOT_APPLICABLE: Mapping[tuple[str, str], str] = {}
MOST_EXCUSES = 8


@dataclass(frozen=True)
class Row:
    """One behaviour.

    Attributes:
        id: ``A..`` for WSGI served as ASGI, ``B..`` for ASGI served as WSGI.
        sentence: What holds.
        source: Where it is written; empty where it is expected, and written nowhere.
        modes: Where it is a matter of other modes than those of its direction.
    """

    id: str
    sentence: str
    source: str = ""
    modes: tuple[str, ...] = ()

    def applies_in(self) -> tuple[str, ...]:
        """Return the modes in which it has to hold."""
        return tuple(mode for mode in self.modes or MODES[self.id[0]] if (self.id, mode) not in NOT_APPLICABLE)


ROWS = (
    Row("A01", "The environ has every required key, and its CGI values are str.", "PEP 3333, environ"),
    Row(
        "A02",
        "`root_path` becomes `SCRIPT_NAME`, and the rest of the path becomes `PATH_INFO`.",
        "PEP 3333; ASGI HTTP, scope",
    ),
    Row("A03", "A `root_path` is cut off at whole segments only.", "ASGI HTTP, scope"),
    Row("A04", "A slash at the end of `root_path` is not part of `SCRIPT_NAME`."),
    Row("A05", "A path that is not valid UTF-8 is rebuilt from `raw_path`.", "PEP 3333, Unicode Issues"),
    Row("A06", "A non-ASCII path arrives as its UTF-8 bytes, decoded as Latin-1.", "PEP 3333, Unicode Issues"),
    Row("A06b", "A path with surrogates is served.", ""),
    Row("A07", "`RAW_URI` and `REQUEST_URI` contain the request target as the client sent it."),
    Row("A08", "A non-ASCII query string arrives as Latin-1.", "PEP 3333, Unicode Issues"),
    Row(
        "A09",
        "Without a server address, `SERVER_NAME` and `SERVER_PORT` have default values, as str.",
        "PEP 3333, environ",
    ),
    Row("A10", "If the server is a unix socket, `SERVER_PORT` is a str.", "ASGI HTTP, scope"),
    Row("A10b", "A scope without `server` and `client` is served.", "ASGI HTTP, scope"),
    Row("A11", "`REMOTE_ADDR` and `REMOTE_PORT` are the client's address and port.", "RFC 3875, 4.1.8"),
    Row("A12", "`SERVER_PROTOCOL` contains the HTTP version.", "ASGI HTTP, scope"),
    Row("A13", "The scheme https sets `wsgi.url_scheme` and `HTTPS`."),
    Row("A14", "Headers of the same name are joined with a comma.", "RFC 9110, 5.3"),
    Row("A15", "Cookie headers are joined with a semicolon.", "RFC 9113, 8.2.3"),
    Row("A16", "A header name with an underscore is not confused with one with a dash.", "RFC 3875, 4.1.18"),
    Row("A17", "Repeated Content-Length headers are one number, or the request is refused.", "RFC 9110, 8.6"),
    Row("A18", "Content-Type and Content-Length have their own keys, in upper or lower case.", "PEP 3333, environ"),
    Row("A18b", "A client's `Proxy` header does not become `HTTP_PROXY`.", "CVE-2016-5385"),
    Row("A19", "A chunked body can be read to its end, and `wsgi.input_terminated` is true."),
    Row("A20", '`read(n)` returns n bytes, and `b""` at the end.', "PEP 3333, Input"),
    Row("A21", "`readline()` finds lines that cross the borders of chunks.", "PEP 3333, Input"),
    Row("A22", "`readline(size)` works as the first read of a body.", "PEP 3333, Input"),
    Row("A23", "`readlines()` works, also for an empty body, and adds no line end.", "PEP 3333, Input"),
    Row("A24", "The argument of `readlines()` counts bytes.", "PEP 3333, Input"),
    Row("A25", "Iterating over the input returns the lines, and no empty line.", "PEP 3333, Input"),
    Row("A26", "`read(None)` reads the whole body."),
    Row("A27", "The application starts before a large body has arrived.", "ASGI HTTP, Request"),
    Row("A28", "An application may leave the body unread.", "ASGI HTTP, Request"),
    Row(
        "A29",
        "If the client aborts the body, reading raises; the body does not look complete.",
        "ASGI HTTP, Disconnect",
    ),
    Row("A30", "Data of `write()` is sent before the data of the iterable.", "PEP 3333, write()"),
    Row(
        "A31",
        "Nothing is sent before the first non-empty chunk, so the application can replace the headers.",
        "PEP 3333, start_response()",
    ),
    Row("A32", "A second `start_response` without `exc_info` raises.", "PEP 3333, start_response()"),
    Row(
        "A33",
        "If the headers are already sent, `start_response` raises the exception of `exc_info` again.",
        "PEP 3333, start_response()",
    ),
    Row("A34", "`close()` is called once at the end.", "PEP 3333, close()"),
    Row("A35", "`close()` is called if the iteration fails.", "PEP 3333, close()"),
    Row("A36", "If `send` raises, the iteration ends and the thread is free.", "ASGI HTTP, Disconnected Client"),
    Row("A37", "If the client disconnects while a body is sent, the iteration ends soon.", "ASGI HTTP, Disconnect"),
    Row("A38", "If the request is cancelled, the iteration ends and no thread is left."),
    Row("A38b", "Aborted responses do not use up the threads."),
    Row("A39", "An error before the headers reaches the server.", "PEP 3333, Error Handling"),
    Row(
        "A40",
        "An error within the body reaches the server, and the response does not look complete.",
        "ASGI HTTP, Response Body",
    ),
    Row("A41", "Non-ASCII header values are kept as Latin-1.", "PEP 3333, Unicode Issues"),
    Row("A42", "A status without a reason phrase is accepted."),
    Row(
        "A43",
        "Several Set-Cookie headers stay separate and in order; names are lower-cased.",
        "ASGI HTTP, Response Start",
    ),
    Row("A44", "A chunk is sent before the next one is made.", "PEP 3333, Buffering and Streaming"),
    Row("A45", "If the client is slow, the application is not far ahead of it.", "ASGI HTTP, Response Body"),
    Row("A46", "Blocking requests run at the same time.", "PEP 3333, Thread Support"),
    Row("A46b", "At most `threads` requests run at the same time."),
    Row("A47", "The application sees the context variables of the caller, during the iteration too."),
    Row("A48", "Context variables that the application sets are not visible to the caller."),
    Row("A49", "The adapter answers the lifespan events.", "ASGI Lifespan"),
    Row("A50", "A WebSocket is refused with 403, without an error.", "ASGI WebSocket, Close"),
    Row("A51", "An empty iterable is an empty body.", "PEP 3333"),
    Row(
        "A52",
        "If the application does not call `start_response`, this is an error and nothing is sent.",
        "PEP 3333, start_response()",
    ),
    Row(
        "A53",
        "The application may call `start_response` in the first step of the iteration.",
        "PEP 3333, start_response()",
    ),
    Row("A54", "A response in one piece is two messages."),
    Row("A54b", "Empty chunks send nothing.", "PEP 3333, start_response()"),
    Row("A55", "Bytes beyond the Content-Length are not sent.", "PEP 3333, Content-Length"),
    Row("A56", "The environ has `wsgi.file_wrapper`.", "PEP 3333, File Handling"),
    Row("A57", "`wsgi.errors` is the error stream.", "PEP 3333, Error Stream"),
    Row("A58", "`async_to_sync` in a view runs on the server's loop."),
    Row("A59", "Hop-by-hop headers of the application are dropped.", "PEP 3333, Other HTTP Features"),
    Row("A60", "An upload of any size uses little memory."),
    Row("A61", "A download of any size uses little memory, at any speed of the client."),
    Row("A62", "An adapter that is created at import works on several loops, one after the other."),
    Row("A63", "An adapter that has served requests also works in a forked child."),
    Row("A64", "A chunk that is not bytes is an error.", "PEP 3333"),
    Row("A65", "It runs under trio."),
    Row("A66", "It runs under uvloop."),
    Row("A67", "Many requests leave no threads, tasks or memory behind."),
    Row("A68", "HEAD has no body, and `close()` is called.", "RFC 9110, 9.3.2"),
    Row(
        "A69",
        "A file is sent by its path or descriptor, if the server supports this.",
        "ASGI extensions, Path Send, Zero Copy Send",
    ),
    Row("A70", "Trailers are sent if the server supports them.", "ASGI extensions, HTTP Trailers"),
    Row("A71", "Early hints are sent if the server supports them.", "ASGI extensions, Early Hints"),
    Row("A72", "The interpreter exits even if a worker thread is stuck."),
    Row("A74", "`close()` runs in the thread and the context of the request."),
    Row("A75", "A 204 response is sent without Content-Length, even if the application sets it.", "RFC 9110, 8.6"),
    Row(
        "A76",
        "With `websockets=True`, the application gets a socket and serves its WebSockets.",
        "RFC 6455; ASGI WebSocket",
    ),
    Row(
        "A77",
        "An application that does not take the socket refuses the WebSocket with its response.",
        "ASGI extensions, WebSocket Denial Response",
    ),
    Row("A78", "Open WebSockets do not use up the threads of requests, and have a limit."),
    Row("A79", "The first `write()` sends the headers, also if it has no data.", "PEP 3333, start_response()"),
    Row("B01", "The scope has every required key.", "ASGI HTTP, scope"),
    Row("B02", "`path` includes the mount point, and `root_path` is `SCRIPT_NAME`.", "ASGI HTTP, scope"),
    Row("B03", "A path that is not valid UTF-8 is served.", "PEP 3333, Unicode Issues"),
    Row(
        "B04", "`raw_path` is the request target as the client sent it, if the server provides it.", "ASGI HTTP, scope"
    ),
    Row("B05", "A non-ASCII query string is served.", "ASGI HTTP, scope"),
    Row("B06", "The scope has Content-Type and Content-Length once, and not if they are empty.", "PEP 3333, environ"),
    Row("B07", "`SERVER_PROTOCOL` becomes `http_version`, with any value.", "ASGI HTTP, scope"),
    Row("B08", "A client without a port still has its address in the scope.", "ASGI HTTP, scope"),
    Row("B08b", "Empty ports and unix sockets are served.", "ASGI HTTP, scope"),
    Row("B09", "`receive()` returns the data that has arrived, before the body is complete.", "ASGI HTTP, Request"),
    Row("B10", "The application receives a chunked body if the server decodes it."),
    Row("B11", "A body that ends early is a disconnect.", "ASGI HTTP, Disconnect"),
    Row("B12", "An error of `wsgi.input` is a disconnect.", "ASGI HTTP, Disconnect"),
    Row("B13", "`receive()` after the body waits until the response has ended.", "ASGI HTTP, Disconnect"),
    Row("B14", "A chunk reaches the server before the application ends.", "PEP 3333, Buffering and Streaming"),
    Row("B15", "`send()` waits for a slow client.", "ASGI HTTP, Response Body"),
    Row(
        "B16",
        "If the server closes the response early, the application's `send()` raises `OSError`.",
        "ASGI HTTP, Disconnected Client",
    ),
    Row(
        "B16b",
        "If the server closes the response early, `receive()` returns `http.disconnect`.",
        "ASGI HTTP, Disconnect",
    ),
    Row("B17", "An error before the headers reaches the server unchanged.", "PEP 3333, Error Handling"),
    Row(
        "B18",
        "An error between headers and body reaches the server, which can still send 500.",
        "PEP 3333, Error Handling",
    ),
    Row("B19", "An error within the body aborts the response.", "PEP 3333, Error Handling"),
    Row("B20", "An application that returns without a response is an error."),
    Row("B21", "An application that returns after its headers but before its body is an error."),
    Row("B22", "An application that returns before the end of its body is an error."),
    Row("B23", "An application that is cancelled is an error."),
    Row(
        "B24",
        "Several Set-Cookie headers stay separate, and non-ASCII values stay unchanged.",
        "PEP 3333, Unicode Issues",
    ),
    Row("B25", "A response without headers is sent, and so is any status.", "ASGI HTTP, Response Start"),
    Row("B26", "Work after the response does not delay it."),
    Row("B26b", "Work after the response is not cancelled."),
    Row(
        "B27",
        "The lifespan starts before the first request and ends with the process. Its state is in every scope.",
        "ASGI Lifespan",
    ),
    Row("B28", "The application sees the context variables of the caller."),
    Row("B29", "One loop serves all requests and threads."),
    Row("B30", "Requests that wait run at the same time."),
    Row("B31", "An adapter that is created before a fork works in the child."),
    Row("B32", "An adapter that is used before a fork works in the child."),
    Row("B33", "The interpreter exits soon and without messages."),
    Row("B34", "ASGI 2 applications are served.", "ASGI 2.0"),
    Row("B35", "Many requests leave no tasks, threads or objects behind."),
    Row("B36", "Adapters that are dropped leave no thread."),
    Row("B37", "An unknown message raises in `send()`.", "ASGI, Extensions"),
    Row("B38", "A body message before `http.response.start` raises in `send()`.", "ASGI HTTP, Response Body"),
    Row(
        "B39",
        "A body in one piece is a list with one item, so the server can set Content-Length.",
        "PEP 3333, Content-Length",
    ),
    Row("B40", "A slow upload does not delay other requests."),
    Row("B41", "While a body is read, nothing is sent (half duplex)."),
    Row("B42", "Code that blocks the loop blocks all its requests."),
    Row("B43", "A thread with a running loop may call it."),
    Row("B44", "A file is sent with `wsgi.file_wrapper`.", "ASGI extensions; PEP 3333, File Handling"),
    Row("B45", "An upload of any size uses little memory."),
    Row("B46", "HEAD, 204 and 304 have no body.", "RFC 9110, 6.4.1"),
    Row("B47", "`send()` after the response raises, and nothing hangs."),
    Row("B48", "A cancelled `receive()` does not lose data.", ""),
    Row("B49", "The application can run on your own loop, also on uvloop.", modes=("a loop of yours",)),
    Row("B50", "Frameworks that use their own task groups work."),
    Row(
        "B51",
        "Trailers and early hints are sent if the server supports them, and dropped otherwise.",
        "ASGI extensions",
    ),
    Row(
        "B52",
        "With `websockets=True`, WebSockets are served if the server hands over its socket.",
        "RFC 6455; ASGI WebSocket",
    ),
    Row(
        "B55",
        'Headers without a body are sent after 50 milliseconds, with `write(b"")`.',
        "PEP 3333, start_response()",
    ),
)

#: What was not studied, and is not promised.
OPEN = {
    "A73": "Free-threaded builds: the adapters rely on the interpreter lock.",
    "B53": "ASGI applications that need trio: the loop under a WSGI server is asyncio's.",
    "B54": "Free-threaded builds, in this direction.",
}

_NAMED = re.compile(r"(?:test_|[\[-])([AaBb]\d\d[b]?)(?=[_\]-])")


def rows_of(test: str) -> set[str]:
    """Return the rows that the id of a test names.

    >>> sorted(rows_of("tests/x.py::test_b12_an_error_is_a_disconnect[shared]"))
    ['B12']
    """
    return {name[0].upper() + name[1:] for name in _NAMED.findall(test)}


def mode_of(test: str) -> str:
    """Return the mode that a test runs in: a parameter of its id; WSGI has one."""
    parameters = re.split(r"[\[\]-]", test.partition("::")[2])
    return next((mode for mode in MODES["B"] if mode in parameters), "pool")


def excuse(items: Iterable[pytest.Item], table: Mapping[tuple[str, str], str] = NOT_APPLICABLE) -> None:
    """Expect the tests of excused rows to fail, each in its mode."""
    for item in items:
        for row in rows_of(item.nodeid) if table else ():
            reason = table.get((row, mode_of(item.nodeid)))
            if reason is not None:
                item.add_marker(pytest.mark.xfail(reason=f"{row}: {reason}", strict=True))


def table() -> Iterator[str]:
    for direction, title in (("A", "WSGI served as ASGI: `WsgiToAsgi`"), ("B", "ASGI served as WSGI: `AsgiToWsgi`")):
        yield f"### {title}"
        yield ""
        yield "| row | behaviour | source | modes |"
        yield "|---|---|---|---|"
        for row in ROWS:
            if row.id.startswith(direction):
                holds = ", ".join(row.applies_in())
                yield f"| {row.id} | {row.sentence} | {row.source or '–'} | {holds or '–'} |"
        yield ""
    if NOT_APPLICABLE:
        yield from (f"- {row} does not apply in mode `{mode}`: {why}" for (row, mode), why in NOT_APPLICABLE.items())
    else:
        yield "Every row holds in every mode of its direction."
    yield ""
    yield "Not studied, and not promised:"
    yield ""
    yield from (f"- {row}: {sentence}" for row, sentence in OPEN.items())


def page() -> str:
    """Return the page with its table as it has to be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n" + "\n".join(table()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
