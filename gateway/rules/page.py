"""Generate the page ``docs/conformance.md`` from the tables."""

from __future__ import annotations

from gateway.rules.table import Rule
from gateway.rules.tables import ASGI_TABLES, RULES, TABLES, WSGI_TABLES

__all__ = ["conformance"]

_SEEN = {
    "wrapper": "`Validator`",
    "client": "clients",
    "live": "`gateway check`",
}


def conformance() -> str:
    """Return the page as MyST text."""
    asgi = sum(len(table.rules) for table in ASGI_TABLES)
    wsgi = sum(len(table.rules) for table in WSGI_TABLES)
    errors = sum(rule.severity == "error" for rule in RULES.values())
    lines = [
        "<!-- Made by `python -m gateway.rules`; do not edit. -->",
        "# Conformance rules",
        "",
        f"{asgi} rules of ASGI, {wsgi} of WSGI and {len(RULES) - asgi - wsgi} of deployment.",
        f"{errors} are errors: the specification says *must*.",
        "The others are warnings: the specification says *should*, or common servers accept it.",
        "A rule is checked by a `Validator` around the application, by a client that knows its own request, or by",
        "`gateway check`, which judges a deployment and probes a running server.",
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
    seen = "`gateway check`" if rule.id.startswith("D") else _SEEN[rule.seen]
    return f"| {rule.id} | {sentence} | {rule.side} | {rule.severity} | {seen} | {rule.source} |"
