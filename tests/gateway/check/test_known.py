"""A file of known violations fails a run for what is new, and for what is gone."""

from pathlib import Path

import pytest

from gateway.check.known import read_known
from gateway.errors import ConfigurationError

ENTRY = """
[[violation]]
rule = "P69"
reason = "sends the headers with an empty block"
upstream = "https://example.org/issues/1"
since = 2026-11-29
"""


def known(folder: Path, text: str) -> Path:
    file = folder / "known.toml"
    file.write_text(text, "utf-8")
    return file


def test_a_file_and_an_option_name_the_rules_to_ignore(tmp_path: Path) -> None:
    read = read_known(known(tmp_path, ENTRY), {"E09": "Django keeps the case"})
    assert read.reasons == {"P69": "sends the headers with an empty block", "E09": "Django keeps the case"}


def test_only_an_entry_of_the_file_is_stale_if_its_rule_was_checked_and_kept(tmp_path: Path) -> None:
    read = read_known(known(tmp_path, ENTRY), {"E09": "Django keeps the case"})
    assert read.stale({"P69"}) == []
    assert read.stale(set(), checked={"P43"}) == []
    [message] = read.stale(set(), checked={"P69"})
    assert "rule P69 is kept now (sends the headers with an empty block); remove it" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[violation]]\nrule = 'P69'", "needs a reason for the rule 'P69'"),
        ("[[violation]]\nreason = 'why'", "needs rule and reason"),
        ("[[violation]]\nrule = 'P999'\nreason = 'why'", "unknown rule 'P999'"),
        ("[[violation]]\nrule = 'P69'\nreason = 'why'\nwho = 'me'", "needs rule and reason"),
        (ENTRY + ENTRY, "several entries for the rule P69"),
        ("rules = []", "only \\[\\[violation\\]\\] tables"),
        ("[[violation", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_known(known(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the known violations"):
        read_known(tmp_path / "nothing.toml")
