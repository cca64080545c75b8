"""``WsgiToAsgi`` and ``WsgiToAsgiInstance``, as in ``asgiref.wsgi``.

Requests run one at a time, in the thread that asgiref keeps for thread-sensitive code, because asgiref's adapter does
so and an application may depend on it. Bodies up to 1 MiB are read before that thread starts to work on the request.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from gateway.adapters import wsgi_to_asgi
from gateway.compat._ignored import warn_ignored
from gateway.errors import ConfigurationError
from gateway.protocols import WSGIApplication

__all__ = ["WsgiToAsgi", "WsgiToAsgiInstance"]

_IGNORED = "headers of the same name are joined once, in any number; limit the number in the server"
_UNCALLED = ("build_environ", "run_wsgi_app", "start_response")


class WsgiToAsgi(wsgi_to_asgi.WsgiToAsgi):
    """An ASGI application that runs a WSGI application in asgiref's thread for thread-sensitive code."""

    __gateway_inside__: ClassVar[Literal["wsgi"]] = "wsgi"

    def __init__(self, wsgi_application: WSGIApplication, duplicate_header_limit: int | None = 100) -> None:
        # A body that is read first does not hold the only thread while a slow client sends it.
        super().__init__(wsgi_application, thread_sensitive=True, prefetch_bytes=1024 * 1024)
        self.duplicate_header_limit = duplicate_header_limit
        if duplicate_header_limit not in (100, 0, None):  # 0 and None mean no limit, as here
            option = f"{type(self).__name__}(duplicate_header_limit={duplicate_header_limit!r})"
            warn_ignored(option, _IGNORED)

    @property
    def wsgi_application(self) -> WSGIApplication:
        """The WSGI application, which is also the attribute ``app``."""
        return self.app


class WsgiToAsgiInstance(WsgiToAsgi):
    """The same, for code that makes an object per request. Its steps are not methods, so none can be overridden."""

    __gateway_inside__: ClassVar[Literal["wsgi"]] = "wsgi"

    def __init_subclass__(cls) -> None:
        if overridden := [name for name in _UNCALLED if hasattr(cls, name)]:
            raise ConfigurationError(
                f"{cls.__name__} overrides {', '.join(overridden)}, which is never called here: to change the "
                "environ or the response, wrap the WSGI application"
            )
