"""``gateway inspect``: show how a composed application behaves under each kind of server, without serving it.

It imports the application and calls its ``explain()``; it does not start the application. A plain application is shown
as a server would run it: without middleware, and with an adapter under servers of the other kind. Without an
application, it shows what is installed.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import cast

import click

from gateway.application import Gateway
from gateway.chain import ChainWarning
from gateway.chain._explain import Explanation, ServerDict, counted
from gateway.cli._environment import environment
from gateway.cli._losses import LossReport, reports
from gateway.cli._source import source, source_options
from gateway.errors import MissingExtraError
from gateway.mount import Mount
from gateway.protocols import Application, detect

try:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
except ModuleNotFoundError as _error:
    raise MissingExtraError("gateway inspect", "standard", package="rich") from _error

__all__ = ["command", "explanations", "table"]


@click.command("inspect", short_help="Show what a chain does under each kind of server.")
@source_options
@click.option("--servers", is_flag=True, help="Also show what is lost under each installed server, and its hazards.")
@click.option("--format", "form", type=click.Choice(["table", "text", "json"]), default="table", show_default=True)
def command(
    target: str | None, config: str | None, servers: bool, form: str, app_dir: str | None, factory: bool
) -> None:
    """Show order, wrappers, adapters, websockets and cost of an application's chain, for WSGI and for ASGI servers.

    Without MODULE:ATTRIBUTE it is the one that gateway.toml or [tool.gateway] in pyproject.toml names. Without any
    application, show the versions, the servers found, and the missing parts with the command that installs them.

    \b
    gateway inspect
    gateway inspect shop:app --servers
    gateway inspect shop:app --format json
    """
    named = source(target, config, app_dir, factory=factory)
    # Without a terminal, a fixed width keeps rich from cutting cells.
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    if named is None:
        _show_environment(console, form)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChainWarning)  # the output lists each warning
        with redirect_stdout(sys.stderr):  # prints of an imported module do not belong to the output
            address, app = named.load()
            found = explanations(app)
            under = list(reports(address, app, detect(app))) if servers else []
    if form == "json":
        chains = {place: each.as_dict() for place, each in found.items()}
        content = {"chains": chains, "servers": [asdict(report) for report in under]} if servers else chains
        click.echo(json.dumps(content, indent=2))
    elif form == "text":
        click.echo("\n\n".join(f"{place}\n{each}" if place else str(each) for place, each in found.items()))
        for report in under:
            click.echo(f"\n{report.server} {report.version}: {_said(report)}")
    else:
        for place, each in found.items():
            for name, server in each.as_dict()["servers"].items():
                console.print(table(f"{place} under {name.upper()} servers".strip(), each, server))
            for warning in each.warnings:
                console.print(f"warning: {warning}", markup=False)
        if servers:
            console.print(_servers_table(under))


def explanations(app: object) -> Mapping[str, Explanation]:
    """Explain an application, or each application of a mount by its place; the chain around the mount has the name "".

    Raises:
        ConfigurationError: The object is not an application.
    """
    if isinstance(app, Mount):
        return app.explain()
    if not isinstance(app, Gateway):
        detect(app)
        return {"": Gateway(cast("Application", app)).explain()}  # `detect` raises if it is not an application
    gateway = cast("Gateway[Application]", app)
    inside = gateway._flattened()[0]
    return {"": gateway.explain(), **(inside.explain() if isinstance(inside, Mount) else {})}


def table(title: str, explanation: Explanation, server: ServerDict) -> Table:
    """Draw the chain under one kind of server, outermost first."""
    cost = server["cost_microseconds"]
    price = "cost unknown for this engine" if cost is None else f"about {cost:.0f} us a request"
    drawn = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        caption=f"{counted(len(server['adapters']))}, {price}",
        caption_justify="left",
    )
    for column in ("", "interface", "what", "kind", "wrapper", "websocket"):
        drawn.add_column(column, justify="right" if not column else "left")
    adapters = {adapter["position"]: adapter for adapter in server["adapters"]}
    wrappers = [number for number, group in enumerate(server["groups"], start=1) for _ in group["middleware"]]
    websocket = server["websocket"]
    for position, part in enumerate(server["order"]):
        if position in adapters:
            _adapter(drawn, adapters[position]["adapter"], adapters[position]["engine"])
        sees = "-" if not websocket["served"] else "yes" if explanation.parts[position].websocket else "no"
        drawn.add_row(str(position + 1), part["interface"], part["name"], part["kind"], str(wrappers[position]), sees)
    if len(server["order"]) in adapters:
        adapter = adapters[len(server["order"])]
        _adapter(drawn, adapter["adapter"], adapter["engine"])
    serves = "yes" if websocket["served"] else f"no: {websocket['reason']}"
    drawn.add_row("", server["application_interface"], explanation.application, "application", "", serves)
    return drawn


def _adapter(drawn: Table, adapter: str, engine: str) -> None:
    drawn.add_row("", "---", f"{adapter} ({engine})", "adapter", "", "")


def _said(report: LossReport) -> str:
    """Return a report in one sentence."""
    if report.refused:
        return report.refused
    lost = f"loses {', '.join(report.lost)}" if report.lost else "loses nothing"
    return "; ".join([("through an adapter, " * report.adapter) + lost, *report.hazards])


def _servers_table(under: Sequence[LossReport]) -> Table:
    drawn = Table(title="Under each installed server", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("server", "interface", "adapter", "lost", "hazards of gateway run"):
        drawn.add_column(column)
    for each in under:
        lost = "refused" if each.refused else ", ".join(each.lost) or "-"
        hazards = each.refused or "\n".join(each.hazards) or "-"
        cells = (f"{each.server} {each.version}", each.interface, "yes" if each.adapter else "-", lost, hazards)
        drawn.add_row(*(escape(cell) for cell in cells))
    return drawn


def _show_environment(console: Console, form: str) -> None:
    found = environment()
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    free = ", free-threaded" * bool(found["free_threaded"])
    click.echo(f"anytier {found['anytier']}, {found['python']}{free}, asgiref {found['asgiref']}, {found['platform']}")
    click.echo(f"installed in {found['prefix']}")
    drawn = Table(title="Servers found", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("server", "version", "interface"):
        drawn.add_column(column)
    for each in cast("list[dict[str, str]]", found["servers"]):
        drawn.add_row(each["server"], each["version"], each["interface"].upper())
    console.print(drawn)
    proxies = cast("dict[str, str]", found["proxies"])
    click.echo(f"proxies: {', '.join(f'{name} {version}' for name, version in proxies.items()) or 'none'}")
    missing = cast("list[dict[str, str]]", found["missing"])
    click.echo("nothing is missing" if not missing else "missing:")
    for each in missing:
        click.echo(f"  {each['why']}")
    click.echo("\nname an application to inspect it: gateway inspect MODULE:APP")
