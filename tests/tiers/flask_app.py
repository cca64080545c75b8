"""A Flask application with something to say on every row of the table, in one object for any server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, jsonify, request

from gateway import Gateway
from tests.tiers.checked import checked

flask = Flask(__name__)


@flask.get("/")
def hello() -> Response:
    return Response("hello from flask", content_type="text/plain; charset=utf-8", headers={"x-tier": "one"})


@flask.post("/upload")
def upload() -> Response:
    body = request.get_data()
    return jsonify(length=len(body), sha256=hashlib.sha256(body).hexdigest())


@flask.get("/stream")
def stream() -> Response:
    release = Path(request.args["release"])

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        deadline = time.monotonic() + 10
        while not release.exists():
            if time.monotonic() > deadline:
                yield b"nobody has read the first chunk\n"
                return
            time.sleep(0.01)
        yield b"second\n"

    return Response(chunks(), content_type="text/plain")


@flask.get("/cookies")
def cookies() -> Response:
    response = Response("")
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "b=2; Path=/; HttpOnly")
    return response


@flask.get("/path/<path:rest>")
def path(rest: str) -> Response:
    return jsonify(path=rest, query=request.args.to_dict())


@flask.get("/error")
def error() -> Response:
    raise RuntimeError("raised on purpose")


@flask.get("/seen")
def seen() -> Response:
    return jsonify(crossed="gateway.scope" in request.environ, started=True)


app = Gateway(checked(flask))
