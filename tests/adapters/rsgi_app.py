"""The ASGI application that granian serves in the tests of AsgiToRsgi: each path is one behaviour."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from gateway.adapters.asgi_to_rsgi import AsgiToRsgi
from gateway.errors import ApplicationError

kept: list[object] = []
happened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
TEXT = (b"content-type", b"text/plain")


def note(line: str) -> None:
    with Path(os.environ["RSGI_NOTES"]).open("a") as file:
        file.write(f"{line}\n")


async def lifespan(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    note("started")
    if os.environ.get("RSGI_REFUSE"):
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        return
    scope["state"]["database"] = "open"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    note("stopped")
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send, body: bytes = b"ok", status: int = 200, headers: Any = (TEXT,)) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def show(scope, receive, send):
    seen = {name: value for name, value in scope.items() if name not in ("headers", "query_string")}
    seen["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    seen["query_string"] = scope["query_string"].decode("latin-1")
    await answer(send, json.dumps(seen).encode())


async def upload(scope, receive, send):
    """Answer with the size of the body, and what the next receive() gives once the response has ended."""
    happened[f"reading-{scope['query_string'].decode()}"].set()
    size = messages = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            assert await receive() == {"type": "http.disconnect"}
            happened[scope["query_string"].decode()].set()
            return
        size += len(message["body"])
        messages += 1
        if not message["more_body"]:
            break
    await answer(send, json.dumps({"size": size, "messages": messages}).encode())
    assert await receive() == {"type": "http.disconnect"}


async def echo(scope, receive, send):
    """Send each chunk back as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": True})
    await send({"type": "http.response.body"})


async def trailers(scope, receive, send):
    """Promise trailers without a look at the extensions; then send more than was promised."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT], "trailers": True})
    await send({"type": "http.response.body", "body": b"with trailers"})
    await send({"type": "http.response.trailers", "headers": [(b"x-a", b"1")], "more_trailers": True})
    await send({"type": "http.response.trailers", "headers": [(b"x-b", b"2")]})
    try:
        await send({"type": "http.response.trailers", "headers": []})
    except ApplicationError:
        happened["trailers"].set()


async def stream(scope, receive, send):
    """Send the first chunk, then wait until another request allows the second."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await send({"type": "http.response.body", "body": b"first ", "more_body": True})
    await happened["go-on"].wait()
    await send({"type": "http.response.body", "body": b"second", "more_body": False})
    await happened["never"].wait()  # background work: the response has ended already


async def quiet(scope, receive, send):
    """Send the headers, and the body only when another request allows it: as bytes, as a file, or never."""
    what = scope["query_string"].decode()
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await happened[f"go-on-{what}"].wait()
    if what == "file":
        await send({"type": "http.response.pathsend", "path": __file__})
    else:
        await send({"type": "http.response.body", "body": b"event"})


