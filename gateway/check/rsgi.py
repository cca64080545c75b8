"""The application of a probe for servers that call RSGI. Its findings are about the server and our adapter together.

A module of its own, because building it makes adapters, which gevent's workers refuse, and they import the probe too.
"""

from __future__ import annotations

from typing import cast

from gateway.application import Gateway
from gateway.check.applications import asgi
from gateway.protocols import ASGIApplication

__all__ = ["rsgi"]

#: The ASGI application as an object that granian calls as RSGI.
rsgi: Gateway[ASGIApplication] = Gateway(cast(ASGIApplication, asgi), "asgi")
