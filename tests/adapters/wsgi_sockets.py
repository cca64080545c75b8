"""A Flask site with WebSockets of flask-sock, Flask-SocketIO and simple-websocket, for real servers of both interfaces.

The views are written as the documentation of these packages writes them, and nothing in them knows an ASGI server.
"""

from __future__ import annotations

import gc
import resource
import threading
from pathlib import Path
from typing import Any

import simple_websocket
from flask import Flask, request
from flask_sock import Sock
from flask_socketio import SocketIO, emit, join_room
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import AdapterOptions, Gateway, Mount
from gateway.chain import wsgi_only
from gateway.middleware import AccessLog, Compression, Errors, RequestId

STREAM_BYTES = 64 * 1024

site = Flask(__name__)
site.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "subprotocols": ["v2", "v1"]}
sock = Sock(site)
socketio = SocketIO(site, async_mode="threading", cors_allowed_origins="*")

log: list[Any] = []


# --- flask-sock


@sock.route("/echo")
def echo(ws: Any) -> None:
    while True:
        ws.send(ws.receive())


@sock.route("/once")
def once(ws: Any) -> None:
    ws.send(f"{request.args.get('name')} {request.cookies.get('session', '')}")


@sock.route("/close")
def close(ws: Any) -> None:
    ws.receive()
    ws.close(4001, "enough")


@sock.route("/fails")
def fails(ws: Any) -> None:
    ws.receive()
    raise ValueError("the view fails")


@sock.route("/ends")
def ends(ws: Any) -> None:
    ws.send("open")
    try:
        ws.receive()
    except simple_websocket.ConnectionClosed as closed:
        log.append([int(closed.reason), closed.message or ""])
        raise


@sock.route("/protocol")
def protocol(ws: Any) -> None:
    ws.send(ws.subprotocol or "none")


@sock.route("/stream/<int:messages>")
def stream(ws: Any, messages: int) -> None:
    data = b"x" * STREAM_BYTES
    for _ in range(messages):
        ws.send(data)


# --- simple-websocket


@site.route("/simple", websocket=True)
def simple() -> str:
    ws = simple_websocket.Server.accept(request.environ)
    try:
        while True:
            ws.send(f"simple {ws.receive()}")
    except simple_websocket.ConnectionClosed:
        pass
    return ""


# --- gevent-websocket


@site.route("/gevent", websocket=True)
def gevent() -> Any:
    ws = request.environ.get("wsgi.websocket")
    if ws is None:
        return "Expected WebSocket request.", 400
    while (message := ws.receive()) is not None:
        ws.send(f"gevent {message}")
    return ""


# --- Flask-SocketIO


@socketio.on("message")
def on_message(text: str) -> None:
    emit("message", f"echo {text}")


@socketio.on("enter")
def on_enter(room: str) -> str:
    join_room(room)
    return "entered"


@socketio.on("say")
def on_say(data: dict[str, str]) -> None:
    emit("said", data["text"], to=data["room"])


# --- pages


@site.route("/")
def page() -> str:
    return "a page"


@site.route("/members", websocket=True)
def members() -> Any:
    return "sign in first", 401


@site.route("/log")
def told() -> dict[str, Any]:
    gc.collect()
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return {
        "log": log,
        "sockets": sum(thread.name.startswith("gateway-websocket") for thread in threading.enumerate()),
        "threads": threading.active_count(),
        "resident": pages * resource.getpagesize(),
    }


# One thread for requests: a single WebSocket that held it would stop the site.
few = AdapterOptions(websocket_threads=110)
alone = Gateway(site, websockets=True, threads=1, adapter=few)
chained = Gateway(
    site,
    middleware=[RequestId(), AccessLog(), wsgi_only(ProxyFix, x_for=1), Compression(), Errors()],
    websockets=True,
    threads=1,
    adapter=few,
)
mounted = Mount({"/live": chained, "/": site})
