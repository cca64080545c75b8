"""``gateway measure``: start servers, measure their capabilities, and compare them with the descriptions.

A newcomer writes the arguments of a server, runs this command, and copies the line that it prints.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from gateway.check.measure import as_source, differences, measure
from gateway.servers import get, installed

__all__ = ["command"]


@click.command("measure", short_help="Measure what a server can do.")
@click.argument("names", metavar="[SERVER]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(names: tuple[str, ...], form: str) -> None:
    """Start each server with small applications, and measure its capabilities over real connections.

    Without a name, measure every installed server. The exit status is 1 if a description says otherwise.

    \b
    gateway measure waitress
    gateway measure my-server --format json
    """
    servers = [get(name) for name in names] or list(installed())
    wrong = False
    found: dict[str, dict[str, object]] = {}
    for server in servers:
        measured = measure(server)
        others = differences(server, measured)
        wrong = wrong or bool(others)
        found[server.name] = {"version": server.version(), **asdict(measured)}
        if form == "text":
            click.echo(f"{server.name} {server.version()}: {as_source(measured)}")
            for other in others:
                click.echo(f"  {other.capability} is {other.measured!r}; the description says {other.declared!r}")
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    sys.exit(1 if wrong else 0)
