"""The request body of one RSGI request, as chunks that tell whether more follow.

Sources: RSGI specification 1.6; ASGI HTTP 2.5 "Request".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from gateway.adapters.asgi_to_rsgi._objects import HttpProtocol, RsgiScope, is_gone, may_have_body

__all__ = ["IncomingBody"]

#: Maximum declared length of a request body that is read whole, in one wake-up.
_SMALL_BODY: Final = 64 * 1024


class IncomingBody:
    """The body of one request."""

    __slots__ = ("_chunks", "_left", "_protocol")

    def __init__(self, protocol: HttpProtocol, scope: RsgiScope) -> None:
        self._protocol = protocol
        self._chunks: AsyncIterator[bytes] | None = None
        declared = scope.headers.get("content-length")
        #: Number of bytes to come; None if the request declares no length.
        self._left: int | None = int(declared) if declared is not None and declared.isdecimal() else None
        if declared is None and not may_have_body(scope):
            self._left = 0

    async def read(self) -> tuple[bytes, bool]:
        """Return the next bytes, and whether more follow.

        Raises:
            EOFError: The client left before the end.
        """
        left = self._left
        if left == 0:
            return b"", False
        try:
            if self._chunks is None:
                if left is not None and left <= _SMALL_BODY:
                    return self._counted(await self._protocol(), last=True)
                self._chunks = self._protocol.__aiter__()
            return self._counted(await anext(self._chunks))
        except StopAsyncIteration:
            return self._counted(b"", last=True)
        except Exception as error:
            if not is_gone(error):
                raise
            raise EOFError from error

    def _counted(self, chunk: bytes, *, last: bool = False) -> tuple[bytes, bool]:
        if self._left is None:
            return chunk, not last
        self._left -= len(chunk)
        if last and self._left:
            raise EOFError
        return chunk, self._left > 0
