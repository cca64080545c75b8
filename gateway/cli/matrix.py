"""``gateway matrix``: run an application under every installed server, and show what each server changes.

The application is imported and called directly first. Its own responses are what every server has to deliver.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import click

from gateway import matrix
from gateway.cli._source import source, source_options
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.matrix import _report
from gateway.matrix._proxies import PROXIES, installed
from gateway.servers import Server, families, get, names
from gateway.servers import installed as installed_servers

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ModuleNotFoundError as _error:
    raise MissingExtraError("gateway matrix", "standard", package="rich") from _error

__all__ = ["command"]


@click.command("matrix", short_help="Compare an application's responses under every installed server.")
@source_options
@click.option("--only", metavar="NAME", multiple=True, help="Run only this server or family; repeatable.")
@click.option("--proxies", is_flag=True, help="Also put NGINX, HAProxy and Caddy in front of each server.")
@click.option(
    "--requests",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Requests to send instead of the built-in ones, TOML or JSON.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Servers to run at once.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "markdown", "html"]), default="table", show_default=True
)
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="File to write to.")
@click.option("--fail-on-diff", is_flag=True, help="Exit with status 1 if a difference is unknown or a server fails.")
def command(
    target: str | None,
    config: str | None,
    app_dir: str | None,
    factory: bool,
    only: tuple[str, ...],
    proxies: bool,
    file: Path | None,
    jobs: int,
    form: str,
    output: Path | None,
    fail_on_diff: bool,
) -> None:
    """Run MODULE:APP under every installed server, and compare status, headers and body with its own responses.

    Each difference is explained by a known quirk of the server, or listed as unknown.

    \b
    gateway matrix shop:app
    gateway matrix shop:app --only gunicorn --only uvicorn --proxies
    gateway matrix shop:app --requests smoke.toml --format json --fail-on-diff
    """
    named = source(target, config, app_dir, factory=factory)
    if named is None:
        raise ConfigurationError("no application given: run `gateway matrix MODULE:APP`")
    servers = _chosen(only)
    sys.path.insert(0, str(named.folder))
    begun = time.monotonic()
    with redirect_stdout(sys.stderr):  # prints of an imported module do not belong to the output
        own = matrix.reference(named.target, matrix.read_requests(file) if file else matrix.BUILTIN)
    fronts = installed() if proxies else ()
    if proxies and (missing := [each.name for each in PROXIES if each not in fronts]):
        click.echo(f"not installed, so left out: {', '.join(missing)}", err=True)
    found = _watch(own, servers, named.folder, fronts, jobs)
    order = {server.name: place for place, server in enumerate(servers)}
    found.sort(key=lambda each: (each.proxy, order[each.server]))
    result = matrix.Matrix(own, found, matrix.stale(own, found), time.monotonic() - begun)
    _write(result, form, output)
    if fail_on_diff and result.unknown:
        sys.exit(1)


def _chosen(only: Sequence[str]) -> list[Server]:
    if not only:
        return list(installed_servers())
    wanted: dict[str, Server] = {}
    for name in only:
        members = [known for known in names() if get(known).family == name] if name in families() else [name]
        wanted.update({member: get(member) for member in members})
    for server in wanted.values():
        if reason := server.missing():
            raise ConfigurationError(reason)
    return list(wanted.values())


def _watch(
    own: matrix.Reference, servers: Sequence[Server], folder: Path, fronts: Sequence[matrix.Proxy], jobs: int
) -> list[matrix.Configuration]:
    """Run the matrix, with its progress on standard error."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    able = sum(own.interface == "wsgi" or server.capabilities.serves_asgi for server in servers)
    found: list[matrix.Configuration] = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Starting servers", total=able * (1 + len(fronts)))
        for configuration in matrix.run(own, servers, folder=folder, proxies=fronts, jobs=jobs):
            found.append(configuration)
            unknown = len(configuration.unknown)
            said = f"{configuration.name}: {unknown} unknown" if unknown else configuration.name
            progress.update(task, advance=1, description=said)
    return found


def _write(result: matrix.Matrix, form: str, output: Path | None) -> None:
    if form == "table" and output is None:
        _show(result)
        return
    text = {
        "json": lambda: json.dumps(_report.as_dict(result), indent=2) + "\n",
        "html": lambda: _report.as_html(result),
    }.get(form, lambda: _report.as_markdown(result))()
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"{_report.summary(result)} Written to {output}", err=True)


def _show(result: matrix.Matrix) -> None:
    # Without a terminal, a fixed width keeps rich from cutting cells.
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    table = Table(title=f"{result.reference.target} ({result.reference.interface.upper()}) under every server")
    for column in ("Configuration", "Version", "Calls it as"):
        table.add_column(column, no_wrap=True)
    for column in ("Requests", "Identical", "Known", "Unknown"):
        table.add_column(column, justify="right")
    for row in _report.rows(result):
        colour = "green" if row[-1] == "0" else "red"
        table.add_row(*row[:-1], f"[{colour}]{row[-1]}[/{colour}]")
    console.print(table)
    for heading, entries in _report.sections(result):
        console.print(f"\n{heading}", style="bold")
        for entry in entries:
            console.print(f"- {entry}", markup=False)
    console.print(f"\n{_report.summary(result)}", markup=False)
