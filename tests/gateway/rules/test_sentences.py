"""Every sentence has a rule or a reason, and every error has a sentence that leaves no choice."""

from collections import Counter
from pathlib import Path

import pytest

from gateway.rules import RULES, Rule
from gateway.rules.page import sentences
from gateway.rules.sentences import SENTENCES, Sentence, places
from tests.evidence import sentences as program

PAGE = Path(__file__).parents[3] / "docs" / "sentences.md"
#: Warnings without a sentence, each with what a user loses.
WITHOUT = {
    "P40": "A second close() ends what the application has closed already.",
    "V27": "An iterable that has released its resources fails in a way of its own.",
}


def _name(sentence: Sentence) -> str:
    return f"{sentence.source}: {sentence.words}"[:80]


@pytest.mark.parametrize("sentence", SENTENCES, ids=_name)
def test_a_sentence_has_a_rule_or_the_reason_why_it_has_none(sentence: Sentence) -> None:
    assert sentence.rules or sentence.reason
    assert set(sentence.rules) <= set(RULES)
    assert sentence.side in ("server", "application", "middleware", "client", "both", "-")
    assert not sentence.reason or sentence.reason.endswith(".")
    assert 1 <= len(sentence.words.split()) <= 12, "an identifying quote is short"
    assert bool(places(sentence)) is bool(sentence.rules)


def test_no_sentence_is_listed_twice() -> None:
    names = Counter((sentence.source, sentence.words) for sentence in SENTENCES)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if not rule.id.startswith("D")], ids=lambda r: r.id)
def test_a_rule_is_an_error_only_with_a_must_or_a_definition_behind_it(rule: Rule) -> None:
    behind = {sentence.force for sentence in SENTENCES if rule.id in sentence.rules}
    if rule.severity == "error":
        assert behind & {"must", "is"}
    else:
        assert behind or rule.id in WITHOUT


def test_the_page_of_the_sentences_is_current() -> None:
    assert PAGE.read_text("utf-8") == sentences(), "run: python -m gateway.rules sentences > docs/sentences.md"


TEXT = """\
Details
=======

A server **must** call the application, and
it *should* close the iterable.  It is nice.

* ``name`` (*str*) -- Names must be lowercased. Optional.
"""


def test_the_program_finds_each_sentence_of_a_text_that_is_not_listed() -> None:
    listed = [("PEP 3333, Details", "must call the application")]
    assert program.unlisted(TEXT, listed) == [("Details", "name (str) -- Names must be lowercased.")]


def test_the_program_finds_words_that_are_not_in_the_text() -> None:
    listed = [("PEP 3333, Details", "must call the application"), ("PEP 3333, Details", "must sing")]
    assert program.unknown(TEXT, listed) == [("PEP 3333, Details", "must sing")]
