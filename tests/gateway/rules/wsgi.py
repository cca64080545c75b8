"""A server for the tests: it calls a WSGI application in process, as well or as badly as a case says."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import ProtocolViolation
from gateway.rules import Validator

App = Callable[..., Any]
ABSENT: Any = object()
PLAIN = [("Content-Type", "text/plain")]


class FileWrapper:
    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Any:
        return iter(lambda: self.filelike.read(self.block_size), b"")


def environ(body: bytes = b"", **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "testserver",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    if body:
        made.update(REQUEST_METHOD="POST", CONTENT_LENGTH=str(len(body)))
    made.update({key.replace("__", "."): value for key, value in changes.items()})
    return {key: value for key, value in made.items() if value is not ABSENT}


@dataclass
class Serve:
    """One call: what the server gives, and how it treats the application."""

    app: App
    environ: Any = field(default_factory=environ)
    #: Given the state of the server and the arguments: what start_response does instead of its work.
    start_response: Callable[..., Any] | None = None
    #: What the server does with the iterable, instead of iterating and closing it once.
    iterate: Callable[[Any], list[bytes]] | None = None
    #: Give the environ itself, not a copy: it is used more than once.
    same: bool = False
    #: How the application is called.
    call: Callable[[App, Any, Any], Any] | None = None


@dataclass
class Result:
    validator: Any
    body: list[bytes] = field(default_factory=list)
    heads: list[tuple[Any, ...]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    inside: list[BaseException] = field(default_factory=list)

    @property
    def found(self) -> list[ProtocolViolation]:
        return [*self.validator.violations, *self.validator.warnings]

    @property
    def ids(self) -> set[str]:
        return {violation.rule for violation in self.found}


def _iterate(iterable: Iterable[bytes]) -> list[bytes]:
    try:
        return list(iterable)
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def _drive(call: Serve, validator: Any, result: Result) -> None:
    sent: list[bytes] = []
    environ = call.environ
    if not call.same and type(environ) is dict:
        environ = dict(environ)
        stream = environ.get("wsgi.input")
        if isinstance(stream, io.BytesIO):
            environ["wsgi.input"] = io.BytesIO(b"" if stream.closed else stream.getvalue())

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        try:
            if call.start_response is not None:
                return call.start_response(status, headers, exc_info)
            if exc_info and any(sent):
                raise exc_info[1].with_traceback(exc_info[2])
            result.heads.append((status, headers))
            return sent.append
        finally:
            exc_info = None

    try:
        iterable = (call.call or (lambda app, *args: app(*args)))(validator, environ, start_response)
        if call.iterate is not None:
            sent += call.iterate(iterable)
        else:
            try:
                for block in iterable:
                    sent.append(block)
            finally:
                if hasattr(iterable, "close"):
                    iterable.close()
    except Exception as error:
        result.errors.append(error)
    result.body = sent


def serve(*calls: Serve, mode: str = "collect", validator: Any = None, **options: Any) -> Result:
    """Serve calls, one after the other, under a validator."""
    current = calls[0].app

    def app(environ: Any, start_response: Any) -> Any:
        return current(environ, start_response)

    validator = validator or Validator(app, "wsgi", mode, **options)  # type: ignore[call-overload]
    result = Result(validator)
    for call in calls:
        current = call.app
        _drive(call, validator, result)
    return result


def nested(call: Serve, middleware: Callable[[App], App], mode: str = "collect") -> Result:
    """Serve a call of an application in a middleware, a validator on either side of that."""
    inner = Validator(call.app, "wsgi", mode)  # type: ignore[call-overload]
    outer = Validator(middleware(inner), "wsgi", mode)  # type: ignore[call-overload]
    result = Result(outer)
    _drive(call, outer, result)
    outer.violations.extend(inner.violations)
    outer.warnings.extend(inner.warnings)
    return result


def answers(
    status: Any = "200 OK", headers: Any = PLAIN, body: Any = (b"ok",), before: Callable[[Any], Any] | None = None
) -> App:
    """An application that starts its response so, and returns the body."""

    def app(environ: Any, start_response: Any) -> Any:
        if before is not None:
            before(environ)
        start_response(status, list(headers) if headers is PLAIN else headers)
        return list(body) if type(body) is tuple else body

    return app


HELLO = answers()
