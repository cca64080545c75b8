"""A function of the user, or a library, raises within a request: one table of the outcomes, for both interfaces.

A function that observes ends no request. A function that takes part in the response fails like the application: its
exception goes to ``Errors`` and to the server. A check that raises is a check that does not pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram

from gateway.chain import when
from gateway.contract import Middleware
from gateway.middleware import AccessLog, Compression, Errors, Health, Metrics, RateLimit, RequestId, StaticFiles
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script

SECRET = "hunter2"


class Broken(Exception):
    """What every function of the table raises."""


def raises(*args: object, **kwargs: object) -> Any:
    raise Broken(SECRET)


def coded(monkeypatch: pytest.MonkeyPatch, name: str) -> Middleware:
    """Give a Compression whose encoder raises at one of its steps."""
    made = Compression(codings=("gzip",), min_bytes=0)
    monkeypatch.setattr("gateway.middleware._codings._Gzip." + name, raises)
    return made


def measured(monkeypatch: pytest.MonkeyPatch) -> Middleware:
    monkeypatch.setattr(Gauge, "labels", raises)
    monkeypatch.setattr(Histogram, "labels", raises)
    return Metrics(registry=CollectorRegistry())


def logged(monkeypatch: pytest.MonkeyPatch) -> Middleware:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise Broken(SECRET)

    logger = logging.getLogger("tests.raising")
    monkeypatch.setattr(logger, "handlers", [Failing()])
    monkeypatch.setattr(logger, "propagate", False)
    return AccessLog(logger=logger.name)


def counted(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Middleware:
    """Give a limit whose library raises when it counts."""
    from limits.strategies import SlidingWindowCounterRateLimiter

    monkeypatch.setattr(SlidingWindowCounterRateLimiter, "hit", raises)
    return RateLimit(limits="1/minute", **options)


def served(tmp_path: Path) -> Middleware:
    (tmp_path / "file.txt").write_text("file")
    return StaticFiles(folders={"/s": tmp_path}, autorefresh=True, immutable=raises)


@dataclass(frozen=True)
class Row:
    """A place that raises, and the right outcome.

    ``status`` None is an exception that reaches the server. ``Errors`` outside makes it a 500, if it is raised before
    the body: an encoder is ``late``.
    """

    name: str
    make: Callable[[pytest.MonkeyPatch, Path], Middleware]
    status: int | None
    logs: str = ""
    target: str = "/"
    script: Script | None = None
    late: bool = False


TABLE: Sequence[Row] = (
    # It observes.
    Row("prometheus_client", lambda patch, _: measured(patch), 200, logs="gateway.middleware.metrics"),
    Row("AccessLog(format=)", lambda *_: AccessLog(format=raises), 200, logs="gateway"),
    Row("a handler of the access log", lambda patch, _: logged(patch), 200, logs="gateway"),
    # It decides.
    Row("RateLimit(key=)", lambda *_: RateLimit(limits="1/minute", key=raises), None),
    Row("RateLimit(cost=)", lambda *_: RateLimit(limits="1/minute", cost=raises), None),
    Row("RequestId(generate=)", lambda *_: RequestId(generate=raises), None),
    Row("Compression(skip_if=)", lambda *_: Compression(skip_if=raises), None),
    Row("an encoder's push", lambda patch, _: coded(patch, "push"), None, late=True),
    Row("an encoder's finish", lambda patch, _: coded(patch, "finish"), None, late=True),
    Row("StaticFiles(immutable=)", lambda _, path: served(path), None, target="/s/file.txt"),
    Row("when(predicate, ...)", lambda *_: when(raises, AccessLog()), None),
    Row(
        "Errors(answers=)",
        lambda *_: Errors(answers={KeyError: raises}),
        None,
        script=Script(raises=KeyError("x")),
    ),
    # It says that something is broken.
    Row("limits, open", lambda patch, _: counted(patch), 200, logs="gateway.middleware.rate_limit"),
    Row(
        "limits, closed",
        lambda patch, _: counted(patch, on_store_error="closed"),
        503,
        logs="gateway.middleware.rate_limit",
    ),
    Row(
        "Health(checks=)",
        lambda *_: Health(checks={"db": raises}),
        503,
        logs="gateway.middleware.health",
        target="/readyz",
    ),
    Row(
        "Health(startup=)",
        lambda *_: Health(startup={"db": raises}),
        503,
        logs="gateway.middleware.health",
        target="/startupz",
    ),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_an_exception_within_a_request_has_the_outcome_of_the_table(
    stack: MakeStack, row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fields = [("Accept-Encoding", "gzip")]
    chain = stack(row.make(monkeypatch, tmp_path), script=row.script)
    answer = chain.request(row.target, headers=fields)
    chain.close()
    if row.status is None:
        assert isinstance(answer.error, Broken)
    else:
        assert (answer.status, answer.error) == (row.status, None)
        assert SECRET.encode() not in answer.body
        told = [record for record in caplog.records if record.name.startswith(row.logs)]
        assert len(told) == 1
        assert SECRET in caplog.text


@pytest.mark.parametrize("row", [row for row in TABLE if row.status is None and not row.late], ids=lambda row: row.name)
def test_errors_sends_500_for_an_exception_of_a_function(
    stack: MakeStack, row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chain = stack(Errors(), row.make(monkeypatch, tmp_path), script=row.script)
    answer = chain.request(row.target, headers=[("Accept-Encoding", "gzip")])
    assert (answer.status, answer.error) == (500, None)
    assert SECRET.encode() not in answer.body
