"""Flask behind generated files: it reports facts, takes bodies, waits, and streams events."""

from __future__ import annotations

import json
import time

from flask import Flask, Response, request

from tests.tiers.deployed_chain import HEADERS, balanced, distant, events, note, proxied

flask = Flask(__name__)


@flask.get("/facts")
def facts() -> Response:
    found = {name: request.headers.get(name) for name in HEADERS}
    found |= {"client": request.remote_addr, "scheme": request.scheme, "host": request.host}
    return Response(json.dumps({**found, "mount": request.script_root}), content_type="application/json")


@flask.post("/upload")
def upload() -> str:
    return str(len(request.get_data()))


@flask.post("/slow")
def slow() -> str:
    serial = request.get_data(as_text=True)
    note(f"begun {serial}")
    time.sleep(float(request.args.get("seconds", "0")))
    note(f"done {serial}")
    return serial


@flask.get("/events/<release>")
def stream(release: str) -> Response:
    return Response(events(release), content_type="text/event-stream")


proxied_app = proxied(flask)
balanced_app = balanced(flask)
distant_app = distant(flask)
