"""Unbuffered: NGINX is asked to pass streams on, and nothing else."""

from __future__ import annotations

import pytest

from gateway.middleware.compression import Compression
from gateway.middleware.unbuffered import Unbuffered
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script
from tests.shows import shows

KIND = ("Content-Type", "text/event-stream")
TEXT = b"a word and another word, " * 80


@shows("A response without a declared length has X-Accel-Buffering: no")
def test_a_response_of_no_declared_length_is_not_buffered(stack: MakeStack) -> None:
    answer = stack(Unbuffered(), script=Script(headers=(KIND,), chunks=(b"data: 1\n\n", b"data: 2\n\n"))).request()
    assert answer.get("x-accel-buffering") == "no"
    assert answer.body == b"data: 1\n\ndata: 2\n\n"


@shows("Left alone: a declared length, no body, a value of the application's, X-Accel-Redirect")
@pytest.mark.parametrize(
    ("script", "method", "value"),
    [
        (Script(headers=(KIND, ("Content-Length", "5"))), "GET", None),
        (Script(headers=(KIND, ("X-Accel-Buffering", "yes"))), "GET", "yes"),
        (Script(headers=(KIND, ("X-Accel-Redirect", "/internal/a"))), "GET", None),
        (Script(status=204, headers=(), chunks=(b"",)), "GET", None),
        (Script(status=304, headers=(), chunks=(b"",)), "GET", None),
        (Script(headers=(KIND,), chunks=(b"",)), "HEAD", None),
    ],
    ids=["length", "own-value", "redirect", "204", "304", "head"],
)
def test_responses_that_need_the_buffer_stay_unchanged(
    stack: MakeStack, script: Script, method: str, value: str | None
) -> None:
    assert stack(Unbuffered(), script=script).request(method=method).get("x-accel-buffering") == value


@shows("The length that counts is the application's, also where the body is compressed")
def test_a_complete_compressed_response_stays_buffered(stack: MakeStack) -> None:
    whole = Script(headers=(("Content-Type", "text/plain"), ("Content-Length", str(len(TEXT)))), chunks=(TEXT,))
    answer = stack(Compression(), Unbuffered(), script=whole).request(headers=[("Accept-Encoding", "gzip")])
    assert answer.get("content-encoding") == "gzip"
    assert answer.get("x-accel-buffering") is None
