"""Write the result of a matrix as JSON, Markdown, or one HTML page without other files.

Known differences are grouped by their quirk, because one habit of a server shows in several requests.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.matrix._compare import Quirk
from gateway.matrix._run import Configuration, Matrix

__all__ = ["as_dict", "as_html", "as_markdown", "explained", "known_quirks", "rows", "sections", "summary"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; } .unknown { color: #b00020; font-weight: 600; } .same { color: #1b7f3b; }
code { font-size: .9em; overflow-wrap: anywhere; } :root { color-scheme: light dark; }
"""
_COLUMNS = ("configuration", "version", "calls it as", "requests", "identical", "known", "unknown")


def summary(matrix: Matrix) -> str:
    """Return the result in one sentence."""
    count = len(matrix.configurations)
    requests = sum(each.requests for each in matrix.configurations)
    known = sum(len(each.differences) - len(each.unknown) for each in matrix.configurations)
    return (
        f"{count} configurations, {requests} responses in {matrix.seconds:.0f} s: {known} differences are known, "
        f"{matrix.unknown} unknown; {len(matrix.stale)} known quirks did not show."
    )


def explained(configuration: Configuration) -> dict[str, list[str]]:
    """Return each reason of the known differences, with the requests that showed it."""
    found: dict[str, list[str]] = {}
    for each in configuration.differences:
        if each.quirk is not None:
            names = found.setdefault(each.quirk.why, [])
            if each.request not in names:
                names.append(each.request)
    return found


def rows(matrix: Matrix) -> Iterator[tuple[str, ...]]:
    """Yield the row of each configuration, as text."""
    for each in matrix.configurations:
        different = {difference.request for difference in each.differences}
        yield (
            each.name,
            " > ".join(filter(None, (each.proxy_version, each.version))),
            each.interface.upper(),
            str(each.requests),
            str(each.requests - len(different)),
            str(len(each.differences) - len(each.unknown)),
            "did not start" if each.failure else str(len(each.unknown)),
        )


def as_dict(matrix: Matrix) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        "application": matrix.reference.target,
        "interface": matrix.reference.interface,
        "seconds": round(matrix.seconds, 1),
        "unknown": matrix.unknown,
        "configurations": [
            {
                "server": each.server,
                "version": each.version,
                "interface": each.interface,
                "proxy": each.proxy or None,
                "proxy_version": each.proxy_version or None,
                "requests": each.requests,
                "failure": each.failure or None,
                "differences": [
                    {
                        "request": difference.request,
                        "point": difference.point,
                        "expected": difference.expected,
                        "found": difference.found,
                        "known": difference.quirk.why if difference.quirk else None,
                    }
                    for difference in each.differences
                ],
            }
            for each in matrix.configurations
        ],
        "stale": [
            {"server": each.name, "request": each.request, "point": each.quirk.point, "why": each.quirk.why}
            for each in matrix.stale
        ],
    }


def as_markdown(matrix: Matrix) -> str:
    """Return the result as Markdown: the table, the reasons, what is unknown and what is stale."""
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows(matrix)]
    lines += ["", summary(matrix), ""]
    for heading, entries in sections(matrix):
        lines += [f"**{heading}**", "", *(f"- {_escaped(entry)}" for entry in entries), ""]
    return "\n".join(lines)


def as_html(matrix: Matrix) -> str:
    """Return the result as one HTML page that needs no other file."""
    title = html.escape(f"{matrix.reference.target} under every server")
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    body = "".join(
        f"<tr>{''.join(_cell(*cell) for cell in zip(_COLUMNS, row, strict=True))}</tr>" for row in rows(matrix)
    )
    lists = "".join(
        f"<h2>{html.escape(heading)}</h2><ul>{''.join(f'<li>{html.escape(entry)}</li>' for entry in entries)}</ul>"
        for heading, entries in sections(matrix)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{html.escape(summary(matrix))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{lists}</html>\n"
    )


def _cell(column: str, text: str) -> str:
    number = text.isdecimal()
    mark = {"unknown": "unknown" if text != "0" else "same"}.get(column, "")
    return f'<td class="{"number " * number}{mark}">{html.escape(text)}</td>'


def sections(matrix: Matrix) -> Iterator[tuple[str, Sequence[str]]]:
    unknown = [f"{each.name}: {difference}" for each in matrix.configurations for difference in each.unknown]
    unknown += [f"{each.name} did not start: {each.failure}" for each in matrix.configurations if each.failure]
    if unknown:
        yield "Unknown differences", unknown
    reasons: dict[str, list[str]] = {}
    for each in matrix.configurations:
        for why in explained(each):
            reasons.setdefault(why, []).append(each.name)
    if reasons:
        yield "Known differences", [f"{why} ({', '.join(names)})" for why, names in reasons.items()]
    if matrix.stale:
        yield (
            "Known quirks that did not show",
            [f"{each.name}, {each.request}, {each.quirk.point}: {each.quirk.why}" for each in matrix.stale],
        )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\r", "\\r").replace("\n", "\\n")


def known_quirks(quirks: Sequence[Quirk]) -> Iterator[str]:
    """Yield the rows of a Markdown table of quirks, one for each reason."""
    yield "| behaviour | servers and proxies | requests that show it | value |"
    yield "|---|---|---|---|"
    reasons: dict[str, list[Quirk]] = {}
    for quirk in quirks:
        reasons.setdefault(quirk.why, []).append(quirk)
    for why, group in reasons.items():
        servers = dict.fromkeys(
            f"`{name}`{f' {versions}' if versions else ''}"
            for quirk in group
            for name, versions in quirk.servers.items()
        )
        requests = dict.fromkeys(name for quirk in group for name in quirk.requests)
        values = dict.fromkeys(f"{quirk.point}: `{quirk.value}`" for quirk in group)
        yield (
            f"| {_escaped(why)} | {', '.join(servers)} | {', '.join(requests)} "
            f"| {'; '.join(_escaped(value) for value in list(values)[:3])} |"
        )
