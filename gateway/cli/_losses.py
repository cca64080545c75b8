"""What an application loses under each installed server, and the hazards of the command that ``gateway run`` builds.

Capabilities come from the descriptions, where they were measured. The hazards are the rules of ``gateway check``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gateway._load import Target
from gateway.check.deployed import metrics_folder, settings, version, with_chain
from gateway.cli.run import needs_websockets, plan
from gateway.errors import ConfigurationError
from gateway.hazards.server import facts, hazards
from gateway.protocols import Interface
from gateway.servers import Launch, Server, installed
from gateway.servers._reachable import gateways

__all__ = ["LossReport", "losses", "reports"]


@dataclass(frozen=True, kw_only=True)
class LossReport:
    """An application under one server.

    Attributes:
        server: Name of the server.
        version: Installed version.
        interface: Interface in which the server calls the application.
        adapter: The application runs through an adapter.
        lost: Capabilities that are missing under this server.
        hazards: Broken rules of the deployment, each with its identifier.
        refused: Why the server cannot run the application; empty if it can.
    """

    server: str
    version: str
    interface: Interface
    adapter: bool
    lost: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    refused: str = ""


def reports(target: Target, app: object, interface: Interface) -> Iterator[LossReport]:
    """Yield the report of each installed server, in the order in which ``gateway run`` would choose them."""
    websockets = needs_websockets(app, interface)
    takes_sockets = any(each.websockets for each in gateways(app))
    found: list[LossReport] = []
    read: dict[str, Mapping[str, str]] = {}
    for server in installed():
        report = LossReport(
            server=server.name,
            version=server.version(),
            interface=server.interface,
            adapter=(interface == "wsgi") != (server.interface == "wsgi"),
            lost=tuple(losses(server, interface, websockets=websockets, takes_sockets=takes_sockets)),
        )
        try:
            chosen, launch = plan(target, app, interface, Launch(target=str(target)), server.name)
        except ConfigurationError as error:
            found.append(replace(report, refused=str(error)))
            continue
        found.append(replace(report, hazards=tuple(_hazards(chosen, launch, app, read))))
    yield from sorted(found, key=lambda each: (bool(each.refused), each.adapter))


def losses(server: Server, interface: Interface, *, websockets: bool, takes_sockets: bool) -> Iterator[str]:
    """Yield each capability that an application of this interface loses under a server.

    Args:
        server: The server.
        interface: Interface of the application.
        websockets: The application serves WebSockets.
        takes_sockets: Its ``Gateway`` serves them on a socket that a WSGI server gives up (``websockets=True``).
    """
    can = server.capabilities
    missing = {
        "WebSockets": websockets and not can.websocket and not (takes_sockets and can.hands_over_socket),
        # Under a WSGI server the adapter runs the lifespan.
        "startup and shutdown": interface != "wsgi" and server.interface != "wsgi" and not can.lifespan,
        "streaming": not can.streaming,
        "uploads in chunks": can.chunked_upload != "decoded",
        "100 Continue": not can.expect_continue,
        "running requests at a stop": not can.drains,
        "the path as it was sent": not can.raw_path,
        "Latin-1 in response headers": not can.latin_headers,
        "keep-alive": not can.keep_alive,
    }
    yield from (name for name, lost in missing.items() if lost)


def _hazards(server: Server, launch: Launch, app: object, read: dict[str, Mapping[str, str]]) -> Iterator[str]:
    arguments = tuple(server.command(launch).argv[1:])
    try:
        # Gunicorn reads them in a process, which takes a second: once for all kinds of its workers.
        if server.family not in read:
            read[server.family] = settings(server, arguments, launch.app_dir)
    except ConfigurationError as error:
        yield str(error)
        return
    known = dict(read[server.family])
    if "--worker-class" in arguments:
        known["worker_class_str"] = arguments[arguments.index("--worker-class") + 1]
    deployment = replace(
        with_chain(facts(app), app),
        server=server.family,
        kind=server.name,
        version=version(server),
        arguments=arguments,
        settings=known,
        environment=dict(os.environ),
        metrics_folder=metrics_folder(),
    )
    for violation, _ in hazards(deployment):
        yield f"{violation.rule} {violation.found}"
