"""A middleware's answer that nobody outside it looks at: the head and the body, at once.

Most answers are made near the outside, or where nothing outside touches responses: a file, a probe, a refusal. The
long way sends the same, by way of a course whose hooks are all empty; it keeps what is not simple: bodies in parts, and
whoever waits for the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeGuard

from gateway.contract import Hooks, hook
from gateway.drivers._course import has_body, set_length
from gateway.drivers._files import open_whole
from gateway.drivers._unread import Dropping, can_drop, drop_async
from gateway.drivers._watch import has_request_body
from gateway.exchange import FileBody, Response
from gateway.translate.status import status_line

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope

__all__ = ["answer_asgi", "answer_wsgi", "is_simple", "unseen"]


def unseen(chain: Sequence[Hooks]) -> tuple[bool, ...]:
    """Tell of each place whether what is answered there passes nobody, and nobody up to it waits for the end."""
    places: list[bool] = []
    outside = True
    for hooks in chain:
        outside = outside and hook(hooks, "on_finish") is None
        places.append(outside)
        seen = hook(hooks, "on_response") is not None or hook(hooks, "on_body") is not None
        outside = outside and not seen and not hooks.constant_headers
    return tuple(places)


def is_simple(returned: object) -> TypeGuard[Response]:
    """Tell whether what a hook returned is a response whose body is bytes."""
    return isinstance(returned, Response) and type(returned.body) is bytes


def _content(method: str, response: Response) -> bytes:
    """Set the length that is known, and return what is sent."""
    body = response.body
    set_length(method, response)
    return body if isinstance(body, bytes) and has_body(method, response.status) else b""


def _line(response: Response) -> str:
    return status_line(response.status, response.reason)


def answer_wsgi(
    returned: object, method: str, environ: Environ, start_response: StartResponse
) -> Iterable[bytes] | None:
    """Answer and return the body; ``None``, and nothing done, where it is not simple."""
    if not isinstance(returned, Response):
        return None
    body = returned.body
    if isinstance(body, FileBody):
        wrapper = environ.get("wsgi.file_wrapper")
        if wrapper is None or not has_body(method, returned.status):
            return None
        try:
            opened = open_whole(body)
        except OSError:  # gone meanwhile: the long way fails as it must
            return None
        if opened is None:
            return None
        file, block = opened
        try:
            start_response(_line(returned), returned.headers.wsgi())
        except BaseException:
            file.close()
            raise
        source: Iterable[bytes] = wrapper(file, block)
        return source
    if type(body) is not bytes:
        return None
    content = _content(method, returned)
    start_response(_line(returned), returned.headers.wsgi())
    answered = [content] if content else []
    return Dropping(answered, environ) if can_drop(environ) else answered


async def answer_asgi(response: Response, method: str, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Answer with a response that :func:`is_simple`."""
    content = _content(method, response)
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers.asgi()})
    if not has_request_body(scope):
        await send({"type": "http.response.body", "body": content, "more_body": False})
        return
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await drop_async(scope, receive)
    with suppress(OSError):  # a client that leaves now has its response
        await send({"type": "http.response.body", "body": b"", "more_body": False})
