"""Run Django's ``runtests.py`` in this process; every call of a handler of Django goes through the object.

The handler of Django's test client returns Django's response object, with the context of the templates. Its calls go
through the object too, but not through adapters, because the tests keep a transaction open in their thread. The test
gets the same response object, after its status, headers and body were compared with those that the object sent.

Arguments: the mode, the file for the results, then the arguments of ``runtests.py``. The current folder is Django's
``tests``.
"""

from __future__ import annotations

import json
import runpy
import sys
import unittest
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

#: The parts between a test and the handler, by mode.
MODES = {
    "native": "nothing",
    "object": "`get_application()`, with a middleware in its chain",
    "threads": "the same, with `reuse_threads=True` for the ASGI handler",
    "adapters": "the same, and for the WSGI handler both adapters: WSGI, ASGI, WSGI",
}


def main(mode: str, results: str, *arguments: str) -> None:
    """Patch Django, run its tests, and write each test's result to a file."""
    outcome: dict[str, str] = {}
    calls: Counter[str] = Counter()
    _record(outcome)
    if mode != "native":
        _patch(mode, calls)
    sys.argv = ["runtests.py", *arguments]
    sys.path.insert(0, str(Path.cwd()))
    try:
        runpy.run_path("runtests.py", run_name="__main__")
    finally:
        Path(results).write_text(json.dumps({"tests": outcome, "calls": calls}), encoding="utf-8")


def _record(outcome: dict[str, str]) -> None:
    """Note the result of each test: "ok", "skipped", or the last line of its error."""
    result = unittest.TestResult

    def noting(name: str, note: Callable[..., str]) -> None:
        original = getattr(result, name)

        def patched(self: Any, test: Any, *details: Any) -> None:
            outcome[_name(test)] = note(*details)
            original(self, test, *details)

        setattr(result, name, patched)

    noting("addSuccess", lambda: "ok")
    noting("addSkip", lambda reason: "skipped")
    noting("addExpectedFailure", lambda error: "ok")
    noting("addFailure", _line)
    noting("addError", _line)
    started = result.addSubTest

    def subtest(self: Any, test: Any, part: Any, error: Any) -> None:
        if error is not None:
            outcome[f"{_name(test)} {part._subDescription()}"] = _line(error)
        started(self, test, part, error)

    result.addSubTest = subtest  # type: ignore[method-assign]  # the only place that sees the part of a test


def _name(test: Any) -> str:
    return str(test.id())


def _line(error: Any) -> str:
    return " ".join(f"{error[0].__name__}: {error[1]}".split())[:300]


def _patch(mode: str, calls: Counter[str]) -> None:
    """Replace the calls of both handlers, and count them."""
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.test.client import ClientHandler

    import gateway.django
    from gateway.contract import Middleware

    class Observes(Middleware):
        """It has every hook that a request can pass, and changes nothing."""

        websocket = True

        def on_request(self, request: Any) -> None:
            request.state["seen"] = []

        def on_response(self, request: Any, response: Any) -> None:
            request.state["seen"].append(response.status)

        def on_finish(self, request: Any, outcome: Any) -> None:
            assert len(request.state["seen"]) <= 1

    def application(name: str, handler: Any, **options: Any) -> Any:
        with mock.patch.object(gateway.django, f"get_{name}_application", return_value=handler):
            return gateway.django.get_application(handler=name, static=False, middleware=[Observes()], **options)

    made: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
    wsgi_call: Any = WSGIHandler.__call__
    asgi_call: Any = ASGIHandler.__call__
    client_call: Any = ClientHandler.__call__

    def through(handler: Any, make: Callable[[], Any]) -> Any:
        if handler not in made:
            made[handler] = make()
        return made[handler]

    def wsgi_object(call: Any) -> Any:
        whole = application("wsgi", call)
        return _back_to_wsgi(whole.asgi) if mode == "adapters" else whole.wsgi

    def asgi_object(call: Any) -> Any:
        return application("asgi", call, reuse_threads=mode == "threads").asgi

    def called_as_wsgi(self: Any, environ: Any, start_response: Any) -> Any:
        def call(environ: Any, start_response: Any) -> Any:
            return wsgi_call(self, environ, start_response)

        calls["wsgi"] += 1
        sent: list[Any] = []

        def started(status: str, headers: Any, *error: Any) -> Any:
            sent[:] = [status, headers]
            return start_response(status, headers, *error)

        body = through(self, lambda: wsgi_object(call))(environ, started)
        wrapper = environ.get("wsgi.file_wrapper")
        return body if isinstance(wrapper, type) and isinstance(body, wrapper) else _Response(body, sent)

    async def called_as_asgi(self: Any, scope: Any, receive: Any, send: Any) -> None:
        calls["asgi"] += 1

        async def call(scope: Any, receive: Any, send: Any) -> None:
            await asgi_call(self, scope, receive, send)

        await through(self, lambda: asgi_object(call))(scope, receive, send)

    def called_by_client(self: Any, environ: Any) -> Any:
        calls["client"] += 1
        responses: list[Any] = []
        sent: list[Any] = []

        def call(environ: Any, start_response: Any) -> Any:
            response = client_call(self, environ)
            responses.append(response)
            start_response(f"{response.status_code} {response.reason_phrase}", _headers(response))
            return [] if response.streaming else [response.content]  # the test reads the stream itself

        body = application("wsgi", call).wsgi(environ, lambda *head: sent.extend(head))
        try:
            content = b"".join(body)
        finally:
            getattr(body, "close", lambda: None)()
        [response] = responses
        assert sent == [f"{response.status_code} {response.reason_phrase}", _headers(response)]
        assert response.streaming or content == response.content
        return response

    ClientHandler.__call__ = called_by_client
    WSGIHandler.__call__ = called_as_wsgi
    ASGIHandler.__call__ = called_as_asgi


def _headers(response: Any) -> list[tuple[str, str]]:
    """Return the headers of a response of Django as its WSGI handler sends them."""
    cookies = [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
    return [*response.items(), *cookies]


def _back_to_wsgi(asgi: Any) -> Any:
    from gateway.adapters import AsgiToWsgi

    return AsgiToWsgi(asgi, lifespan="off")


class _Response:
    """A body with the attributes of Django's response that some tests read, from the messages that the object sent."""

    def __init__(self, body: Any, sent: list[Any]) -> None:
        self.body = body
        self.sent = sent
        self.close = getattr(body, "close", lambda: None)

    def __iter__(self) -> Any:
        return iter(self.body)

    @property
    def status_code(self) -> int:
        return int(self.sent[0].split()[0])

    def __bytes__(self) -> bytes:
        body = b"".join(self.body)
        return "".join(f"{name}: {value}\r\n" for name, value in self.sent[1]).encode() + b"\r\n" + body


if __name__ == "__main__":
    main(*sys.argv[1:])
