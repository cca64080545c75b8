"""``gateway check`` calls an application in process: what it says of one whose lifespan hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.check import drive
from gateway.rules import Validator
from tests.gateway.rules.asgi import body, sends, start


def hanging(*answers: Any) -> Any:
    async def hangs(receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await sends(*answers, hangs)(scope, receive, send)
        elif scope["type"] == "http":
            await sends(start(), body())(scope, receive, send)
        else:
            raise NotImplementedError(scope["type"])

    return app


COMPLETE = {"type": "lifespan.startup.complete"}


@pytest.mark.parametrize(
    ("answers", "raised", "found"),
    [
        ((), "lifespan: no answer to lifespan.startup within 0.2 seconds", {"L05"}),
        # It never asked for the event, so no rule is about it.
        ((COMPLETE,), "lifespan: the application did not return within 0.2 seconds of lifespan.shutdown", set()),
    ],
    ids=["at-startup", "at-shutdown"],
)
def test_a_lifespan_that_hangs_is_told(
    monkeypatch: pytest.MonkeyPatch, answers: Any, raised: str, found: set[str]
) -> None:
    monkeypatch.setattr(drive, "TIMEOUT", 0.2)
    validator = Validator(hanging(*answers), "asgi", "collect")
    assert drive.drive_asgi(validator, [("GET", "/")]) == [raised]  # type: ignore[arg-type]
    assert {warning.rule for warning in validator.warnings} == found
    assert validator.violations == []


def test_a_request_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await asyncio.Event().wait()

    monkeypatch.setattr(drive, "TIMEOUT", 0.2)
    assert drive.drive_asgi(app, [("GET", "/")]) == ["GET /: the application did not finish within 0.2 seconds"]


def test_an_answer_to_startup_that_is_none_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    assert drive.drive_asgi(app, [("GET", "/")]) == [
        "lifespan: the application answered lifespan.startup with 'http.response.start'"
    ]
