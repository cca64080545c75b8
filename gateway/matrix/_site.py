"""The object that a server of the matrix imports: the user's application, with the probe around it.

The variable ``GATEWAY_MATRIX_APP`` holds the user's import string. Without it the module defines no application.
"""

from __future__ import annotations

import os
from typing import cast

from gateway._load import load
from gateway.application import Gateway
from gateway.matrix._probe import asgi_probe, wsgi_probe
from gateway.protocols import Application, ASGIApplication, Interface, WSGIApplication, detect, is_proxy

__all__ = ["VARIABLE", "probed"]

VARIABLE = "GATEWAY_MATRIX_APP"


def probed(app: object) -> tuple[Application, Interface]:
    """Put the probe around an application, in the application's own interface.

    Returns:
        The application, and its interface: ``wsgi`` or ``asgi``.

    Raises:
        ConfigurationError: The object is not an application.
    """
    interface = detect(app)
    if interface == "wsgi":
        return wsgi_probe(cast("WSGIApplication", app)), interface
    if interface == "asgi":
        return asgi_probe(cast("ASGIApplication", app)), interface
    # ASGI 2 and RSGI: through the adapters of a Gateway.
    return asgi_probe(Gateway(cast("Application", app), interface).asgi), "asgi"


def _application(text: str) -> Gateway[Application]:
    _, app = load(text)
    around, interface = probed(app)
    websockets = bool(
        isinstance(app, Gateway)
        and not is_proxy(cast("object", app))
        and cast("Gateway[Application]", app)._flattened()[3]
    )
    return Gateway(around, interface, websockets=websockets)


if VARIABLE in os.environ:
    application = _application(os.environ[VARIABLE])
