"""In the process of a server under test: import the application that a test names, and make it run under any server.

The server imports ``gateway.testing._served_app:app``; environment variables name the application. The application
runs behind a validator that only collects, because a rule that the *server* breaks must not fail the test of an
application. Violations of the application go to standard error, one line each, where the test's process reads them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from typing import cast
from wsgiref.types import StartResponse

from gateway.application import Gateway
from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.protocols import (
    Application,
    ASGIApplication,
    ASGIReceive,
    ASGISend,
    Environ,
    Scope,
    WSGIApplication,
    detect,
)
from gateway.rules.validator import Validator
from gateway.testing._served_names import FILE, MARK, MODULE, NAME, READY, SIDES

__all__ = ["app", "serve_object"]


def _load() -> object:
    module, file, name = (os.environ[key] for key in (MODULE, FILE, NAME))
    if file:
        # Import by file, because pytest's import modes give a test's module a name that other programs cannot import.
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"{file} must be a Python module that a server can import")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    found: object = loaded
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _report(violation: ProtocolViolation) -> None:
    if violation.side in os.environ[SIDES].split(","):
        sys.stderr.write(f"{MARK}{json.dumps(violation.__reduce__()[1])}\n")
        sys.stderr.flush()


def _serve(application: Application) -> Gateway[Application]:
    spoken = detect(application)
    checked = cast(Application, Validator(application, spoken, mode="collect", on_violation=_report))
    if spoken == "wsgi":
        return Gateway(_ready_wsgi(cast(WSGIApplication, checked)), "wsgi")
    return Gateway(_ready_asgi(cast(ASGIApplication, checked)), "asgi")


def _ready_wsgi(app: WSGIApplication) -> WSGIApplication:
    def with_ready(environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        if environ["PATH_INFO"] != READY:
            return app(environ, start_response)
        start_response("204 No Content", [])
        return []

    return with_ready


def _ready_asgi(app: ASGIApplication) -> ASGIApplication:
    async def with_ready(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "http" or scope["path"] != READY:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    return with_ready


def serve_object(application: object) -> None:
    """Serve this object, in a copy of the test's process that has it: see `gateway.testing._forked`."""
    global app
    app = _serve(cast(Application, application))


#: The object that the server calls.
app: Gateway[Application] | None = _serve(cast(Application, _load())) if NAME in os.environ else None
