import json
import textwrap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from gateway.check.servers import CheckedServer
from gateway.cli._group import group
from gateway.hazards import HAZARDS
from gateway.hazards.server import RULES as SERVER_RULES
from gateway.rules import RULES

ALL_RULES = {*RULES, *(rule.id for rule in SERVER_RULES), *(rule.id for rule in HAZARDS)}
#: The result of a probe that finds nothing.
NOTHING = CheckedServer((), frozenset())


GOOD = """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"hello"]
"""
BAD = """
    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\\r\\nb")]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"hello"})
"""
WARNS = GOOD.replace('b"" if environ["REQUEST_METHOD"] == "HEAD" else ', "")
RAISES = """
    def app(environ, start_response):
        raise ValueError("no database")
"""
CATCH_ALL = """
    async def app(scope, receive, send):
        pass
"""
FAILED_START = """
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Write an application into a module of its own and check it."""
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    name = "checked_" + str(abs(hash(request.node.name)))

    def run(source: str, *arguments: str) -> Result:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return CliRunner().invoke(group, ["check", f"{name}:app", "--app-dir", str(tmp_path), *arguments])

    return run


def rules(result: Result) -> set[str]:
    return {finding["rule"] for finding in json.loads(result.stdout)["findings"]}


def test_a_conformant_application_exits_with_0(check: Any) -> None:
    result = check(GOOD)
    assert (result.exit_code, result.output.splitlines()[-1].endswith("0 errors, 0 warnings")) == (0, True)


def test_a_violation_exits_with_1_and_names_the_rule(check: Any) -> None:
    result = check(BAD, "--format", "json")
    assert (result.exit_code, rules(result)) == (1, {"E12"})


def test_a_warning_fails_only_where_it_is_asked_for(check: Any) -> None:
    result = check(WARNS, "--format", "json")
    assert (result.exit_code, rules(result)) == (0, {"P10"})


def test_a_warning_fails_with_strict(check: Any) -> None:
    assert check(WARNS, "--strict").exit_code == 1


def test_what_an_application_prints_is_no_part_of_the_report(check: Any) -> None:
    noisy = 'print("imported")\n' + textwrap.dedent(GOOD).replace(
        "    start_response", '    print("called")\n    start_response'
    )
    result = check(noisy, "--format", "json")
    assert json.loads(result.stdout)["findings"] == []
    lines = result.stderr.splitlines()
    assert lines[0] == "imported"
    assert set(lines[1:]) == {"called"}


def test_an_application_that_raises_is_reported(check: Any) -> None:
    result = check(RAISES, "--format", "json")
    assert (result.exit_code, rules(result)) == (1, {"raised"})


def test_an_application_that_takes_every_protocol_is_reported(check: Any) -> None:
    result = check(CATCH_ALL, "--format", "json")
    assert result.exit_code == 1
    assert {"C08", "E19", "L05"} <= rules(result)


def test_a_failed_startup_is_reported_and_nothing_requested(check: Any) -> None:
    result = check(FAILED_START)
    assert result.exit_code == 1
    assert "no database" in result.output


def test_an_application_that_is_not_there_exits_with_2() -> None:
    result = CliRunner().invoke(group, ["check", "no_such_module:app"])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workers", "2"),
        ("--bind", "unix:/run/shop.sock"),
        ("--idle-timeout", "60"),
        ("--stop-signal", "SIGINT"),
        ("--", "--keep-alive", "75"),
    ],
    ids=" ".join,
)
def test_what_is_said_of_a_deployment_without_its_server_is_refused(check: Any, arguments: tuple[str, ...]) -> None:
    result = check(GOOD, *arguments)
    assert (result.exit_code, "name it with --server" in result.output) == (2, True)
    assert arguments[-2] in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "a b"),
        ("--paths", "cart"),
        ("--paths", "/日"),
        ("--idle-timeout", "0"),
        ("--stop-signal", "SIGFOO"),
        ("--bind", ":a"),
    ],
    ids=" ".join,
)
def test_a_value_that_cannot_be_exits_with_2(check: Any, arguments: tuple[str, str]) -> None:
    result = check(GOOD, "--server", "wsgiref", *arguments)
    assert (result.exit_code, arguments[1] in result.output) == (2, True)


def test_a_broken_message_is_the_application_s_fault_alone(check: Any) -> None:
    source = BAD.replace('b"hello"})', '"hello"})').replace("a\\\\r\\\\nb", "a")
    assert "hello" in source
    result = check(source, "--format", "json")
    assert {finding["side"] for finding in json.loads(result.stdout)["findings"]} == {"application"}
    assert "E16" in rules(result)


