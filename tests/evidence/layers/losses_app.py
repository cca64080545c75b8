"""The application of the restarts: Flask or FastAPI, and a Health that drains as the variables say."""

from __future__ import annotations

import os
from typing import Any

from gateway import Gateway
from gateway.middleware import Health, behind_load_balancer
from tests.tiers.deployed_chain import HOST, LOCAL, MAX_BYTES


def _framework() -> Any:
    if os.environ["FRAMEWORK"] == "fastapi":
        from tests.tiers.deployed_fastapi import fastapi

        return fastapi
    from tests.tiers.deployed_flask import flask

    return flask


_seconds = os.environ.get("DRAIN_SECONDS")
health = Health(
    drain_seconds=float(_seconds) if _seconds else None,
    drain_file=os.environ.get("DRAIN_FILE"),
    drain_signal="DRAIN_SIGNAL" in os.environ,
    cache=0.0,
)
chain = behind_load_balancer(
    hosts=(HOST,), trust=LOCAL, max_bytes=MAX_BYTES, https_redirect=None, compression=None, health=health
)
app = Gateway(_framework(), middleware=chain)
