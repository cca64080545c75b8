"""Raw applications for the clients' tests, each written twice: once for either interface, with the same behaviour."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs

import anyio

from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope

StartResponse = Callable[..., Callable[[bytes], object]]


async def read_body(receive: ASGIReceive) -> list[bytes]:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError("http.disconnect while reading")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks


async def run_lifespan(scope: Scope, receive: ASGIReceive, send: ASGISend, **state: object) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"].update(state)
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def reply(
    send: ASGISend,
    body: bytes | Iterable[bytes] = b"",
    *,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = ((b"content-type", b"text/plain"),),
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for chunk in [body] if isinstance(body, bytes) else body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def describe(**seen: object) -> bytes:
    return json.dumps(seen, sort_keys=True).encode()


def wsgi_echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """What the request was, as JSON."""
    body = environ["wsgi.input"].read()
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    out = describe(
        method=environ["REQUEST_METHOD"],
        path=(environ["SCRIPT_NAME"] + environ["PATH_INFO"]).encode("latin-1").decode(),
        root_path=environ["SCRIPT_NAME"],
        query=environ["QUERY_STRING"],
        args=parse_qs(environ["QUERY_STRING"]),
        headers=headers,
        body=body.decode("latin-1"),
        client=environ.get("REMOTE_ADDR"),
        scheme=environ["wsgi.url_scheme"],
        version=environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
    )
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(out)))])
    return [out]


async def asgi_echo(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """What the request was, as JSON."""
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    body = b"".join(await read_body(receive))
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name == b"content-length":
            continue
        key, text = name.decode(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    out = describe(
        method=scope["method"],
        path=scope["path"],
        root_path=scope["root_path"],
        query=scope["query_string"].decode(),
        args=parse_qs(scope["query_string"].decode()),
        headers=headers,
        body=body.decode("latin-1"),
        client=scope["client"][0] if scope["client"] else None,
        scheme=scope["scheme"],
        version=scope["http_version"],
    )
    length = str(len(out)).encode()
    await reply(send, out, headers=[(b"content-type", b"application/json"), (b"content-length", length)])


def wsgi_chunks(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """The request's path says what is sent: /3/4 is three chunks of four bytes."""
    _, count, size = environ["PATH_INFO"].split("/")
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(int(count)):
        yield str(number).encode() * int(size)


async def asgi_chunks(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    _, count, size = scope["path"].split("/")
    await reply(send, (str(number).encode() * int(size) for number in range(int(count))))


def wsgi_session(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """/login sets two cookies and redirects to /home, which shows them."""
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/login":
        headers = [("Location", "/home"), ("Set-Cookie", "user=ada; Path=/"), ("Set-Cookie", "theme=dark; Path=/")]
        start_response("303 See Other", [*headers, ("Content-Type", "text/plain")])
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_COOKIE", "").encode()]


async def asgi_session(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    await read_body(receive)
    text = (b"content-type", b"text/plain")
    if scope["path"] == "/login":
        cookies = [(b"set-cookie", b"user=ada; Path=/"), (b"set-cookie", b"theme=dark; Path=/")]
        await reply(send, status=303, headers=[(b"location", b"/home"), *cookies, text])
        return
    await reply(send, b"; ".join(value for name, value in scope["headers"] if name == b"cookie"), headers=[text])


def wsgi_fails(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """/late fails after a chunk, anything else at once."""
    if environ["PATH_INFO"] != "/late":
        raise ZeroDivisionError("at once")
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    raise ZeroDivisionError("late")


async def asgi_fails(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    if scope["path"] != "/late":
        raise ZeroDivisionError("at once")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise ZeroDivisionError("late")


async def events(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Server-sent events without end, until the client leaves; it watches receive() as frameworks do."""
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    await read_body(receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})

    async def watch(scope_to_cancel: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope_to_cancel.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        number = 0
        while True:
            await send({"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True})
            number += 1
            await anyio.sleep(0.001)


async def chat(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """A WebSocket: the path says what happens."""
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if path == "/refused":
        await send({"type": "websocket.close", "code": 1000})
        return
    if path == "/denied":
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"token")]})
        await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"token"})
        return
    if path == "/silent":
        return
    subprotocol = next(iter(scope["subprotocols"]), None)
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [(b"x-room", b"7")]})
    if path == "/raises":
        raise ZeroDivisionError("in the socket")
    if path == "/closes":
        await send({"type": "websocket.close", "code": 3001, "reason": "enough"})
        return
    while True:
        message: Message = await receive()
        if message["type"] == "websocket.disconnect":
            closed.append((message["code"], message.get("reason")))
            return
        answer: dict[str, object] = {"type": "websocket.send"}
        if message.get("text") is not None:
            answer["text"] = message["text"].upper()
        else:
            answer["bytes"] = message["bytes"][::-1]
        await send(answer)


#: What the last chat was told at its end.
closed: list[tuple[int, str | None]] = []


async def never_answers(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    await anyio.sleep_forever()


async def leaves_a_task(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
        return
    left.add(asyncio.create_task(asyncio.Event().wait()))
    await reply(send, b"done")


#: Tasks are kept alive by whoever made them.
left: set[asyncio.Task[object]] = set()

ECHO = {"wsgi": wsgi_echo, "asgi": asgi_echo}
CHUNKS = {"wsgi": wsgi_chunks, "asgi": asgi_chunks}
SESSION = {"wsgi": wsgi_session, "asgi": asgi_session}
FAILS = {"wsgi": wsgi_fails, "asgi": asgi_fails}

PAGE = b"""<html><body><form action="/login" method="post"><input name="user" value=""><select name="theme">
<option value="light">light</option><option value="dark" selected>dark</option></select>
<input type="checkbox" name="keep" value="yes"><input type="submit" name="go" value="go"></form>
<a href="/about">about</a></body></html>"""
HTML = "text/html; charset=utf-8"


def wsgi_site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A login form, a link, and a page that shows the cookies."""
    form = parse_qs(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
    status, headers, body = site(environ["PATH_INFO"], environ["REQUEST_METHOD"], form, environ.get("HTTP_COOKIE", ""))
    start_response(f"{status} OK" if status == 200 else f"{status} See Other", headers)
    return [body]


async def asgi_site(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """A login form, a link, and a page that shows the cookies."""
    if scope["type"] == "lifespan":
        lifespans.append("started")
        await run_lifespan(scope, receive, send)
        lifespans.append("stopped")
        return
    form = parse_qs(b"".join(await read_body(receive)).decode())
    cookies = "; ".join(value.decode() for name, value in scope["headers"] if name == b"cookie")
    status, headers, body = site(scope["path"], scope["method"], form, cookies)
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await reply(send, body, status=status, headers=raw)


def site(path: str, method: str, form: dict[str, list[str]], cookies: str) -> tuple[int, list[tuple[str, str]], bytes]:
    if path == "/login" and method == "POST":
        pairs = [f"{name}={values[0]}; Path=/" for name, values in sorted(form.items())]
        return 303, [("Location", "/home"), *(("Set-Cookie", pair) for pair in pairs), ("Content-Type", HTML)], b""
    if path == "/login":
        return 200, [("Content-Type", HTML)], PAGE
    if path == "/about":
        return 200, [("Content-Type", HTML)], b"<html>about us</html>"
    return 200, [("Content-Type", HTML)], f"<html>{'; '.join(sorted(cookies.split('; ')))}</html>".encode()


#: What happened to `asgi_site`.
lifespans: list[str] = []

SITE = {"wsgi": wsgi_site, "asgi": asgi_site}
