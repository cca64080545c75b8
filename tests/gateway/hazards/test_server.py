import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.application import Gateway
from gateway.errors import ProtocolViolation
from gateway.hazards.server import RULES, ServedDeployment, facts, hazards
from gateway.servers import Launch, get
from tests.gateway.rules.cases import Case, shows


class Result:
    def __init__(self, deployment: ServedDeployment) -> None:
        found = hazards(deployment)
        self.violations: list[ProtocolViolation] = [violation for violation, error in found if error]
        self.warnings: list[ProtocolViolation] = [violation for violation, error in found if not error]
        self.found = [*self.violations, *self.warnings]
        self.validator = self


def deployed(server: str, *arguments: str, **more: Any) -> Callable[[str], Result]:
    return lambda mode: Result(ServedDeployment(server=server, arguments=arguments, **more))


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
METRICS = {"PROMETHEUS_MULTIPROC_DIR": "/run/metrics"}
KEEPS = "--no-clear-untrusted-proxy-headers"
UWSGI = ("--socket=/run/app.sock", "--enable-threads", "--lazy-apps")
OLD_UWSGI = deployed("uwsgi", UWSGI[0], version="2.0.26")
DRAINS = "gateway.servers._drain_on_sigterm"
KEPT = ("--http-socket", ":8000", *UWSGI[1:])

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
    Case(
        "D05",
        deployed("gunicorn", settings={"keepalive": "2"}, idle_timeout=60),
        deployed("gunicorn", settings={"keepalive": "75"}, idle_timeout=60),
        "configuration-file",
    ),
    Case(
        "D05",
        deployed("gunicorn", kind="gunicorn-gthread", idle_timeout=60),
        deployed("gunicorn", kind="gunicorn-sync", idle_timeout=60),
        "no-keep-alive-at-all",
    ),
    Case(
        "D04",
        deployed("gunicorn", settings={"forwarded_allow_ips": "['*']"}),
        deployed("gunicorn", settings={"forwarded_allow_ips": "['127.0.0.1']"}),
        "configuration-file",
    ),
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
    Case(
        "D10",
        deployed("pyuwsgi", *UWSGI, unix_socket=True),
        deployed("pyuwsgi", *UWSGI, "--chmod-socket=660", unix_socket=True),
        "pyuwsgi",
    ),
    Case(
        "D13",
        deployed("waitress", reads_forwarded=True, stop_signal="SIGINT"),
        deployed("waitress", KEEPS, reads_forwarded=True, stop_signal="SIGINT"),
        "waitress",
    ),
    Case(
        "D13",
        deployed("waitress", KEEPS, "--trusted-proxy=10.0.0.1", reads_forwarded=True, stop_signal="SIGINT"),
        deployed("waitress", "--trusted-proxy=10.0.0.1", stop_signal="SIGINT"),
        "waitress-trusts-itself",
    ),
    Case(
        "D13",
        deployed("uvicorn", reads_forwarded=True),
        deployed("uvicorn", "--no-proxy-headers", reads_forwarded=True),
        "uvicorn",
        minor=True,
    ),
    Case(
        "D13",
        deployed("uvicorn", "--forwarded-allow-ips=*", reads_forwarded=True, unix_socket=True),
        deployed("uvicorn", reads_forwarded=True, unix_socket=True),
        "uvicorn-on-a-unix-socket",
        minor=True,
    ),
    Case(
        "D13",
        deployed("daphne", "--proxy-headers", reads_forwarded=True, stop_signal="SIGINT"),
        deployed("daphne", reads_forwarded=True, stop_signal="SIGINT"),
        "daphne",
        minor=True,
    ),
    Case(
        "D14",
        deployed("gunicorn", kind="gunicorn-gthread", has_lifespan=True),
        deployed("gunicorn", kind="gunicorn-gthread", has_lifespan=True, settings={"hooks": "yes"}),
        "lifespan",
    ),
    Case(
        "D14",
        deployed("gunicorn", kind="gunicorn-sync", drains_by_signal=True),
        deployed("gunicorn", kind="gunicorn-asgi", drains_by_signal=True, has_lifespan=True),
        "drain",
    ),
    Case(
        "D14",
        deployed("gunicorn", kind="gunicorn-asgi", counts=True, environment=METRICS),
        deployed("gunicorn", kind="gunicorn-asgi", counts=True),
        "metrics",
    ),
    Case(
        "D14",
        deployed("pyuwsgi", *UWSGI, has_lifespan=True),
        deployed("pyuwsgi", *UWSGI, "--import", "gateway.servers.uwsgi_hooks", has_lifespan=True),
        "uwsgi",
    ),
    Case(
        "D15",
        deployed("granian", counts=True, environment=METRICS, metrics_folder="does not exist and cannot be created"),
        deployed("granian", counts=True, environment=METRICS),
        "absent",
    ),
    Case(
        "D15",
        deployed(
            "gunicorn", counts=True, environment=METRICS, metrics_folder="cannot be written", settings={"hooks": "yes"}
        ),
        deployed("gunicorn", counts=False, environment=METRICS, metrics_folder="cannot be written"),
        "without-metrics",
    ),
    Case(
        "D16",
        deployed("gunicorn", "--keep-alive", "75", kind="gunicorn-asgi"),
        deployed("gunicorn", "--keep-alive", "75", kind="gunicorn-asgi", settings={"hooks": "yes"}),
        "hooks",
    ),
    Case(
        "D16",
        deployed("gunicorn", kind="gunicorn-asgi", settings={"keepalive": "75", "graceful_timeout": "30"}),
        deployed("gunicorn", kind="gunicorn-asgi", settings={"keepalive": "75", "graceful_timeout": "80"}),
        "configuration-file",
    ),
    Case(
        "D16",
        deployed("gunicorn", "--keep-alive=30", kind="gunicorn-asgi"),
        deployed("gunicorn", "--keep-alive=75", kind="gunicorn-gthread"),
        "other-worker",
    ),
    *(
        Case(
            "D17",
            deployed(server, strips_server=True, stop_signal="SIGINT"),
            deployed(server, option, strips_server=True, stop_signal="SIGINT"),
            server,
        )
        for server, option in (
            ("uvicorn", "--no-server-header"),
            ("waitress", "--ident="),
            ("daphne", "--no-server-name"),
            ("hypercorn", "--config=hypercorn.toml"),
        )
    ),
    Case(
        "D17",
        deployed("uvicorn", strips_server=True),
        deployed("gunicorn", strips_server=True),
        "no-option-for-it",
    ),
    Case("D07", deployed("cheroot"), deployed("cheroot", "-m", DRAINS, "cheroot"), "gateway-run"),
    Case(
        "D11",
        deployed("waitress", process_1=True),
        deployed("waitress", process_1=True, stop_signal="SIGINT"),
    ),
    Case(
        "D11",
        deployed("cheroot", process_1=True),
        deployed("cheroot", "-m", DRAINS, "cheroot", process_1=True),
        "gateway-run",
    ),
    Case(
        "D11",
        deployed("uvicorn", process_1=True, stop_signal="SIGQUIT"),
        deployed("uvicorn", stop_signal="SIGQUIT"),
        "not-process-1",
    ),
    Case(
        "D11",
        deployed("granian", process_1=True, stop_signal="SIGHUP"),
        deployed("gunicorn", process_1=True, stop_signal="SIGQUIT"),
        "others",
    ),
    Case("D12", deployed("pyuwsgi", *KEPT, idle_timeout=60), deployed("pyuwsgi", *UWSGI, idle_timeout=60)),
]
#: What a reader of each finding is told: both settings, and the remedy.
REMEDIES = [
    ("D04", deployed("uvicorn", "--forwarded-allow-ips", "*"), ("'*'", "name the addresses")),
    (
        "D05",
        deployed("uvicorn", idle_timeout=60),
        ("after 5 s", "the load balancer after 60 s", "set --timeout-keep-alive above 60"),
    ),
    ("D06", deployed("hypercorn", workers=4), ("4 workers", "several instances")),
    ("D07", deployed("waitress"), ("SIGTERM", "stop it with SIGINT")),
    ("D07", deployed("daphne"), ("daphne drops", "drain_file")),
    ("D13", deployed("waitress", reads_forwarded=True), ("removes X-Forwarded-*", f"waitress without {KEEPS}", "add")),
    ("D13", deployed("uvicorn", reads_forwarded=True), ("trusts 127.0.0.1", "--no-proxy-headers", "request id")),
    (
        "D14",
        deployed("gunicorn", kind="gunicorn-sync", has_lifespan=True, drains_by_signal=True),
        ("first request", "Health does not get", "add --config python:gateway.servers.gunicorn_hooks"),
    ),
    ("D14", deployed("pyuwsgi", *UWSGI, has_lifespan=True), ("add --import gateway.servers.uwsgi_hooks",)),
    (
        "D15",
        deployed("gunicorn", counts=True, environment=METRICS, metrics_folder="is not a folder"),
        ("PROMETHEUS_MULTIPROC_DIR=/run/metrics", "is not a folder", "create the folder"),
    ),
    (
        "D16",
        deployed("gunicorn", "--keep-alive", "75", kind="gunicorn-asgi"),
        ("--keep-alive 75 s", "--graceful-timeout 30 s", "shutdown does not run", "gunicorn_hooks", "above 75"),
    ),
    ("D17", deployed("uvicorn", strips_server=True), ("sends Server: uvicorn", "add --no-server-header")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_hazard_is_caught_and_its_remedy_silent(case: Case) -> None:
    shows(case)


@pytest.mark.parametrize(("rule", "bad", "words"), REMEDIES, ids=[f"{row[0]}-{row[2][0]}" for row in REMEDIES])
def test_a_finding_says_both_settings_and_what_to_write(
    rule: str, bad: Callable[[str], Result], words: tuple[str, ...]
) -> None:
    (found,) = [violation.found for violation in bad("collect").found if violation.rule == rule]
    assert all(word in found for word in words), found


def test_a_value_that_is_not_a_number_is_left_to_the_server() -> None:
    assert deployed("gunicorn", "--keep-alive", "long", kind="gunicorn-asgi", idle_timeout=60)("collect").found == []


@pytest.mark.parametrize(
    ("arguments", "idle_timeout", "flagged"),
    [
        ((), 60.0, True),
        ((), None, False),  # no proxy keeps a connection
        (("--add-header", "X-Frame-Options: DENY"), 60.0, True),
        (("--add-header", "Connection: close"), 60.0, False),
        (("--add-header=connection: close",), 60.0, False),
    ],
)
def test_a_kept_connection_before_uwsgi_is_a_hazard_unless_it_announces_its_close(
    arguments: tuple[str, ...], idle_timeout: float | None, flagged: bool
) -> None:
    for server in ("uwsgi", "pyuwsgi"):
        seen = hazards(ServedDeployment(server=server, arguments=(*KEPT, *arguments), idle_timeout=idle_timeout))
        assert ("D12" in {violation.rule for violation, _ in seen}) is flagged


def test_the_commands_of_gateway_run_keep_both_rules() -> None:
    for name in ("waitress", "cheroot", "pyuwsgi"):
        command = get(name).command(Launch(target="shop:app"))
        deployment = ServedDeployment(server=name, arguments=command.argv[1:], process_1=True, idle_timeout=60)
        assert {"D07", "D11", "D12"}.isdisjoint(violation.rule for violation, _ in hazards(deployment))


def test_hypercorn_does_take_a_wrapped_gateway_for_what_it_is_not() -> None:
    from hypercorn.utils import is_asgi

    assert is_asgi(wrapped(Gateway(hello)))
    assert not is_asgi(wrapped(hello))


def test_every_rule_has_a_case_that_breaks_it_and_one_that_keeps_it() -> None:
    assert {case.rule for case in CASES} == {rule.id for rule in RULES}
