"""An ASGI application of every behaviour of a WebSocket, for servers that call it by WSGI."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

FLOOD_MESSAGES = 1000
FLOOD_BYTES = 64 * 1024

#: What happened, for the tests to ask.
log: dict[str, Any] = {"flooded": 0, "ended": [], "lifespan": []}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        kind = "http with upgrade" if any(name == b"upgrade" for name, _ in scope["headers"]) else "http"
        body = json.dumps({**log, "type": kind, "state": scope["state"]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})
    else:
        assert (await receive())["type"] == "websocket.connect"
        await SOCKETS[scope["path"]](scope, receive, send)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    scope["state"]["greeting"] = "hello"
    log["lifespan"].append((await receive())["type"])
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Echo; on "close CODE REASON" close."""
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": "chat" if "chat" in scope["subprotocols"] else None,
            "headers": [(b"x-greeting", scope["state"]["greeting"].encode()), (b"set-cookie", b"a=1")],
        }
    )
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            log["ended"].append([message["code"], message["reason"]])
            return
        text = message.get("text") or ""
        if text.startswith("close "):
            _, code, reason = text.split(" ", 2)
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
        elif text:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def facts(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    told = {name: scope[name] for name in ("type", "scheme", "path", "http_version", "subprotocols")}
    told["query"] = scope["query_string"].decode()
    told["extensions"] = sorted(scope["extensions"])
    told["method"] = "method" in scope
    await send({"type": "websocket.send", "text": json.dumps(told)})


async def flood(scope: Any, receive: Any, send: Any) -> None:
    log["flooded"] = 0
    await send({"type": "websocket.accept"})
    for number in range(FLOOD_MESSAGES):
        await send({"type": "websocket.send", "bytes": number.to_bytes(4, "big") * (FLOOD_BYTES // 4)})
        log["flooded"] = number + 1


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Read nothing before it is told by the first message of another socket: `/go`."""
    await send({"type": "websocket.accept"})
    await GO.wait()
    total = 0
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "end":
            await send({"type": "websocket.send", "text": str(total)})
        else:
            total += len(message["bytes"])


async def go(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    GO.set()


async def deny(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close", "code": 4000})
    log["ended"].append([(await receive())["code"], "denied"])


async def deny_body(scope: Any, receive: Any, send: Any) -> None:
    await send(
        {
            "type": "websocket.http.response.start",
            "status": 418,
            "headers": [(b"content-type", b"text/plain"), (b"x-why", b"tea")],
        }
    )
    await send({"type": "websocket.http.response.body", "body": b"I am ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"a teapot"})


async def fail_early(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("before the accept")


async def fail_late(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    raise RuntimeError("after the accept")


async def late_send(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await receive()
    try:
        while True:
            await send({"type": "websocket.send", "text": "x" * 1000})
            await asyncio.sleep(0.01)
    except OSError as error:
        log["ended"].append([type(error).__name__, ""])


SOCKETS = {
    "/echo": echo,
    "/facts": facts,
    "/flood": flood,
    "/slow": slow,
    "/go": go,
    "/deny": deny,
    "/deny-body": deny_body,
    "/fail-early": fail_early,
    "/fail-late": fail_late,
    "/late-send": late_send,
}
GO = asyncio.Event()

wsgi = AsgiToWsgi(app, websockets=True)
without = AsgiToWsgi(app, lifespan="off")  # one lifespan in a process is enough
