"""The interfaces between a server and an application, as types.

The aliases below are the only place of the package where ``Any`` stands: frameworks annotate their application objects
in mutually exclusive ways, and a parameter has to accept them all.

Sources: PEP 3333; ASGI specification 3.0 "Applications", "Legacy Applications"; RSGI specification 1.6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, TypeAlias
from wsgiref.types import WSGIApplication, WSGIEnvironment

__all__ = [
    "ASGIApplication",
    "ASGIReceive",
    "ASGISend",
    "Application",
    "Environ",
    "Interface",
    "Message",
    "Scope",
    "WSGIApplication",
]

Interface = Literal["wsgi", "asgi", "asgi2", "rsgi"]

Environ: TypeAlias = WSGIEnvironment
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
ASGIReceive: TypeAlias = Callable[[], Awaitable[Message]]
ASGISend: TypeAlias = Callable[[Message], Awaitable[None]]
#: What a public parameter accepts as an ASGI application.
ASGIApplication: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
#: What a public parameter accepts as an application of either interface.
Application: TypeAlias = WSGIApplication | ASGIApplication
