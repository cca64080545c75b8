"""The page in the documentation: what was run, with versions, and what was found."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from pathlib import Path

from gateway.servers import get
from tests.evidence.applications.comparison import LEFT_OUT
from tests.evidence.applications.expected import EXPECTED
from tests.evidence.applications.runner import Result, Run, counted, seats
from tests.evidence.applications.script import DUTIES, Application, Step
from tests.evidence.summary import chart, fold, numbers

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "real-applications.md"

_HEAD = """\
# Real applications

This page tests applications as their users run them, each with its database, a user and files.
Each application got the same requests natively and through an adapter, on {date} with Python {python}.
Servers of the application's own interface served it directly; servers of the other interface served \
`Gateway(application)`, without options.
The responses of the first native server are the reference: status, headers (names without case, order, duplicates, \
values) and body must be the same, byte for byte.
One session sends all requests of an application: cookies are kept, forms send the token of the previous page, \
redirects are not followed, and connections are kept if the server keeps them.

To run it again and write this page, install `pip install -e '.[test,applications]'` and run \
`python -m tests.evidence.applications`.
`python -m tests.evidence.applications NAME --servers SERVER` runs a part.

Servers: {servers}.
"""


def page(runs: Sequence[Run], date: datetime.date | None = None) -> str:
    """Render the page."""
    date = date or datetime.datetime.now(datetime.UTC).date()
    used = sorted({seat.server for run in runs for seat in seats(run.application)})
    servers = ", ".join(f"{name} {get(name).version()}" for name in used)
    parts = [_HEAD.format(date=date.isoformat(), python=platform.python_version(), servers=servers)]
    across = sum(map(_crossed, runs))
    unexpected = sum(len(result.differences) for run in runs for result in run.results)
    parts.append(
        numbers(
            (len(runs), "applications"),
            (across, "responses through an adapter"),
            (unexpected, "differences without an explanation"),
        )
    )
    crossed = {run.application.title: _crossed(run) for run in runs}
    parts.append(chart("responses through an adapter", crossed))
    parts += ["## Results\n", *_results(runs), "", "## Requests\n"]
    for run in runs:
        parts += _requests(run.application)
    parts += ["## Differences between servers\n", *_expected(runs), ""]
    parts += ["## Values that are not compared\n", *_not_compared(runs), ""]
    return "\n".join(parts)


def _results(runs: Sequence[Run]) -> list[str]:
    rows = [
        "| application | versions | interface | requests | native | adapter | differences of the adapter |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        native = [result for result in run.results if result.seat.way == "native"]
        crossed = [result for result in run.results if result.seat.way == "crossed"]
        unexpected = sum(len(result.differences) for result in run.results)
        what = f"{run.application.title} | {', '.join(run.application.versions())}"
        size = f"{run.application.interface.upper()} | {len(run.application.steps)}"
        rows.append(f"| {what} | {size} | {_named(native)} | {_named(crossed)} | {unexpected or 'none'} |")
    compared = sum(len(result.answers) for run in runs for result in run.results[1:])
    across = sum(map(_crossed, runs))
    return [*rows, "", f"{compared} responses were compared with the reference, {across} of them through an adapter."]


def _crossed(run: Run) -> int:
    return sum(len(result.answers) for result in run.results if result.seat.way == "crossed")


def _named(results: Sequence[Result]) -> str:
    return ", ".join(result.seat.server for result in results)


def _requests(application: Application) -> list[str]:
    rows = ["| request | what | status | |", "|---|---|---|---|"]
    rows += [f"| {_request(step)} | {step.name} | {step.status} | {step.duty or ''} |" for step in application.steps]
    rows += [""] if application.instead else []
    rows += [f"Instead of {_DUTY_NAMES[duty]}: {application.instead[duty]}" for duty in application.instead]
    return [f"### {application.title}\n", fold(f"{len(application.steps)} requests", "\n".join(rows))]


_DUTY_NAMES = dict(zip(DUTIES, ("a login form", "an upload", "a range", "an error"), strict=True))


def _request(step: Step) -> str:
    path = step.path if len(step.path) < 60 else f"{step.path[:57]}..."
    return f"`{step.method} {path}`".replace("|", "\\|")


def _expected(runs: Sequence[Run]) -> list[str]:
    rows = [
        "None of these differences changes the content of a response: the server also shows them natively, or decides "
        "itself how the body is transferred. Apart from them, every byte was the same.\n",
        "| difference | server | effect | responses |",
        "|---|---|---|---|",
    ]
    seen = counted(runs)
    named = {result.seat.server for run in runs for result in run.results}
    for entry in EXPECTED:
        if entry.name in seen:
            servers = ", ".join(name for name in entry.servers if name in named)
            rows.append(f"| {entry.name} | {servers} | {entry.reason} | {seen[entry.name]} |")
    return rows


def _not_compared(runs: Sequence[Run]) -> list[str]:
    rows = ["| value | where | applications | why |", "|---|---|---|---|"]
    for entry in LEFT_OUT:
        rows.append(f"| {', '.join(sorted(entry.names))} | header | all | {entry.reason} |")
    titles: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        for rule in run.application.volatile:
            titles.setdefault((rule.name, rule.where, rule.reason), []).append(run.application.title)
    rows += [
        f"| {name} | {where} | {', '.join(dict.fromkeys(applications))} | {reason} |"
        for (name, where, reason), applications in titles.items()
    ]
    return [
        *rows,
        "",
        "Each of these values is replaced by its name, so that its position is still compared and a missing "
        "value is noticed.",
    ]
