"""Behind a validator, a list is still a list to a server: it can be read twice, and an iterator of it goes on."""

from __future__ import annotations

from typing import Any
from wsgiref.util import setup_testing_defaults

from gateway.rules import Validator


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one", b"two"]


def respond() -> Any:
    environ: dict[str, Any] = {"QUERY_STRING": ""}
    setup_testing_defaults(environ)
    return Validator(app)(environ, lambda status, headers, exc_info=None: lambda data: None)


def test_a_list_is_read_twice_as_gevent_does() -> None:
    body = respond()
    chunks = iter(body)
    first = next(chunks)
    assert sum(len(chunk) for chunk in body) == 6
    assert [first, *chunks] == [b"one", b"two"]
    body.close()


def test_an_iterator_of_a_list_goes_on_where_it_was() -> None:
    body = respond()
    chunks = iter(body)
    assert next(chunks) == b"one"
    assert list(iter(chunks)) == [b"two"]
    body.close()
