"""The rivals of ``rivals.toml``: each part put around an application, set up to do what ours does by default."""

from __future__ import annotations

import functools
import logging
import os
import tomllib
from pathlib import Path
from typing import Any

from tests.evidence.bench._rounds import ORIGIN

__all__ = ["asgi_rival", "named", "quiet_logger", "slow_api_application", "static_rival", "wsgi_rival"]

_FILE = Path(__file__).with_name("rivals.toml")


@functools.cache
def named() -> dict[str, dict[str, Any]]:
    """Read who is a rival."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def quiet_logger(name: str) -> logging.Logger:
    """Return a logger with a handler that formats and writes each line, to nowhere."""
    logger = logging.getLogger(name)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler(Path(os.devnull).open("w"))  # noqa: SIM115  # open for the whole run
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    return logger


@functools.cache
def slow_api_application() -> Any:
    """Return what slowapi looks for in the scope: an application with routes and a limiter."""
    from slowapi import Limiter
    from slowapi.util import get_remote_address
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def hello(request: Any) -> Any:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello)])
    limits = ["1000000000/minute"]
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=limits, headers_enabled=True)
    return app


def asgi_rival(part: str, app: Any) -> Any:
    """Put the rival around an ASGI application."""
    if part == "access_log":
        from asgi_logging_middleware import AccessLoggerMiddleware

        return AccessLoggerMiddleware(app, logger=quiet_logger("rival.access"))
    if part == "body_limit":
        from starlette.middleware.body_limit import RequestBodyLimitMiddleware

        return RequestBodyLimitMiddleware(app, max_body_size=10 * 2**20)
    if part == "compression":
        from starlette.middleware.gzip import GZipMiddleware

        return GZipMiddleware(app)
    if part == "cors":
        from starlette.middleware.cors import CORSMiddleware

        return CORSMiddleware(app, allow_origins=[ORIGIN])
    if part == "errors":
        from starlette.middleware.errors import ServerErrorMiddleware

        return ServerErrorMiddleware(app)
    if part == "https_redirect":
        from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware

        return HTTPSRedirectMiddleware(app)
    if part == "metrics":
        from starlette_exporter import PrometheusMiddleware

        return PrometheusMiddleware(app, group_paths=False, filter_unhandled_paths=False)
    if part == "proxy_headers":
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        return ProxyHeadersMiddleware(app, trusted_hosts="127.0.0.1")
    if part == "rate_limit":
        from slowapi.middleware import SlowAPIASGIMiddleware

        return SlowAPIASGIMiddleware(app)
    if part == "request_id":
        from asgi_correlation_id import CorrelationIdMiddleware

        return CorrelationIdMiddleware(app)
    if part == "security_headers":
        from secure.middleware import SecureASGIMiddleware

        return SecureASGIMiddleware(app)
    if part == "trusted_host":
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        return TrustedHostMiddleware(app, allowed_hosts=["example.org"])
    raise LookupError(part)


def wsgi_rival(part: str, app: Any) -> Any:
    """Put the rival around a WSGI application."""
    if part == "access_log":
        from paste.translogger import TransLogger

        return TransLogger(app, logger=quiet_logger("rival.access"))
    if part == "compression":
        from paste.gzipper import middleware

        return middleware(app)
    if part == "errors":
        from paste.exceptions.errormiddleware import ErrorMiddleware

        return ErrorMiddleware(app)
    if part == "metrics":
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        return OpenTelemetryMiddleware(app, meter_provider=MeterProvider([InMemoryMetricReader()]))
    if part == "proxy_headers":
        from werkzeug.middleware.proxy_fix import ProxyFix

        return ProxyFix(app)
    if part == "security_headers":
        from secure.middleware import SecureWSGIMiddleware

        return SecureWSGIMiddleware(app)
    raise LookupError(part)


def static_rival(name: str, interface: str, app: Any, folder: Path, prefix: str) -> Any:
    """Let a rival serve a folder below a prefix, in front of an application."""
    if name == "whitenoise":
        from whitenoise import WhiteNoise

        return WhiteNoise(app, root=folder, prefix=prefix)
    if name == "servestatic":
        from servestatic import ServeStatic, ServeStaticASGI

        return (ServeStaticASGI if interface == "asgi" else ServeStatic)(app, root=folder, prefix=prefix)
    if name == "starlette":
        from starlette.routing import Mount, Router
        from starlette.staticfiles import StaticFiles

        return Router([Mount(prefix, StaticFiles(directory=folder)), Mount("/", app)])
    raise LookupError(name)
