"""The servers that can call an application: one module and one `Server` object for each.

A ``Server`` has an interface and capabilities, detects whether it is installed, and builds its own command line.
``start`` runs a server as a child process and waits until it responds. Importing this package does not import a server.

    >>> from gateway.servers import get
    >>> get("waitress").interface
    'wsgi'
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module

from gateway.errors import ConfigurationError
from gateway.plugins import available
from gateway.protocols import Interface
from gateway.servers._bind import Bind
from gateway.servers._running import Running, StartError, start
from gateway.servers._server import Capabilities, Command, Launch, Server

__all__ = [
    "Bind",
    "Capabilities",
    "Command",
    "Launch",
    "Running",
    "Server",
    "StartError",
    "choose",
    "families",
    "get",
    "installed",
    "names",
    "start",
]

#: Name of a server to the place of its description; `choose` tries them in this order.
_BUILTIN: dict[str, str] = {
    "uvicorn": "gateway.servers.uvicorn:UVICORN",
    "gunicorn-gthread": "gateway.servers.gunicorn:GTHREAD",
    "granian-asgi": "gateway.servers.granian:ASGI",
    "granian-wsgi": "gateway.servers.granian:WSGI",
    "hypercorn-asyncio": "gateway.servers.hypercorn:ASYNCIO",
    "waitress": "gateway.servers.waitress:WAITRESS",
    "cheroot": "gateway.servers.cheroot:CHEROOT",
    "gunicorn-asgi": "gateway.servers.gunicorn:ASGI",
    "gunicorn-sync": "gateway.servers.gunicorn:SYNC",
    "daphne": "gateway.servers.daphne:DAPHNE",
    "gunicorn-uvicorn": "gateway.servers.gunicorn:UVICORN",
    "h2corn": "gateway.servers.h2corn:H2CORN",
    "anycorn": "gateway.servers.anycorn:ANYCORN",
    "uvicorn-h11": "gateway.servers.uvicorn:H11",
    "pyuwsgi": "gateway.servers.pyuwsgi:PYUWSGI",
    "granian-rsgi": "gateway.servers.granian:RSGI",
    "hypercorn-trio": "gateway.servers.hypercorn:TRIO",
    "uwsgi": "gateway.servers.pyuwsgi:UWSGI",
    "pyvoy-asgi": "gateway.servers.pyvoy:ASGI",
    "pyvoy-wsgi": "gateway.servers.pyvoy:WSGI",
    "caddysnake": "gateway.servers.caddysnake:CADDYSNAKE",
    "twisted": "gateway.servers.twisted:TWISTED",
    "tornado": "gateway.servers.tornado:TORNADO",
    "mod-wsgi": "gateway.servers.mod_wsgi:MOD_WSGI",
    "bjoern": "gateway.servers.bjoern:BJOERN",
    "aiohttp-wsgi": "gateway.servers.aiohttp_wsgi:AIOHTTP_WSGI",
    "socketify-asgi": "gateway.servers.socketify:ASGI",
    "socketify-wsgi": "gateway.servers.socketify:WSGI",
    "fastpysgi": "gateway.servers.fastpysgi:FASTPYSGI",
    "werkzeug": "gateway.servers.werkzeug:WERKZEUG",
    "wsgiref": "gateway.servers.wsgiref:WSGIREF",
    # These patch the standard library, so `choose` takes them only by name.
    "gunicorn-gevent": "gateway.servers.gunicorn:GEVENT",
    "gevent": "gateway.servers.gevent:PYWSGI",
    "eventlet": "gateway.servers.eventlet:EVENTLET",
}


def names() -> tuple[str, ...]:
    """The names of all servers that this package knows, installed or not, in the order of `choose`.

    The names of plug-in servers are not included. `get` finds them by name, and `choose` takes them only by name.
    """
    return tuple(_BUILTIN)


def get(name: str) -> Server:
    """Return the server of this name.

    Raises:
        ConfigurationError: No server has this name, or it is the name of a family; the message names the servers.
    """
    place = _BUILTIN.get(name)
    if place is not None:
        module, _, attribute = place.partition(":")
        server = getattr(import_module(module), attribute)
    elif name in (plugins := available("server")):
        place = plugins[name].path
        server = plugins[name].load()
    elif members := [each for each in _BUILTIN if name == get(each).family]:
        raise ConfigurationError(f"{name!r} is a family of several servers; choose one of: {', '.join(members)}")
    else:
        known = [*_BUILTIN, *plugins, *families()]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigurationError(f"there is no server {name!r}{hint}; choose one of: {', '.join(known)}")
    if not isinstance(server, Server):
        raise ConfigurationError(f"{place} must be a gateway.servers.Server, got {server!r}")
    return server


def families() -> tuple[str, ...]:
    """The names that each mean several servers, for example ``gunicorn`` for all kinds of its workers."""
    known = dict.fromkeys(get(name).family for name in _BUILTIN)
    return tuple(family for family in known if family not in _BUILTIN)


def installed() -> tuple[Server, ...]:
    """The servers that can start on this machine, in the order of `choose`."""
    return tuple(server for server in map(get, names()) if server.installed())


def choose(interface: Interface, launch: Launch, name: str | None = None, *, websockets: bool = False) -> Server:
    """Choose the server for an application of this interface.

    Args:
        interface: Interface of the application; servers of the same interface come first.
        launch: The options that the server has to support; `choose` skips servers that do not.
        name: Name of a server, or of a family; for a family, `choose` considers only its members.
        websockets: The application serves WebSockets; servers that pass them on come first.

    Raises:
        ConfigurationError: The name is unknown, the package is missing, or no server supports the options.
    """
    candidates = _candidates(name)
    native = "asgi" if interface == "asgi2" else interface

    def rank(server: Server) -> tuple[bool, ...]:
        can = server.capabilities
        other = server.interface != native
        # An ASGI application may need its lifespan. An adapter has one for every application, so only servers of the
        # same interface differ.
        return websockets and not can.websocket, other, native == "asgi" and not other and not can.lifespan

    ordered = sorted(candidates, key=rank)
    ready = [server for server in ordered if server.installed()]
    if not ready:
        raise ConfigurationError(ordered[0].missing() or f"{name} cannot be started here")
    for server in ready:
        if not server.refusals(launch):
            return server
    able = [server.name for server in installed() if not server.refusals(launch)]
    instead = f"choose another with --server: {', '.join(able)}" if able else "leave that out"
    if name is not None:
        raise ConfigurationError(f"{name} cannot {' or '.join(ready[0].refusals(launch))}; {instead}")
    # Each server supports some of the options, but no server supports all of them.
    wanted = dict.fromkeys(phrase for server in ready for phrase in server.refusals(launch))
    raise ConfigurationError(f"no installed server can {' and '.join(wanted)}; {instead}")


def _candidates(name: str | None) -> Sequence[Server]:
    known = [get(entry) for entry in _BUILTIN]
    if name is None:
        return known
    return [server for server in known if server.family == name and name not in _BUILTIN] or [get(name)]
