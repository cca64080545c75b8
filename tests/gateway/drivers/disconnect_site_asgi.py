"""The ASGI side of ``disconnect_site``, in a module of its own: gevent refuses ASGI applications when they are made."""

from __future__ import annotations

from gateway import Gateway
from tests.gateway.drivers.disconnect_site import asgi_app, chain, listening

asgi = listening(Gateway(asgi_app, middleware=chain()))
