"""Generate the page ``docs/reference/deployment-rules.md`` from the tables."""

from __future__ import annotations

from gateway.hazards import HAZARDS, PLATFORMS, Numbers
from gateway.hazards.server import RULES

__all__ = ["deployment_rules"]


def deployment_rules() -> str:
    """Return the page as MyST text."""
    numbers = Numbers()
    lines = [
        "<!-- Made by `python -m gateway.hazards`; do not edit. -->",
        "# Rules of a deployment",
        "",
        "`gateway generate` computes every value by these rules, and `gateway check FILE...` finds files that break",
        "them.",
        "The column *default* has the values for the default numbers: the longest request takes "
        f"{numbers.longest_request} s, the drain {numbers.drain} s.",
        "",
        "## Files that must agree",
        "",
        "| id | rule | default | files cannot show | source |",
        "|---|---|---|---|---|",
    ]
    for rule in HAZARDS:
        values = ", ".join(f"`{name}` {_shown(getattr(numbers, name))}" for name in rule.computes)
        lines.append(f"| {rule.id} | {rule.sentence} | {values} | {rule.unseen} | {rule.source} |")
    lines += [
        "",
        "## Proxies and platforms",
        "",
        "The first number is fixed by the platform or usual for it.",
        "The second one follows from it by R1.",
        "",
        "| platform | keeps an idle connection | keep-alive of the server | waits for a response | stops within | "
        "source |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in PLATFORMS.items():
        response = f"{each.response} s" if each.response is not None else "as configured"
        stop = f"{each.stop} s" if each.stop is not None else "as configured"
        title = each.title[0].upper() + each.title[1:]
        lines.append(
            f"| {title} (`{name}`) | {each.idle} s | {each.keep_alive} s | {response} | {stop} | {each.source} |"
        )
    lines += [
        "",
        "## One server",
        "",
        "`gateway check MODULE:APP --server NAME` judges a server, its arguments and the chain by these rules.",
        "",
        "| id | rule | side | | source |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {r.id} | {r.sentence} | {r.side} | {r.severity} | {r.source} |" for r in RULES]
    return "\n".join([*lines, ""])


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # strings
