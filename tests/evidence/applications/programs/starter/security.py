"""Who is asking: a signed ticket in a cookie, as in Pyramid's tutorial."""

from __future__ import annotations

from typing import Any

from pyramid.authentication import AuthTktCookieHelper
from pyramid.authorization import Authenticated
from pyramid.request import Request
from pyramid.security import Allowed, Denied

__all__ = ["Security"]


class Security:
    """Pyramid's security policy."""

    def __init__(self, secret: str) -> None:
        self._tickets = AuthTktCookieHelper(secret, hashalg="sha512", samesite="Lax")

    def identity(self, request: Request) -> Any:
        """The ticket."""
        return self._tickets.identify(request)

    def authenticated_userid(self, request: Request) -> str | None:
        """The name on the ticket."""
        identity = self.identity(request)
        return None if identity is None else identity["userid"]

    def permits(self, request: Request, context: object, permission: str) -> Allowed | Denied:
        """Those who are logged in may do everything."""
        who = self.authenticated_userid(request)
        return Denied("log in first") if who is None else Allowed(f"{who} is {Authenticated}")

    def remember(self, request: Request, userid: str, **kw: Any) -> Any:
        """The headers that keep the ticket."""
        return self._tickets.remember(request, userid, **kw)

    def forget(self, request: Request, **kw: Any) -> Any:
        """The headers that take it back."""
        return self._tickets.forget(request, **kw)
