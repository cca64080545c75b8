"""Classes for the regular way, made bare and filled where they are made.

Calling a class that has slots *and* an ``__init__`` costs as much as a hook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.exchange import Response
from gateway.headers import AsgiHeaders, Headers

__all__ = ["BareHead", "BarePairs", "BareRawHeaders"]


class BareHead(Response):
    """The status and headers of an application."""

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
