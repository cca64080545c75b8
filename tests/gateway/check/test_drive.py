"""``gateway check`` calls an application in process, with every case, and reports one whose lifespan hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.check import drive
from gateway.check.cases.requests import REQUESTS
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
    assert drive.drive_asgi(validator, ["/"], REQUESTS[:1]) == [raised]  # type: ignore[arg-type]  # it has both call forms
    assert {warning.rule for warning in validator.warnings} == found
    assert validator.violations == []


def test_a_request_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await asyncio.Event().wait()

    monkeypatch.setattr(drive, "TIMEOUT", 0.2)
    # The other requests of this path would hang, too.
    assert drive.drive_asgi(app, ["/"], REQUESTS[:7]) == ["GET /: the application did not finish within 0.2 seconds"]


def test_an_answer_to_startup_that_is_none_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    assert drive.drive_asgi(app, ["/"], REQUESTS[:1]) == [
        "lifespan: the application answered lifespan.startup with 'http.response.start'"
    ]


def noting(seen: list[tuple[Any, ...]]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        size, more, left = 0, True, False
        while more and not left:
            message = await receive()
            left = message["type"] == "http.disconnect"
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        try:
            await send(start())
            await send(body(b"begun", more=True))
            await send(body(b"", more=True))
            failed = False
        except OSError:
            failed = True
        if not failed:
            await send(body(b""))
        after = (await receive())["type"]
        seen.append((scope["method"], scope["query_string"], size, left, failed, after))

    return app


def test_an_asgi_application_gets_every_case() -> None:
    seen: list[tuple[Any, ...]] = []
    validator = Validator(noting(seen), "asgi", "collect")
    assert drive.drive_asgi(validator, ["/?x=1"], REQUESTS) == []  # type: ignore[arg-type]  # it has both call forms
    assert [violation for violation in validator.violations if violation.side == "server"] == []
    expected = [case for case in REQUESTS if not drive._skipped(case)]
    assert [row[0] for row in seen] == [case.method for case in expected]
    by_id = dict(zip([case.id for case in expected], seen, strict=True))
    assert by_id["query"][1] == b"x=1&a=1&a=2&b+c=d%26e&%C3%BC=%C3%A9"
    assert by_id["post-bytewise"][2] == by_id["post-whole"][2] == 360
    assert by_id["leaves-mid-request"][2:4] == (20, True)
    assert [id for id, row in by_id.items() if row[4]] == [
        "leaves-before-headers",
        "leaves-mid-request",
        "leaves-at-head",
        "leaves-after-a-byte",
        "leaves-after-a-chunk",
    ]
    assert {row[5] for row in seen} == {"http.disconnect"}


def test_a_wsgi_application_gets_every_case_and_is_closed_when_the_client_leaves() -> None:
    seen: dict[str, list[Any]] = {"read": [], "blocks": []}

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        seen["read"].append(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        count = 0
        try:
            for block in [b"", b"one", b"two"]:
                count += 1
                yield b"" if environ["REQUEST_METHOD"] == "HEAD" else block
        finally:
            seen["blocks"].append(count)

    validator = Validator(app, "wsgi", "collect")
    assert drive.drive_wsgi(validator, ["/"], REQUESTS) == []  # type: ignore[arg-type]  # it has both call forms
    assert validator.violations == []
    cases = [case for case in REQUESTS if not drive._skipped(case) and not case.sizes]
    left = [case.leaves.when if case.leaves is not None else "" for case in cases]
    expected = {"": 3, "before_headers": 1, "mid_request": 3, "after_bytes": 2, "after_chunks": 2}
    wanted = [expected[when] if case.id != "leaves-at-head" else 1 for when, case in zip(left, cases, strict=True)]
    assert seen["blocks"] == wanted
    assert b"".join(seen["read"]).count(b"a=1&b=2\r\n") >= 80


def test_a_wsgi_application_that_reads_on_after_the_client_left_gets_an_error() -> None:
    seen: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        try:
            while environ["wsgi.input"].readline():
                pass
        except OSError as error:
            seen.append(str(error))
        start_response("200 OK", [])
        return []

    cases = [case for case in REQUESTS if case.id == "leaves-mid-request"]
    assert drive.drive_wsgi(app, ["/"], cases) == []  # type: ignore[arg-type]  # typed loosely
    assert seen == ["the client has left"]
