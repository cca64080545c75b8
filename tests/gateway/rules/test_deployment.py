import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.application import Gateway
from gateway.errors import ProtocolViolation
from gateway.rules.deployment import Deployment, facts, hazards
from tests.gateway.rules.cases import Case, shows


class Result:
    def __init__(self, deployment: Deployment) -> None:
        found = hazards(deployment)
        self.violations: list[ProtocolViolation] = [violation for violation, error in found if error]
        self.warnings: list[ProtocolViolation] = [violation for violation, error in found if not error]
        self.found = [*self.violations, *self.warnings]
        self.validator = self


def deployed(server: str, *arguments: str, **more: Any) -> Callable[[str], Result]:
    return lambda mode: Result(Deployment(server=server, arguments=arguments, **more))


def judged(app: Any) -> Callable[[str], Result]:
    return lambda mode: Result(facts(app))


def hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return []


def wrapped(app: Any) -> Any:
    @functools.wraps(app)
    def wrapper(environ: Any, start_response: Any) -> Any:
        return app(environ, start_response)

    return wrapper


async def anything(*args: Any, **kwargs: Any) -> None:
    pass


class Failing:
    def __call__(self, *args: Any) -> Any:
        return args[0]["type"]


def importing(start: bool, *arguments: str) -> Callable[[str], Result]:
    """The case of an application whose import starts a thread."""

    def run(mode: str) -> Result:
        before = threading.enumerate()
        release = threading.Event()
        thread = threading.Thread(target=release.wait, name="metrics")
        if start:
            thread.start()
        try:
            seen = facts(hello, before)
        finally:
            release.set()
            if start:
                thread.join()
        return Result(replace(seen, server="gunicorn", arguments=arguments))

    return run


PROXY = {"FORWARDED_ALLOW_IPS": "127.0.0.1, *"}
UWSGI = ("--socket=/run/app.sock", "--enable-threads", "--lazy-apps")
OLD_UWSGI = deployed("uwsgi", UWSGI[0], version="2.0.26")

CASES = [
    Case("D01", judged(wrapped(Gateway(hello))), judged(wrapped(hello)), "wraps"),
    Case("D02", judged(anything), judged(Gateway(hello)), "coroutine"),
    Case("D02", judged(Failing()), judged(hello), "index-error"),
    Case("D03", importing(True, "--preload"), importing(False, "--preload"), "preload"),
    Case("D03", importing(True, "--preload"), importing(True), "no-preload"),
    Case("D04", deployed("uvicorn", "--forwarded-allow-ips", "*"), deployed("uvicorn", "--forwarded-allow-ips=::1")),
    Case("D04", deployed("gunicorn", environment=PROXY), deployed("granian", environment=PROXY), "environment"),
    Case("D04", deployed("daphne", "--proxy-headers"), deployed("daphne", stop_signal="SIGINT"), "daphne"),
    Case(
        "D04",
        deployed("uvicorn", "--forwarded-allow-ips=*"),
        deployed("uvicorn", "--forwarded-allow-ips=*", unix_socket=True),
        "unix-socket",
    ),
    Case("D05", deployed("gunicorn", idle_timeout=60), deployed("gunicorn", "--keep-alive", "75", idle_timeout=60)),
    Case("D05", deployed("uvicorn", "--timeout-keep-alive=60", idle_timeout=60), deployed("uvicorn"), "equal"),
    Case("D06", deployed("hypercorn", "-w", "2"), deployed("hypercorn", "-w", "1")),
    Case("D06", deployed("hypercorn", workers=4), deployed("uvicorn", workers=4), "workers"),
    Case("D07", deployed("waitress"), deployed("waitress", stop_signal="SIGINT")),
    Case("D08", deployed("uwsgi", *UWSGI[1:]), deployed("uwsgi", *UWSGI)),
    Case("D09", deployed("uwsgi", UWSGI[0], version="2.0.26"), deployed("uwsgi", *UWSGI, version="2.0.26")),
    Case(
        "D09", deployed("uwsgi", UWSGI[0], version="2.0.26"), deployed("uwsgi", UWSGI[0], version="2.0.30"), "version"
    ),
    Case(
        "D10",
        deployed("granian", unix_socket=True),
        deployed("granian", "--uds-permissions", "660", unix_socket=True),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_hazard_is_caught_and_its_remedy_silent(case: Case) -> None:
    shows(case)


def test_hypercorn_does_take_a_wrapped_gateway_for_what_it_is_not() -> None:
    from hypercorn.utils import is_asgi

    assert is_asgi(wrapped(Gateway(hello)))
    assert not is_asgi(wrapped(hello))
