"""The tables of ``docs/reference/endings.md``. ``python -m tests.gateway.drivers.endings_page`` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.gateway.drivers.disconnects import MOMENTS, REASONS, TABLE
from tests.gateway.drivers.signals import MEANINGS
from tests.gateway.drivers.signals import TABLE as SIGNALS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "endings.md"


def disconnects() -> Iterator[str]:
    yield f"| server | {' | '.join(MOMENTS)} |"
    yield "|---" * (len(MOMENTS) + 1) + "|"
    for name, cells in TABLE.items():
        yield f"| `{name}` | {' | '.join(cells)} |"
    yield ""
    for names, reason in REASONS.items():
        yield f"- {', '.join(f'`{name}`' for name in names.split(', '))}: {reason}"


NAMES = {
    "wsgi": "WSGI",
    "asgi": "ASGI",
    "wsgi in WsgiToAsgi": "WSGI inside `WsgiToAsgi`",
    "asgi in AsgiToWsgi": "ASGI inside `AsgiToWsgi`",
}


def signals() -> Iterator[str]:
    yield "| the application | it is | the client gets | the server gets | `on_finish` | access log | with `Errors` |"
    yield "|---|---|---|---|---|---|---|"
    for signal, meaning in MEANINGS.items():
        rows = [row for row in SIGNALS if row.signal == signal]
        for plain, errors in dict.fromkeys((row.plain, row.errors) for row in rows):
            paths = [NAMES[row.path] for row in rows if (row.plain, row.errors) == (plain, errors)]
            where = "either, also inside an adapter" if len(paths) == len(NAMES) else ", ".join(paths)
            server = "nothing" if plain.server == "-" else f"`{plain.server}`"
            client = "no response" if plain.client == "-" else plain.client
            answer = "the same"
            if errors != plain:
                logged = "" if errors.logged == "-" else f", logged to `{errors.logged}`"
                answer = f"{errors.client}, `{errors.outcome}`{logged}"
            yield f"| {meaning} | {where} | {client} | {server} | `{plain.outcome}` | `{plain.line}` | {answer} |"


PARTS = {"disconnects": disconnects, "signals": signals}


def written(page: str) -> str:
    """Return the page with its tables as they are now."""
    for name, rows in PARTS.items():
        before, begin, rest = page.partition(f"<!-- begin: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        page = before + begin + "\n" + "\n".join(rows()) + "\n\n" + end + after
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
