"""Write the programs of the report: an application and a server, or an application and an adapter, in a few lines."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable

from tests.evidence.field.packages import ASGI, PACKAGES, PORT

__all__ = ["ENVIRON", "GET", "adapted", "alone", "called", "request", "served"]

#: The longest line of a program, as for the other code of the pages.
_WIDTH = 84


def request(line: str = "GET / HTTP/1.1", *fields: str, body: str = "") -> str:
    """Return the Python literal of a request; without ``fields``, it has Host and closes the connection."""
    lines = [rf"{each}\r\n" for each in (line, *(fields or ("Host: a", "Connection: close")))]
    lines[-1] += rf"\r\n{body}"
    if len("".join(lines)) <= _WIDTH - 24:
        return f'b"{"".join(lines)}"'
    return "\n" + "".join(f'    b"{each}"\n' for each in lines)


GET = request()
_ADDRESS = f'("127.0.0.1", {PORT})'
_CONNECT = f"socket.create_connection({_ADDRESS}, 10)"


def served(
    app: str,
    show: str = "",
    *,
    send: str = GET,
    client: str = "",
    imports: str = "",
    unix: bool = False,
    asgi: str = "",
) -> Callable[[str], str]:
    """Return a function that writes the program for a server.

    Args:
        app: The application; its name is ``app``.
        show: Expression that the program prints; ``answer`` is all that the server sent for ``send``.
        send: The request, a literal.
        client: Instead of ``show``, the lines that ask the server and print.
        imports: More import lines.
        unix: The server listens on the unix socket ``app.sock``.
        asgi: The application for servers of ASGI, if ``app`` is one for WSGI.
    """
    connect = "socket.socket(socket.AF_UNIX)" if unix else "socket.socket()"
    address = '"app.sock"' if unix else _ADDRESS
    opened = f'{connect} as client:\n    client.connect("app.sock")' if unix else f"{_CONNECT} as client:"
    if not client:
        client = (
            f'with {opened}\n    client.sendall({send})\n    answer = client.makefile("rb").read()\nprint({show})\n'
        )

    def write(name: str) -> str:
        code = asgi if asgi and name in ASGI else app
        main = (
            f"server = subprocess.Popen({_list(PACKAGES[name].command)}, stdout=sys.stderr)\n"
            "try:\n"
            f"    while {connect}.connect_ex({address}):\n"
            "        time.sleep(0.1)\n"
            f"{_indented(client)}"
            "finally:\n"
            "    server.terminate()\n"
        )
        lines = "\n".join(["import socket, subprocess, sys, time", *imports.splitlines()])
        return f'{lines}\n\n{code.strip()}\n\nif __name__ == "__main__":\n{_indented(main)}'

    return write


def _list(words: tuple[str, ...]) -> str:
    """Return the list of a command as code, in lines that are not too long."""
    lines = ["sys.executable,"]
    for word in words:
        # A long word is code: it goes into several literals, each in a line of its own.
        pieces = (
            textwrap.wrap(word, _WIDTH - 24, drop_whitespace=False, break_on_hyphens=False)
            if len(word) > _WIDTH - 24
            else [word]
        )
        for piece in pieces:
            item = json.dumps(piece) + ("," if piece is pieces[-1] else "")
            if len(pieces) > 1 or len(lines[-1]) + len(item) > _WIDTH - 24:
                lines.append(item)
            else:
                lines[-1] += f" {item}"
    return "[\n    " + "\n    ".join(lines) + "\n]"


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())


_SCOPE = """\
SCOPE = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
         "method": "GET", "scheme": "http", "path": "/", "root_path": "",
         "query_string": b"", "headers": [], "client": ("127.0.0.1", 50000),
         "server": ("127.0.0.1", 80)}
"""


def adapted(
    app: str,
    show: str,
    *,
    body: str = 'b""',
    scope: str = "",
    send: str = "sent.append(message)",
    receive: str = "return requests.pop() if requests else await asyncio.Event().wait()",
    imports: str = "",
    main: str = "asyncio.run({call})\n",
) -> Callable[[str], str]:
    """Return a function that writes the program for an adapter of WSGI applications.

    Args:
        app: The application; its name is ``app``.
        show: Arguments of ``print``; ``sent`` are the messages. "" prints nothing.
        body: Body of the request, a literal.
        scope: Literal of a dict that is added to the scope.
        send: Lines of ``send``.
        receive: Lines of ``receive``.
        imports: Modules beside asyncio.
        main: Lines that make ``{call}``.
    """

    def write(name: str) -> str:
        module, adapter = PACKAGES[name].command
        modules = sorted({"asyncio", *(each for each in imports.split(", ") if each)})
        call = f"{adapter}(app)(SCOPE, receive, send)"
        added = f"SCOPE |= {scope}\n" if scope else ""
        return (
            f"import {', '.join(modules)}\nfrom {module} import {adapter}\n\n{app.strip()}\n\n{_SCOPE}{added}"
            f'requests = [{{"type": "http.request", "body": {body}}}]\nsent = []\n\n'
            f"async def receive():\n{_indented(receive)}\nasync def send(message):\n{_indented(send)}\n"
            f"{main.format(call=call)}" + (f"print({show})\n" if show else "")
        )

    return write


ENVIRON = """\
ENVIRON = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/",
           "SERVER_NAME": "a", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
           "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
           "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(),
           "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
"""


def called(imports: str, app: str, wrapped: str, then: str) -> Callable[[str], str]:
    """Return a function that writes a program that calls a WSGI application as a server does.

    Args:
        imports: Its imports, beside io.
        app: The application.
        wrapped: The expression that is called.
        then: Lines that use ``body``, the iterable, and ``started``, the status and exc_info of each call.
    """

    def write(_: str) -> str:
        return (
            f"import io\n{imports.strip()}\n\n{app.strip()}\n\n{ENVIRON}"
            "started = []\n\n"
            "def start_response(status, headers, exc_info=None):\n"
            "    started.append((status, exc_info))\n"
            "    return lambda data: None\n\n"
            f"body = {wrapped}(ENVIRON, start_response)\n{then}"
        )

    return write


def alone(text: str) -> Callable[[str], str]:
    """Return a function that returns a program as it is."""
    return lambda _: text
