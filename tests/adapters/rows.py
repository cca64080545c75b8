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
    Row("A01", "The environ has every required key, and its CGI values are native strings.", "PEP 3333, environ"),
    Row("A02", "`root_path` becomes `SCRIPT_NAME`, the rest of the path `PATH_INFO`.", "PEP 3333; ASGI HTTP, scope"),
    Row("A03", "A `root_path` is cut off at whole segments only.", "ASGI HTTP, scope"),
    Row("A04", "A slash at the end of `root_path` is not part of `SCRIPT_NAME`."),
    Row("A05", "A path that is no UTF-8 is rebuilt from `raw_path`.", "PEP 3333, Unicode Issues"),
    Row("A06", "A path beyond ASCII comes as the bytes of its UTF-8, spelled in latin-1.", "PEP 3333, Unicode Issues"),
    Row("A06b", "A path with surrogates is served.", ""),
    Row("A07", "The target as it was sent stands in `RAW_URI` and `REQUEST_URI`."),
    Row("A08", "A query string beyond ASCII comes as latin-1.", "PEP 3333, Unicode Issues"),
    Row("A09", "Without a server address the name and port are defaults, as text.", "PEP 3333, environ"),
    Row("A10", "A unix socket as server is served, with a port that is text.", "ASGI HTTP, scope"),
    Row("A10b", "A scope without `server` and `client` is served.", "ASGI HTTP, scope"),
    Row("A11", "`REMOTE_ADDR` and `REMOTE_PORT` are the client's.", "RFC 3875, 4.1.8"),
    Row("A12", "`SERVER_PROTOCOL` names the version of HTTP.", "ASGI HTTP, scope"),
    Row("A13", "The scheme https sets `wsgi.url_scheme` and `HTTPS`."),
    Row("A14", "Fields of one name are joined with a comma.", "RFC 9110, 5.3"),
    Row("A15", "Cookie fields are joined with a semicolon.", "RFC 9113, 8.2.3"),
    Row("A16", "A name with an underscore cannot pose as one with a dash.", "RFC 3875, 4.1.18"),
    Row("A17", "A repeated Content-Length is one number, or refused.", "RFC 9110, 8.6"),
    Row("A18", "Content-Type and Content-Length have their own keys, in any case.", "PEP 3333, environ"),
    Row("A18b", "A `Proxy` field of a client does not become `HTTP_PROXY`.", "CVE-2016-5385"),
    Row("A19", "A chunked body can be read to its end, which `wsgi.input_terminated` says."),
    Row("A20", "`read()` gives what was asked for, and nothing at the end.", "PEP 3333, Input"),
    Row("A21", "`readline()` finds lines over the borders of chunks.", "PEP 3333, Input"),
    Row("A22", "`readline(size)` works on a body of which nothing was read.", "PEP 3333, Input"),
    Row("A23", "`readlines()` works, of an empty body too, and adds no line end.", "PEP 3333, Input"),
    Row("A24", "The hint of `readlines()` counts bytes.", "PEP 3333, Input"),
    Row("A25", "Iterating gives the lines and no empty one.", "PEP 3333, Input"),
    Row("A26", "`read(None)` reads all."),
    Row("A27", "The application starts before a large body has come.", "ASGI HTTP, Request"),
    Row("A28", "An application may leave the body unread.", "ASGI HTTP, Request"),
    Row("A29", "A body that the client broke off raises, and does not look short.", "ASGI HTTP, Disconnect"),
    Row("A30", "What `write()` was given goes before the iterable.", "PEP 3333, write()"),
    Row(
        "A31",
        "Nothing is sent before the first non-empty chunk, so the head can be replaced.",
        "PEP 3333, start_response()",
    ),
    Row("A32", "A second `start_response` without `exc_info` raises.", "PEP 3333, start_response()"),
    Row("A33", "`exc_info` after the head is raised again in the application.", "PEP 3333, start_response()"),
    Row("A34", "`close()` is called once at the end.", "PEP 3333, close()"),
    Row("A35", "`close()` is called where the iteration fails.", "PEP 3333, close()"),
    Row("A36", "A `send` that raises ends the iteration and frees the thread.", "ASGI HTTP, Disconnected Client"),
    Row("A37", "A disconnect while a body is sent ends the iteration soon.", "ASGI HTTP, Disconnect"),
    Row("A38", "A cancelled request ends the iteration, and no thread is left."),
    Row("A38b", "Aborted responses do not use up the threads."),
    Row("A39", "An error before the head reaches the server.", "PEP 3333, Error Handling"),
    Row(
        "A40",
        "An error within the body reaches the server, and the response does not look complete.",
        "ASGI HTTP, Response Body",
    ),
    Row("A41", "Header values beyond ASCII are kept as latin-1.", "PEP 3333, Unicode Issues"),
    Row("A42", "A status without a reason phrase is accepted."),
    Row("A43", "Several Set-Cookie fields stay, in order; names are lower-cased.", "ASGI HTTP, Response Start"),
    Row("A44", "A chunk leaves before the next is made.", "PEP 3333, Buffering and Streaming"),
    Row("A45", "A slow client bounds what is made ahead.", "ASGI HTTP, Response Body"),
    Row("A46", "Blocking requests run side by side.", "PEP 3333, Thread Support"),
    Row("A46b", "As many as `threads` says."),
    Row("A47", "Context variables of the caller are seen, in the iteration too."),
    Row("A48", "Context variables that the application sets stay its own."),
    Row("A49", "The lifespan is answered.", "ASGI Lifespan"),
    Row("A50", "A websocket is refused with 403, without an error.", "ASGI WebSocket, Close"),
    Row("A51", "An empty iterable is an empty body.", "PEP 3333"),
    Row("A52", "An application that says no head is an error, and nothing is sent.", "PEP 3333, start_response()"),
    Row("A53", "A head may be said with the first step of the iteration.", "PEP 3333, start_response()"),
    Row("A54", "A response in one piece is two messages."),
    Row("A54b", "Empty chunks send nothing.", "PEP 3333, start_response()"),
    Row("A55", "What is beyond the Content-Length is not sent.", "PEP 3333, Content-Length"),
    Row("A56", "`wsgi.file_wrapper` is there.", "PEP 3333, File Handling"),
    Row("A57", "`wsgi.errors` is the error stream.", "PEP 3333, Error Stream"),
    Row("A58", "`async_to_sync` in a view runs on the server's loop."),
    Row("A59", "Hop-by-hop fields of the application are dropped.", "PEP 3333, Other HTTP Features"),
    Row("A60", "An upload of any size takes little memory."),
    Row("A61", "A download of any size takes little memory, whatever the client's speed."),
    Row("A62", "An adapter made at import serves one loop and the next."),
    Row("A63", "An adapter that served serves in a forked child, too."),
    Row("A64", "A chunk that is no bytes is an error.", "PEP 3333"),
    Row("A65", "It runs under trio."),
    Row("A66", "It runs under uvloop."),
    Row("A67", "Many requests leave nothing behind: threads, tasks, memory."),
    Row("A68", "HEAD has no body, and `close()` is called.", "RFC 9110, 9.3.2"),
    Row(
        "A69",
        "A file leaves by path or descriptor, where the server offers it.",
        "ASGI extensions, Path Send, Zero Copy Send",
    ),
    Row("A70", "Trailers are sent, where the server offers them.", "ASGI extensions, HTTP Trailers"),
    Row("A71", "Early hints are sent, where the server offers them.", "ASGI extensions, Early Hints"),
    Row("A72", "The interpreter ends though a worker is stuck."),
    Row("A74", "`close()` runs in the thread and the context of the request."),
    Row("A75", "A 204 leaves without a Content-Length, whatever the application says.", "RFC 9110, 8.6"),
    Row("B01", "The scope has every required key.", "ASGI HTTP, scope"),
    Row("B02", "`path` includes the mount point, `root_path` is `SCRIPT_NAME`.", "ASGI HTTP, scope"),
    Row("B03", "A path that is no UTF-8 is served.", "PEP 3333, Unicode Issues"),
    Row("B04", "`raw_path` is the target as it was sent, where the server tells.", "ASGI HTTP, scope"),
    Row("B05", "A query string beyond ASCII is served.", "ASGI HTTP, scope"),
    Row("B06", "Content-Type and Content-Length come once, and not at all where they are empty.", "PEP 3333, environ"),
    Row("B07", "`SERVER_PROTOCOL` becomes `http_version`, whatever it holds.", "ASGI HTTP, scope"),
    Row("B08", "A client without a port is known by its address.", "ASGI HTTP, scope"),
    Row("B08b", "Empty ports and unix sockets are served.", "ASGI HTTP, scope"),
    Row("B09", "`receive()` gives what has come, before all has.", "ASGI HTTP, Request"),
    Row("B10", "A chunked body arrives, where the server decodes it."),
    Row("B11", "A body that ends early is a disconnect.", "ASGI HTTP, Disconnect"),
    Row("B12", "An error of `wsgi.input` is a disconnect.", "ASGI HTTP, Disconnect"),
    Row("B13", "`receive()` behind the body waits until the response has ended.", "ASGI HTTP, Disconnect"),
    Row("B14", "A chunk reaches the server before the application ends.", "PEP 3333, Buffering and Streaming"),
    Row("B15", "`send()` waits for a slow client.", "ASGI HTTP, Response Body"),
    Row("B16", "A server that lets go ends the application's `send()`.", "ASGI HTTP, Disconnected Client"),
    Row("B16b", "And its `receive()`.", "ASGI HTTP, Disconnect"),
    Row("B17", "An error before the head reaches the server as it is.", "PEP 3333, Error Handling"),
    Row("B18", "So does one between head and body: the server can still answer 500.", "PEP 3333, Error Handling"),
    Row("B19", "An error within the body cuts the response.", "PEP 3333, Error Handling"),
    Row("B20", "An application that returns without an answer is an error."),
    Row("B21", "One that returns behind its head, too."),
    Row("B22", "One that returns within its body, too."),
    Row("B23", "One that is cancelled, too."),
    Row("B24", "Several Set-Cookie fields stay, and values beyond ASCII.", "PEP 3333, Unicode Issues"),
    Row("B25", "A head without headers, and any status, are sent.", "ASGI HTTP, Response Start"),
    Row("B26", "Work behind the response does not hold it up."),
    Row("B26b", "And is not cancelled."),
    Row(
        "B27",
        "The lifespan runs before the first request, its state is in every scope, it ends with the process.",
        "ASGI Lifespan",
    ),
    Row("B28", "Context variables of the caller are seen."),
    Row("B29", "One loop serves all requests and threads."),
    Row("B30", "Requests that wait run side by side."),
    Row("B31", "An adapter made before a fork serves in the child."),
    Row("B32", "An adapter used before a fork, too."),
    Row("B33", "The interpreter ends soon and silently."),
    Row("B34", "ASGI 2 applications are served.", "ASGI 2.0"),
    Row("B35", "Many requests leave nothing behind: tasks, threads, objects."),
    Row("B36", "Adapters that are dropped leave no thread."),
    Row("B37", "An unknown message raises where it is sent.", "ASGI, Extensions"),
    Row("B38", "A body before its head raises where it is sent.", "ASGI HTTP, Response Body"),
    Row("B39", "A body in one piece is a list of one, so the server can say its length.", "PEP 3333, Content-Length"),
    Row("B40", "A slow upload holds up no other request."),
    Row("B41", "While a body is read nothing is sent: half duplex."),
    Row("B42", "What blocks the loop blocks its requests."),
    Row("B43", "A thread with a running loop may call it."),
    Row("B44", "A file goes to `wsgi.file_wrapper`.", "ASGI extensions; PEP 3333, File Handling"),
    Row("B45", "An upload of any size takes little memory."),
    Row("B46", "HEAD, 204 and 304 have no body.", "RFC 9110, 6.4.1"),
    Row("B47", "`send()` behind the response raises, and hangs nobody."),
    Row("B48", "A cancelled `receive()` loses nothing.", ""),
    Row("B49", "A loop of the user's runs the application, uvloop's too.", modes=("a loop of yours",)),
    Row("B50", "Frameworks with task groups of their own work."),
    Row("B51", "Trailers and early hints are sent where the server can, and dropped where not.", "ASGI extensions"),
    Row("B52", "WebSockets are served where the server hands over its socket, on request.", "RFC 6455; ASGI WebSocket"),
)

#: What was not studied, and is not promised.
OPEN = {
    "A73": "Free-threaded builds: the hand-offs rely on the interpreter's lock.",
    "B53": "ASGI applications that need trio: the loop of a WSGI server is asyncio's.",
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