GUARDED = """
    from gateway import Gateway, path_in, when
    from gateway.middleware import HttpsRedirect, TrustedHost

    def plain(environ, start_response):
        url = environ["wsgi.url_scheme"] + "://" + environ["HTTP_HOST"] + environ["PATH_INFO"]
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Bad", url + "\\r\\n")])
        return []

    async def live(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-bad", b"\\r\\n")]})
        await send({"type": "http.response.body"})

"""
CHAINS = {
    "trusted-host": "TrustedHost(allowed=['example.org', 'example.com'])",
    "below": "TrustedHost(allowed=['*.example.org'])",
    "port": "TrustedHost(allowed=['example.org:8443'])",
    "any": "TrustedHost(allowed=['*'])",
    "localhost": "TrustedHost(allowed=['example.org', 'localhost'])",
    "conditional": "when(path_in('/'), TrustedHost(allowed=['example.org']))",
    "https": "TrustedHost(allowed=['example.org']), HttpsRedirect()",
}


@pytest.mark.parametrize("app", ["plain", "live"])
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_the_check_asks_as_a_client_that_the_chain_lets_through(check: Any, chain: str, app: str) -> None:
    source = GUARDED + f"    app = Gateway({app}, middleware=[{chain}])\n"
    result = check(source, "--format", "json")
    assert (result.exit_code, rules(result)) == (1, {"P17" if app == "plain" else "E12"})


@pytest.mark.parametrize("app", ["plain", "live"])
def test_a_check_that_does_not_reach_the_application_says_so(check: Any, app: str) -> None:
    source = GUARDED + f"    app = Gateway({app}, middleware=[TrustedHost(allowed=['example.org'])])\n"
    result = check(source, "--host", "other.example", "--paths", "/a%20b?x=1", "--format", "json")
    assert (result.exit_code, rules(result)) == (0, {"unreached"})
    [finding] = json.loads(result.stdout)["findings"]
    assert finding["found"] == "http://other.example/a%20b?x=1, and a middleware answered it"
    assert check(source, "--host", "other.example", "--strict").exit_code == 1


def test_one_error_is_counted_as_one(check: Any) -> None:
    assert check(BAD).output.splitlines()[-1].endswith(": 1 error, 0 warnings")


def test_what_was_raised_is_told_with_its_place(check: Any) -> None:
    assert "GET /: ValueError: no database (" in (said := check(RAISES).output)
    assert ".py, line 3)" in said


def test_neither_application_nor_server_exits_with_2() -> None:
    assert CliRunner().invoke(group, ["check"]).exit_code == 2


def test_process_1_and_kept_connections_are_judged_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.check.check_server", lambda server: NOTHING)  # the probe has tests of its own

    def found(*arguments: str) -> set[str]:
        return rules(CliRunner().invoke(group, ["check", "--format", "json", "--server", *arguments]))

    assert "D11" in found("waitress", "--process-1")
    assert "D11" not in found("waitress", "--process-1", "--stop-signal", "SIGINT")
    assert "D12" in found("pyuwsgi", "--idle-timeout", "60", "--", "--lazy-apps")
    assert "D12" not in found("pyuwsgi", "--idle-timeout", "60", "--", "--add-header", "Connection: close")


def test_what_is_said_of_process_1_without_its_server_is_refused(check: Any) -> None:
    result = check(GOOD, "--process-1")
    assert (result.exit_code, "--process-1" in result.output) == (2, True)


def test_an_unknown_server_exits_with_2(check: Any) -> None:
    assert check(GOOD, "--server", "unicorn").exit_code == 2


def test_requests_with_a_body_are_sent_if_they_are_asked_for(check: Any) -> None:
    source = GOOD.replace(
        "    start_response(",
        '    assert environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS")\n        start_response(',
    )
    assert check(source).exit_code == 0
    result = check(source, "--bodies")
    assert result.exit_code == 1
    assert "PROPFIND /: AssertionError" in result.output


def test_every_path_is_requested(check: Any) -> None:
    source = GOOD.replace('"200 OK"', '"200 OK" if environ["PATH_INFO"] == "/" else "200"')
    assert check(source, "--paths", "/").exit_code == 0
    assert check(source, "--paths", "/", "--paths", "/a%20b?x=1").exit_code == 1


def test_junit_has_a_case_for_every_rule_and_a_failure_for_each_broken_one(check: Any) -> None:
    suite = ElementTree.fromstring(check(BAD, "--format", "junit").stdout)
    assert {case.get("name") for case in suite} == ALL_RULES
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["E12"]
    assert suite.get("failures") == "1"
    skipped = {case.get("name") for case in suite if case.find("skipped") is not None}
    assert {"E02", "D01", "P01"} <= skipped  # the server's, the deployment's, the other interface's
    assert not skipped & {"E06", "E07", "E12", "E19"}


