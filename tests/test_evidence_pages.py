"""The pages of measurements hold what the programs of `tests/evidence` would write; nothing is measured here."""

from __future__ import annotations

import json
import re

import pytest

from gateway.rules import RULES
from tests.evidence.anchors import report
from tests.evidence.applications import page as applications_page
from tests.evidence.applications.expected import EXPECTED
from tests.evidence.applications.runner import seats
from tests.evidence.applications.script import applications
from tests.evidence.django_postgresql import page as postgresql_page
from tests.evidence.django_postgresql.measure import SEATS, WAYS
from tests.evidence.django_tests import __main__ as django_tests
from tests.evidence.django_tests.expected import EXPECTED as FAILING
from tests.evidence.django_tests.inside import MODES
from tests.evidence.field import page as field
from tests.evidence.field.cases import CASES
from tests.evidence.field.findings import NOT_COUNTED
from tests.evidence.field.record import load
from tests.evidence.layers import page as layers_page
from tests.evidence.layers.isolation import SEATS as SLOW_SEATS
from tests.evidence.layers.losses import SEATS as ROLLED
from tests.evidence.layers.scaling import CHANGES, SIZES
from tests.evidence.silence import __main__ as silence

ANCHORS = report.load()


def test_the_field_report_is_that_of_its_record() -> None:
    for path, text in field.pages(load()).items():
        assert path.read_text(encoding="utf-8") == text, "run python -m tests.evidence.field --pages"
    pages = {path for path in field.pages(load()) if path.parent == field.FOLDER}
    assert set(field.FOLDER.glob("*.md")) == pages
    report = field.PAGE.read_text(encoding="utf-8")
    assert [case.id for case in CASES if case.quote not in report] == []
    assert [sentence for sentence in NOT_COUNTED if sentence not in report] == []


def test_a_case_of_the_field_report_names_a_rule_of_ours() -> None:
    assert [case.id for case in CASES if case.rule and case.rule not in RULES] == []


def test_the_page_of_the_applications_has_every_application_and_every_request() -> None:
    text = applications_page.PAGE.read_text(encoding="utf-8")
    every = list(applications().values())
    results = re.findall(r"^\| ([^|]+) \| [^|]+ \| (?:WSGI|ASGI) \| (\d+) \|.*\| none \|$", text, flags=re.MULTILINE)
    assert results == [(each.title, str(len(each.steps))) for each in every]
    assert [step.name for each in every for step in each.steps if f"| {step.name} |" not in text] == []
    served = {seat.server for each in every for seat in seats(each)}
    listed = [entry for entry in EXPECTED if served & set(entry.servers)]
    assert [entry.name for entry in listed if f"| {entry.name} |" not in text or entry.reason not in text] == []
    assert [sentence for each in every for sentence in each.instead.values() if sentence not in text] == []


def test_the_page_of_djangos_tests_has_every_mode_and_every_test_that_fails() -> None:
    text = django_tests.PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| \d+ \| \d+ \| \d+ \| (\d+) \|", text, flags=re.MULTILINE))
    alone = int(rows[MODES["native"]])  # of the machine
    assert rows == {meaning: str(alone + len(FAILING.get(mode, ()))) for mode, meaning in MODES.items()}
    assert [
        test for tests in FAILING.values() for test, why in tests.items() if f"| `{test}` | {why} |" not in text
    ] == []


def test_the_page_of_django_with_postgresql_has_every_way_under_every_server() -> None:
    text = postgresql_page.PAGE.read_text(encoding="utf-8")
    sections = {"In process": list(WAYS)}
    for seat in SEATS:
        sections.setdefault(seat.server, []).append(seat.way)
    for title, ways in sections.items():
        section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (.+?) \| [\d,]+(?: / [\d,]+)? \|", section, flags=re.MULTILINE)
        assert rows == [postgresql_page.NAMES[way] for way in ways]


def test_the_comparison_has_a_row_for_every_case_and_every_peer_and_no_other_row() -> None:
    cases = {case.id: {report.key(peer): (peer.configured, peer.named) for peer in case.peers} for case in report.CASES}
    rows = {
        id: {name: (peer["configured"], peer["named"]) for name, peer in found["peers"].items()}
        for id, found in ANCHORS["cases"].items()
    }
    assert rows == cases, "run python -m tests.evidence.anchors"


def test_the_page_of_the_comparison_shows_the_rows() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    assert page == report.render(ANCHORS), "run python -m tests.evidence.anchors --page"


@pytest.mark.parametrize(
    "name",
    ["correct-software", "django-postgresql", "django-tests", "field-report", "measurements", "real-applications"],
)
def test_a_page_of_evidence_begins_with_three_numbers_and_bars(name: str) -> None:
    text = (field.PAGE.parent / f"{name}.md").read_text(encoding="utf-8")
    head = text.partition("\n## ")[0]
    table = re.search(r"^\| (.+?) \| (.+?) \| (.+?) \|\n\|---\|---\|---\|\n\| .+ \| .+ \| .+ \|$", head, re.MULTILINE)
    assert table is not None
    assert all(re.match(r"[\d,.]+", number) for number in table.groups())
    assert re.search(r"^\| .+ \| .+ \| [█░]{10} \|$", head[table.end() :], re.MULTILINE)


def test_the_page_of_correct_software_has_the_numbers_of_its_verdicts() -> None:
    assert silence.summary() in (field.PAGE.parent / "correct-software.md").read_text(encoding="utf-8"), (
        "run python -m tests.evidence.silence"
    )


def test_the_page_of_the_layers_has_the_tables_of_every_part() -> None:
    text = layers_page.PAGE.read_text(encoding="utf-8")
    found = json.loads(layers_page.FOUND.read_text(encoding="utf-8"))
    assert text == layers_page.rendered(text, found), "run python -m tests.evidence.layers page"
    assert list(found["isolation"]["figures"]) == [
        f"{front}{seat}" for seat in SLOW_SEATS for front in ("", "NGINX → ")
    ]
    assert list(found["scaling"]["figures"]["sizes"]) == [f"{proxies} × {nodes}" for proxies, nodes in SIZES]
    assert list(found["scaling"]["figures"]["changes"]) == list(CHANGES)
    assert [list(row) for row in found["losses"]["figures"]["nodes"].values()] == [
        list(ways) for ways in ROLLED.values()
    ]


def test_a_drained_restart_in_the_table_of_losses_lost_nothing() -> None:
    figures = json.loads(layers_page.FOUND.read_text(encoding="utf-8"))["losses"]["figures"]
    drained = [row[way] for row in figures["nodes"].values() for way in row if way != "no drain"]
    assert len(drained) > 20
    assert [cell for cell in drained if cell["failed"] or cell["twice"] or cell["undone"] or cell["sent"] < 1000] == []
