"""Django's middleware around a WSGI application, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.django_site import configure
from tests.evidence.anchors.model import Peer

_NAMES = {
    "conditional": ("django.middleware.http", "ConditionalGetMiddleware"),
    "gzip": ("django.middleware.gzip", "GZipMiddleware"),
    "security": ("django.middleware.security", "SecurityMiddleware"),
}


def django(name: str, *, hosts: list[str] | None = None, named: bool = True, **settings: Any) -> Peer:
    """Return one of Django's middleware as a peer.

    Args:
        name: ``conditional``, ``gzip`` or ``security``.
        hosts: ``ALLOWED_HOSTS``; given, ``CommonMiddleware`` stands outside it, which is who asks for the host.
        named: Whether the case is about it.
        settings: Further settings.
    """
    all_settings = {**({"ALLOWED_HOSTS": hosts} if hosts is not None else {}), **settings}
    words = ", ".join(f"{key}={value!r}" for key, value in all_settings.items())

    def build(app: Any) -> Any:
        import importlib

        module, kind = _NAMES[name]
        middleware = [getattr(importlib.import_module(module), kind)]
        if hosts is not None:
            from django.middleware.common import CommonMiddleware

            middleware.insert(0, CommonMiddleware)
        return _Wsgi(middleware, app, all_settings)

    label = f"`{_NAMES[name][1]}`" + (f", `{words}`" if words else "")
    return Peer("django", label, build, side="wsgi", named=named)


class _Wsgi:
    """Django's handler, with a view that calls a WSGI application."""

    def __init__(self, middleware: list[Any], app: Any, settings: dict[str, Any]) -> None:
        configure()
        self._middleware = middleware
        self._app = app
        self._settings = settings

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        from django.core.exceptions import DisallowedHost
        from django.core.handlers.wsgi import WSGIRequest
        from django.http import HttpResponse
        from django.test.utils import override_settings

        def view(request: Any) -> Any:
            return self._respond(environ)

        with override_settings(**self._settings):
            handler: Any = view
            for middleware in reversed(self._middleware):
                handler = middleware(handler)
            try:
                response = handler(WSGIRequest(environ))
            except DisallowedHost:  # Django's handler answers it so
                response = HttpResponse("Bad Request", status=400)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return list(response)

    def _respond(self, environ: dict[str, Any]) -> Any:
        from django.http import HttpResponse, StreamingHttpResponse

        heads: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            heads.append((status, headers))

        chunks = list(self._app(environ, start_response))
        status, headers = heads[-1]
        kind = HttpResponse if len(chunks) == 1 else StreamingHttpResponse
        response = kind(chunks[0] if len(chunks) == 1 else chunks, status=int(status.partition(" ")[0]))
        del response["Content-Type"]
        for name, value in headers:
            response[name] = value
        return response
