"""Flask on a node of a scaled deployment: work that waits, and a limit that all nodes share.

`FOLDER` is the node's own folder, so that its notes are counted at the node.
"""

from __future__ import annotations

import os
import time

from flask import Flask, request

from gateway import Gateway
from gateway.exchange import Request
from gateway.middleware import BodyLimit, RateLimit, behind_nginx
from gateway.middleware.rate_limit import by_client
from tests.tiers.deployed_chain import HOST, MAX_BYTES, note

LIMIT = 20

flask = Flask(__name__)


@flask.route("/work", methods=["GET", "POST"])
def work() -> str:
    """Wait as for a database, and note a POST when it is done."""
    time.sleep(0.02)
    if request.method == "POST":
        note(f"done {request.get_data(as_text=True)}")
    return str(os.getpid())


@flask.get("/limited")
def limited() -> str:
    return str(os.getpid())


def limited_clients(request: Request) -> str | None:
    return by_client(request) if request.path == "/limited" else None


limit = RateLimit(
    limits=f"{LIMIT}/hour", strategy="moving", key=limited_clients, store=os.environ.get("REDIS", "memory://")
)
chain = behind_nginx(hosts=(HOST,), trust=("127.0.0.0/8",), body_limit=BodyLimit(max_bytes=MAX_BYTES), rate_limit=limit)
app = Gateway(flask, middleware=chain)
