"""``gateway demo``: serve a WSGI and an ASGI application with every installed server, and compare every response.

The reference is the response of the application in a direct call, in its own interface. The demo compares status, body,
and the name, value and order of every header. It ignores only the headers of the connection, by name. Some servers
change the headers of any application (``Capabilities.header_order``, ``latin_headers``), and the demo applies these
changes to the reference first. It sends no chunked upload to a server that does not take one, and the table marks that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from itertools import zip_longest
from pathlib import Path

import click

from gateway.cli import _demo_apps
from gateway.cli._command import counted
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.matrix._reference import Answer, call_asgi, call_wsgi
from gateway.matrix._requests import MatrixRequest
from gateway.matrix._wire import ask
from gateway.protocols import Interface
from gateway.servers import Bind, Launch, Server, StartError, families, get, installed, names, start

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Table
except ModuleNotFoundError as _error:
    raise MissingExtraError("gateway demo", "standard", package="rich") from _error

__all__ = ["REQUESTS", "Result", "command", "compare", "demonstrate"]

_BODY = bytes(range(256)) * 1024
REQUESTS: Sequence[MatrixRequest] = (
    MatrixRequest("hello"),
    MatrixRequest("head", "HEAD"),
    MatrixRequest("upload", "POST", "/upload", _BODY),
    MatrixRequest("chunked upload", "POST", "/upload", _BODY, chunked=True),
    MatrixRequest("stream", path="/stream"),
    MatrixRequest("cookies", path="/cookies"),
    MatrixRequest("beyond ASCII", path="/echo/caf%C3%A9%20%E6%97%A5?q=%C3%BC"),
    MatrixRequest("redirect", path="/elsewhere"),
    MatrixRequest("not found", path="/missing"),
)
#: Interface of a demo application to the import string of the object that serves it.
_TARGETS: Mapping[Interface, str] = {"wsgi": "gateway.cli._demo_apps:wsgi", "asgi": "gateway.cli._demo_asgi:asgi"}
_AT_ONCE = 4


@dataclass
class Result:
    """The result of one server with one application.

    Attributes:
        server: The server.
        application: Interface of the application.
        requests: Number of compared responses.
        differences: A sentence for each response that was not identical or did not arrive.
        left_out: Requests that the server does not support.
    """

    server: Server
    application: Interface
    requests: int = 0
    differences: list[str] = field(default_factory=list[str])
    left_out: list[str] = field(default_factory=list[str])

    @property
    def identical(self) -> bool:
        """Whether the server responded, and each response was identical to the reference."""
        return not self.differences and self.requests > 0


@click.command("demo", short_help="Compare the responses of every installed server.")
@click.option(
    "--server", "only", metavar="NAME", multiple=True, help="Use only this server; may be given several times."
)
def command(only: tuple[str, ...]) -> None:
    """Serve one WSGI and one ASGI application under every installed server, and compare the answers.

    The servers of gevent serve the WSGI application alone, because they refuse ASGI applications.

    Each answer is compared with what the application says when it is called directly, without a server and without an
    adapter. The exit status is 0 only if every answer is identical.
    """
    servers = _chosen(only)
    console = Console()
    results: list[Result] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Starting servers", total=sum(len(_applications(server)) for server in servers))
        for result in demonstrate(servers):
            results.append(result)
            progress.update(task, advance=1, description=f"{result.server.name} ({result.application.upper()})")
    results.sort(key=lambda result: (servers.index(result.server), result.application))
    _show(console, results)
    if not all(result.identical for result in results):
        sys.exit(1)


def _chosen(only: Sequence[str]) -> list[Server]:
    if not only:
        return list(installed())
    wanted: list[Server] = []
    for name in only:
        wanted += [get(known) for known in names() if get(known).family == name] if name in families() else [get(name)]
    for server in wanted:
        if reason := server.missing():
            raise ConfigurationError(reason)
    return wanted


def demonstrate(servers: Sequence[Server]) -> Iterator[Result]:
    """Run each server with each application, several at once, and yield each result as soon as it is complete."""
    references: dict[Interface, list[Answer]] = {
        "wsgi": [call_wsgi(_demo_apps.wsgi_application, request) for request in REQUESTS],
        "asgi": [call_asgi(_demo_apps.asgi_application, request) for request in REQUESTS],
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [
            pool.submit(_examine, server, interface, references[interface])
            for server in servers
            for interface in _applications(server)
        ]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _applications(server: Server) -> Sequence[Interface]:
    """Return the interfaces of the applications that a server can serve: gevent's servers refuse ASGI."""
    return tuple(_TARGETS) if server.capabilities.serves_asgi else ("wsgi",)


