"""An ASGI application whose background task keeps the id that it sees, beside one without any middleware."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from gateway import Gateway, Mount
from gateway.middleware import AccessLog, RequestId
from gateway.middleware.request_id import RequestIdFilter, current_request_id

found: list[list[str | None]] = []


async def later() -> None:
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "hello", (), None)
    RequestIdFilter().filter(record)
    found.append([current_request_id(), record.request_id])  # type: ignore[attr-defined]  # the filter's


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(current_request_id() or "", background=BackgroundTask(later))


async def told(request: Request) -> JSONResponse:
    return JSONResponse({"found": found, "here": current_request_id()})


named = Gateway(Starlette(routes=[Route("/page", page)]), middleware=[RequestId(), AccessLog()])
app = Mount({"/named": named, "/": Starlette(routes=[Route("/", told)])})