def test_an_ignored_rule_is_reported_with_its_reason_and_fails_nothing(check: Any) -> None:
    result = check(BAD, "--ignore", "E12=an old client needs it")
    assert (result.exit_code, "ignored E12  an old client needs it" in result.output) == (0, True)
    assert check(BAD, "--ignore", "E12").exit_code == 2


def test_a_known_violation_fails_no_check(check: Any, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[[violation]]\nrule = "E12"\nreason = "an old client needs it"\n', "utf-8")
    assert check(BAD, "--known", str(known)).exit_code == 0


def test_a_stale_entry_of_the_known_violations_fails_the_check(check: Any, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[[violation]]\nrule = "E12"\nreason = "an old client needs it"\n', "utf-8")
    result = check(BAD.replace("\\r\\n", ""), "--known", str(known))
    assert (result.exit_code, "stale" in result.output) == (1, True), result.output


def test_a_command_needs_the_interface() -> None:
    result = CliRunner().invoke(group, ["check", "--server", "server {port} {app}"])
    assert (result.exit_code, "needs --interface" in result.output) == (2, True)


def test_sarif_has_the_rules_and_the_results(check: Any) -> None:
    run = json.loads(check(BAD, "--format", "sarif").stdout)["runs"][0]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == ALL_RULES
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [("E12", "error")]


@pytest.mark.parametrize(
    ("server", "broken"),
    [
        pytest.param("uvicorn", {"E13"}, marks=pytest.mark.slow),  # it sends the application's Transfer-Encoding
        pytest.param("waitress", set(), marks=pytest.mark.slow),
        pytest.param("granian-asgi", {"H11", "H12", "W20"}, marks=pytest.mark.slow),  # ports are str
    ],
)
def test_a_server_is_probed(server: str, broken: set[str]) -> None:
    result = CliRunner().invoke(group, ["check", "--server", server, "--stop-signal", "SIGINT", "--format", "json"])
    assert broken <= rules(result), result.output
    assert result.exit_code == (1 if broken else 0), result.output


BEHIND_A_CHAIN = """
    from gateway import Gateway
    from gateway.middleware import behind_load_balancer

    def inside(environ, start_response):
        raise ValueError("no database")

    def chain(*hosts):
        return behind_load_balancer(hosts=hosts, trust=("10.0.0.0/8",), errors=None)

    app = Gateway(inside, middleware=chain({hosts}))
"""
ASGI_BEHIND_A_CHAIN = BEHIND_A_CHAIN.replace(
    "def inside(environ, start_response)", "async def inside(scope, receive, send)"
)


@pytest.mark.parametrize("hosts", ['"*"', '"shop.example"', '"*.shop.example", "shop.example"', '"shop.example:8443"'])
@pytest.mark.parametrize("source", [BEHIND_A_CHAIN, ASGI_BEHIND_A_CHAIN], ids=["wsgi", "asgi"])
def test_requests_pass_the_chain_of_a_preset(check: Any, source: str, hosts: str) -> None:
    result = check(source.format(hosts=hosts))
    assert (result.exit_code, "GET /: ValueError: no database" in result.stdout) == (1, True)


def test_one_run_writes_reports_of_several_formats(check: Any, tmp_path: Path) -> None:
    junit, badge = tmp_path / "conformance.xml", tmp_path / "badge.json"
    result = check(BAD, "--format", "markdown", "--report", f"junit={junit}", "--report", f"badge={badge}")
    assert result.exit_code == 1
    assert result.stdout.startswith("# Conformance of")
    assert ElementTree.parse(junit).getroot().get("failures") != "0"
    assert json.loads(badge.read_text("utf-8"))["schemaVersion"] == 1


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("junit", "'junit' must be FORMAT=FILE"),
        ("xml=a.xml", "must be FORMAT=FILE with one of the formats text, json"),
        ("json=", "must be FORMAT=FILE"),
        ("json=no/such/folder/a.json", "--report cannot write no/such/folder/a.json"),
    ],
)
def test_a_report_that_cannot_be_written_is_an_error(check: Any, report: str, message: str) -> None:
    result = check(GOOD, "--report", report)
    assert result.exit_code == 2
    assert message in result.output


def test_a_check_of_files_writes_reports(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text("http { server { location / { proxy_pass http://127.0.0.1:8000; } } }\n", "utf-8")
    report = tmp_path / "report.json"
    result = CliRunner().invoke(group, ["check", str(conf), "--format", "json", "--report", f"json={report}"])
    assert json.loads(report.read_text("utf-8")) == json.loads(result.stdout)
