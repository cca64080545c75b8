"""The program about correct software finds a violation in a framework's test, and judges it."""

from pathlib import Path

import pytest

from gateway.rules import RULES
from tests.evidence.silence.__main__ import VERDICTS, Finding, judge, page, run, suites

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "correct-software.md"
SUITE = """
import flask

def test_it():
    app = flask.Flask(__name__)

    @app.get("/")
    def hello():
        return flask.Response("hello", headers={"Connection": "close"})

    with app.test_client() as client:
        with client.get("/") as response:
            assert response.data == b"hello"
"""


def test_every_verdict_is_known_and_none_is_false() -> None:
    for name, suite in suites().items():
        for one in suite["finding"]:
            assert set(one) == {"rule", "side", "verdict", "why"}, name
            assert one["rule"] in RULES
            assert one["verdict"] in VERDICTS
            assert one["verdict"] != "false"
            # Noise is a lesser finding; an error is never noise.
            assert one["verdict"] == "true" or RULES[one["rule"]].severity == "warning" or one["rule"] in MINOR


#: Rules whose noise here is a finding that is less severe than its rule.
MINOR = ("E16", "E20", "H07", "H08", "L12", "X10")


def test_the_page_has_the_table() -> None:
    assert page() in PAGE.read_text("utf-8"), "run: python -m tests.evidence.silence"


@pytest.mark.slow
def test_a_framework_runs_behind_the_validator_and_its_test_passes(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(SUITE, "utf-8")
    found, calls = run("flask", tmp_path, "test_app.py")
    assert [(one.rule, one.side) for one in found if one.severity == "error"] == [("P11", "application")]
    assert calls >= 1


def test_a_finding_needs_a_verdict_a_verdict_a_finding_and_a_false_alarm_fails() -> None:
    found = [Finding("P11", "application", "error", 2, "the header connection")]
    verdict = {"rule": "P11", "side": "application", "verdict": "true", "why": "a test"}
    assert judge(found, [verdict]) == []
    assert judge(found, []) == ["no verdict: P11 (application), 2 times: the header connection"]
    assert judge([], [verdict]) == ["stale verdict: P11 (application)"]
    assert judge(found, [{**verdict, "verdict": "false"}]) == ["false alarm: P11 (application): a test"]