async def late_failure(scope, receive, send):
    """Fail in the step that sends the headers, before they are sent alone."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await asyncio.sleep(0)
    raise LookupError("broken after the head")


async def endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    except OSError:
        assert await receive() == {"type": "http.disconnect"}
        happened["send-failed"].set()


async def waiting(scope, receive, send):
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    happened["waiting"].set()
    assert await receive() == {"type": "http.disconnect"}
    happened["disconnected"].set()


async def while_responding(scope, receive, send):
    """A receive() that waits while the response is sent is told when it has ended."""
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    listener = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    await answer(send)
    assert await listener == {"type": "http.disconnect"}
    happened["listener-ended"].set()


async def failing(scope, receive, send):
    raise LookupError("broken before the head")


async def failing_later(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise LookupError("broken after the head")


async def failing_in_a_stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise LookupError("broken in the stream")


async def unfinished_stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def silent(scope, receive, send):
    pass


async def half_silent(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def headers(scope, receive, send):
    fields = [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-text", "caf\u00e9".encode()),
        (b"content-length", b"2"),
    ]
    await answer(send, headers=fields)


async def empty(scope, receive, send):
    await answer(send, b"", 204, ())


async def file(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await send({"type": "http.response.pathsend", "path": __file__})


async def wrong(scope, receive, send):
    """Send what must not be sent; the answer counts what was refused."""
    refused = 0

    async def expect_refusal(message: dict[str, Any]) -> None:
        nonlocal refused
        try:
            await send(message)
        except ApplicationError:
            refused += 1

    start = {"type": "http.response.start", "status": 200, "headers": []}
    await expect_refusal({"type": "http.response.body", "body": b"before the head"})
    await send(start)
    await expect_refusal(start)
    await expect_refusal({"type": "http.response.unknown"})
    await send({"type": "http.response.body", "body": b"refused 3"})
    await expect_refusal({"type": "http.response.body", "body": b"after the end"})
    if refused == 4:
        happened["refused-4"].set()


async def happened_yet(scope, receive, send):
    await asyncio.wait_for(happened[scope["query_string"].decode()].wait(), 30)
    await answer(send)


async def happen(scope, receive, send):
    happened[scope["query_string"].decode()].set()
    await answer(send)


async def websocket(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/refused":
        await send({"type": "websocket.close", "code": 4000})
        assert (await receive())["type"] == "websocket.disconnect"
        return
    if scope["path"] == "/early":
        first = asyncio.create_task(receive())  # in another task, before the accept
        await asyncio.sleep(0)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"early {(await first)['text']}"})
        assert (await receive())["type"] == "websocket.disconnect"
        kept.append(send)  # which does not keep the connection open
        return
    if scope["path"] == "/wrong":
        refused = 0
        for message in ({"type": "websocket.send", "text": "too early"}, {"type": "websocket.unknown"}):
            try:
                await send(message)
            except ApplicationError:
                refused += 1
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"refused {refused}"})
        assert (await receive())["type"] == "websocket.disconnect"
        return
    await send({"type": "websocket.accept"})
    if scope["path"] in ("/receives", "/sends"):
        await send({"type": "websocket.send", "text": (await receive())["text"].upper()})
        if scope["path"] == "/receives":
            assert (await receive())["type"] == "websocket.disconnect"
            assert (await receive())["type"] == "websocket.disconnect"
            happened["websocket-vanished-while-it-receives"].set()
        else:
            try:
                while True:
                    await send({"type": "websocket.send", "bytes": b"x" * 65536})
            except OSError:
                happened["websocket-vanished-while-it-sends"].set()
        return
    if scope["path"] == "/fails":
        raise LookupError("broken in the websocket")
    if scope["path"] == "/closes":
        await send({"type": "websocket.close", "code": 4001})
        assert await receive() == {"type": "websocket.disconnect", "code": 4001, "reason": ""}
        try:
            await send({"type": "websocket.send", "text": "too late"})
        except OSError:
            happened["websocket-send-failed"].set()
        return
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            happened["websocket-left"].set()
            return
        if message.get("text") == "state":
            await send({"type": "websocket.send", "text": json.dumps([scope["scheme"], scope["state"]])})
        elif message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"].upper()})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"][::-1]})


PATHS = {
    "/upload": upload,
    "/echo": echo,
    "/stream": stream,
    "/quiet": quiet,
    "/late-failure": late_failure,
    "/endless": endless,
    "/waiting": waiting,
    "/while-responding": while_responding,
    "/failing": failing,
    "/failing-later": failing_later,
    "/failing-in-a-stream": failing_in_a_stream,
    "/unfinished-stream": unfinished_stream,
    "/silent": silent,
    "/half-silent": half_silent,
    "/headers": headers,
    "/empty": empty,
    "/file": file,
    "/trailers": trailers,
    "/wrong": wrong,
    "/happened": happened_yet,
    "/happen": happen,
}


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await PATHS.get(scope["path"], show)(scope, receive, send)


app = AsgiToRsgi(application)