def _examine(server: Server, interface: Interface, reference: Sequence[Answer]) -> Result:
    result = Result(server, interface)
    launch = Launch(
        target=_TARGETS[interface],
        bind=Bind(port=0),
        app_dir=str(Path(__file__).parent.parent.parent),
        hooks=interface != server.interface,
    )
    try:
        with start(server, launch) as running:
            for request, expected in zip(REQUESTS, reference, strict=True):
                if request.chunked and server.capabilities.chunked_upload != "decoded":
                    result.left_out.append(request.name)
                    continue
                try:
                    answer = ask(running.bind, request)
                except (OSError, HTTPException) as error:
                    result.differences.append(f"{request.name}: no response, {type(error).__name__}: {error}")
                    continue
                result.requests += 1
                result.differences += [f"{request.name}: {said}" for said in compare(expected, answer, server)]
    except StartError as error:
        result.differences.append(str(error))
    return result


def compare(expected: Answer, answer: Answer, server: Server) -> Iterator[str]:
    """Yield a phrase for each difference between the reference and a server's response.

    Args:
        expected: Response of the application in a direct call.
        answer: Response that came over the wire.
        server: Server that sent it; the reference gets this server's known changes to headers first.
    """
    expected = _as_sent_by(server, expected)
    if expected.status != answer.status:
        yield f"status {answer.status} instead of {expected.status}"
    for at, (wanted, found) in enumerate(zip_longest(expected.headers, answer.headers), 1):
        if wanted != found:
            yield f"header {at} is {_written(found)} instead of {_written(wanted)}"
            break
    if expected.body != answer.body:
        at = next(
            (at for at, (one, other) in enumerate(zip(expected.body, answer.body, strict=False)) if one != other),
            min(len(expected.body), len(answer.body)),
        )
        yield f"the body of {len(answer.body)} bytes instead of {len(expected.body)} differs from byte {at}"


def _as_sent_by(server: Server, answer: Answer) -> Answer:
    if not server.capabilities.latin_headers:  # clients decode these UTF-8 bytes as latin-1
        answer = replace(
            answer, headers=tuple((name, value.encode().decode("latin-1")) for name, value in answer.headers)
        )
    if not server.capabilities.streaming and answer.body and "content-length" not in dict(answer.headers):
        answer = replace(answer, headers=(*answer.headers, ("content-length", str(len(answer.body)))))
    if server.capabilities.header_order == "sorted":
        return replace(answer, headers=tuple(sorted(answer.headers, key=lambda pair: pair[0])))
    if server.capabilities.header_order == "grouped":
        first = {name: at for at, (name, _) in reversed(list(enumerate(answer.headers)))}
        return replace(answer, headers=tuple(sorted(answer.headers, key=lambda pair: first[pair[0]])))
    return answer


def _written(header: tuple[str, str] | None) -> str:
    return "missing" if header is None else repr(": ".join(header))


def _show(console: Console, results: Sequence[Result]) -> None:
    table = Table(title="One object, any server")
    for column in ("Server", "Interface", "Application"):
        table.add_column(column, no_wrap=True)
    table.add_column("Requests", justify="right")
    table.add_column("Identical")
    for result in results:
        table.add_row(
            f"{result.server.name} {result.server.version()}",
            result.server.interface.upper(),
            result.application.upper(),
            str(result.requests) + ("*" if result.left_out else ""),
            "[green]yes[/green]" if result.identical else "[red]no[/red]",
        )
    console.print(table)
    if any(result.left_out for result in results):
        console.print("* without the chunked upload, which this server does not support", style="dim", highlight=False)
    for result in results:
        for difference in result.differences:
            console.print(
                f"{result.server.name}, {result.application.upper()} application: {difference}",
                style="red",
                highlight=False,
                markup=False,
            )
    requests = sum(result.requests for result in results)
    different = sum(len(result.differences) for result in results)
    said = "every response is identical" if not different else counted(different, "difference")
    servers = counted(len({result.server.name for result in results}), "server")
    console.print(f"{servers}, {counted(requests, 'response')}: {said}.")
