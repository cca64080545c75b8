"""``gateway fetch``: send one request to an application in this process, and print the response as curl does.

No server and no socket takes part. ``--as`` calls the application through the other interface, so through an adapter;
``--trace`` shows the time line.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import click

from gateway.adapters.asgi_to_wsgi import close_all, start_all
from gateway.application import Gateway
from gateway.cli._source import source
from gateway.cli._trace import Trace, traced
from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.matrix import MatrixRequest
from gateway.matrix._reference import Answer, call_asgi_started, call_wsgi
from gateway.protocols import Application, Interface, detect

__all__ = ["command"]


@click.command("fetch", short_help="Send one request to an application, without a server.")
@click.argument("target", metavar="MODULE[:ATTRIBUTE]")
@click.argument("path", metavar="/PATH", default="/")
@click.option("--request", "-X", "method", metavar="METHOD", help="HTTP method. [default: GET, or POST with --data]")
@click.option("--header", "-H", "headers", metavar="'NAME: VALUE'", multiple=True, help="Header; repeatable.")
@click.option("--data", "-d", metavar="TEXT", help="Request body; @FILE reads it from a file.")
@click.option("--head", "-I", "only_headers", is_flag=True, help="Send HEAD, and print the headers.")
@click.option("--include", "-i", is_flag=True, help="Print the status line and the headers too.")
@click.option("--fail", "-f", is_flag=True, help="Exit with status 22 if the response has status 400 or above.")
@click.option("--as", "spoken", type=click.Choice(["wsgi", "asgi"]), help="Interface to call the application in.")
@click.option("--trace", is_flag=True, help="Print the time line of events, middleware and hand-offs.")
@click.option("--app-dir", type=click.Path(exists=True, file_okay=False), help="Folder to import from.")
@click.option("--factory", is_flag=True, help="MODULE:APP names a function that returns the application.")
def command(
    target: str,
    path: str,
    method: str | None,
    headers: tuple[str, ...],
    data: str | None,
    only_headers: bool,
    include: bool,
    fail: bool,
    spoken: Interface | None,
    trace: bool,
    app_dir: str | None,
    factory: bool,
) -> None:
    """Call MODULE:APP in this process with one request, and print its response.

    \b
    gateway fetch shop:app /
    gateway fetch shop:app /cart -X POST -d '{"item": 1}' -H 'Content-Type: application/json' -i
    gateway fetch shop:app / --as wsgi --trace
    """
    request = _request(path, method, headers, data, only_headers=only_headers)
    named = source(target, None, app_dir, factory=factory)
    assert named is not None  # a target is given
    with redirect_stdout(sys.stderr):  # prints of an imported module do not belong to the output
        _, app = named.load()
        interface = detect(app)
        record = Trace() if trace else None
        answer = _call(app, interface, spoken or ("wsgi" if interface == "wsgi" else "asgi"), request, record)
    if record is not None:
        click.echo("\n".join(record.lines()), err=True)
    if answer.error is not None:
        raise ConfigurationError(f"{target} raised {type(answer.error).__name__}: {answer.error}") from answer.error
    _print(answer, include=include or only_headers)
    if fail and answer.status >= 400:
        sys.exit(22)


def _request(
    path: str, method: str | None, headers: tuple[str, ...], data: str | None, *, only_headers: bool
) -> MatrixRequest:
    if not path.startswith("/") or not path.isascii() or " " in path:
        raise click.UsageError(f"a path must be percent-encoded and start with '/', got {path!r}")
    pairs: list[tuple[str, str]] = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"--header must be 'NAME: VALUE', got {header!r}")
        pairs.append((name.strip(), value.strip()))
    body = b""
    if data is not None:
        try:
            body = Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
        except OSError as error:
            raise click.UsageError(f"--data {data}: {error.strerror}") from error
        if "content-type" not in {name.lower() for name, _ in pairs}:
            pairs.append(("Content-Type", "application/x-www-form-urlencoded"))
    chosen = "HEAD" if only_headers else (method or ("GET" if data is None else "POST"))
    return MatrixRequest("fetch", chosen, path, body, headers=tuple(pairs))


def _call(app: object, own: Interface, spoken: Interface, request: MatrixRequest, record: Trace | None) -> Answer:
    """Call the application in an interface, with its lifespan."""
    called: Any = app if record is None else traced(app, own, record)
    if not isinstance(called, Dual) and spoken != own:
        called = Gateway(cast("Application", called), own)
    view: Any = getattr(called, spoken) if isinstance(called, Dual) else called
    if spoken == "asgi":
        return call_asgi_started(view, [request], started=None if record is None else record.restart)[0]
    try:
        start_all(called)
        if record is not None:
            record.restart()
        return call_wsgi(view, request)
    finally:
        close_all()


def _print(answer: Answer, *, include: bool) -> None:
    if include:
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = ""
        click.echo(f"HTTP/1.1 {answer.status} {phrase}".rstrip())
        for name, value in answer.headers:
            click.echo(f"{name}: {value}")
        click.echo("")
    sys.stdout.flush()
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()
    if sys.stdout.isatty() and not answer.body.endswith(b"\n"):
        click.echo("")
