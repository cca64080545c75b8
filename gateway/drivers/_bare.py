"""Objects of the short ways, made bare and filled where they are made.

Calling a class that has slots *and* an ``__init__`` costs as much as a hook.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway._requests import AsgiRequest, WsgiRequest
from gateway.exchange import Outcome, Response
from gateway.headers import AsgiHeaders, Headers

__all__ = ["BareAsgiRequest", "BareHead", "BarePairs", "BareRawHeaders", "BareWsgiRequest", "bare_outcome"]

bare_outcome: Callable[[type[Outcome]], Outcome] = Outcome.__new__


class BareHead(Response):
    """The head of an application."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__


class BareRawHeaders(AsgiHeaders):
    """Headers over a list, in ASGI's spelling."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__


class BarePairs(Headers):
    """Headers over a list, in WSGI's spelling."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__


class BareAsgiRequest(AsgiRequest):
    """A request over a scope."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__


class BareWsgiRequest(WsgiRequest):
    """A request over an environ."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__
