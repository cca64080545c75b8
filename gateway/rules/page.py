"""Generate the pages ``docs/conformance.md`` and ``docs/sentences.md`` from the tables."""

from __future__ import annotations

from gateway.rules.sentences import SENTENCES, Sentence, places
from gateway.rules.table import Rule
from gateway.rules.tables import RULES, TABLES

__all__ = ["conformance", "sentences"]

_SEEN = {
    "wrapper": "`Validator`",
    "client": "clients",
    "live": "`gateway check`",
}


def conformance() -> str:
    """Return the page as MyST text."""
    errors = sum(rule.severity == "error" for rule in RULES.values())
    lines = [
        "<!-- Made by `python -m gateway.rules`; do not edit. -->",
        "# Conformance rules",
        "",
        f"{len(RULES)} rules; {errors} are errors: the specification says *must*, or a definition leaves no choice.",
        "The others are warnings: the specification says *should*, or it says nothing and a user loses something.",
        "[](sentences.md) lists every *must* and *should* of the specifications with the rules that check it.",
        "A rule is checked by a `Validator` around the application, by a client that knows its own request, or by",
        "`gateway check`, which probes a running server. The rules of a deployment are in",
        "[](reference/deployment-rules.md).",
        "",
        "`wsgiref.validate`, `webtest.lint` or Werkzeug's lint also check the rules whose id begins with V.",
        "",
    ]
    for table in TABLES:
        lines += [
            f"## {table.title}",
            "",
            "| id | rule | side | | checked by | source |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(rule) for rule in table]
        lines.append("")
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    sentence = rule.sentence.replace("|", "\\|")
    seen = _SEEN[rule.seen]
    # A message of a validator names the id, so each id is the address of its row.
    id = f'<a id="{rule.id}" href="#{rule.id}">{rule.id}</a>'
    return f"| {id} | {sentence} | {rule.side} | {rule.severity} | {seen} | {rule.source} |"


_FORCE = {"must": "must", "should": "should", "is": "definition"}


def sentences() -> str:
    """Return the page of the sentences as MyST text."""
    checked = sum(bool(sentence.rules) for sentence in SENTENCES)
    lines = [
        "<!-- Made by `python -m gateway.rules sentences`; do not edit. -->",
        "# Sentences of the specifications",
        "",
        "Every *must*, *must not* and *should* of PEP 3333 and of ASGI, every definition that a rule needs, and the",
        "sentences of RFCs that bind an application or a server here.",
        f"{len(SENTENCES)} sentences: rules check {checked} of them; each other one has the reason why nothing can.",
        "The words in the first column only identify the sentence; read it in the specification.",
        "[](conformance.md) explains the rules.",
        "",
    ]
    source = None
    for sentence in SENTENCES:
        if sentence.source != source:
            source = sentence.source
            lines += ["", f"## {source}", "", "| sentence | | binds | rules | checked by |", "|---|---|---|---|---|"]
        lines.append(_sentence(sentence))
    return "\n".join([*lines, ""])


def _sentence(sentence: Sentence) -> str:
    words = sentence.words.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")
    seen = ", ".join(_SEEN[place] for place in places(sentence))
    last = ". ".join(filter(None, (seen, sentence.reason)))
    side = "nobody" if sentence.side == "-" else "both sides" if sentence.side == "both" else sentence.side
    return f"| … {words} … | {_FORCE[sentence.force]} | {side} | {' '.join(sentence.rules) or '–'} | {last} |"
