import re
from pathlib import Path

from gateway.rules import RULES
from gateway.rules.page import conformance

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_the_page_of_the_rules_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == conformance(), "run: python -m gateway.rules > docs/conformance.md"


def test_the_page_has_a_row_for_every_rule() -> None:
    rows = [line.split("|")[1] for line in conformance().splitlines() if line.startswith("| <a")]
    assert [re.sub("<.*?>", "", row).strip() for row in rows] == list(RULES)


def test_each_rule_has_an_address_on_the_page() -> None:
    assert re.findall(r'<a id="(\w+)" href="#\1">\1</a>', conformance()) == list(RULES)
