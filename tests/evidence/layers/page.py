"""From the figures, kept in ``found.json``, to the tables in ``docs/explanation/layers.md``, each with its date."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.tiers.deployed import PATH

__all__ = ["FOUND", "PAGE", "TABLES", "keep", "rendered", "write"]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "layers.md"
FOUND = Path(__file__).with_name("found.json")
_PROGRAMS = {"NGINX": ("nginx", "-v"), "HAProxy": ("haproxy", "-v")}
_PACKAGES = ("gunicorn", "uvicorn", "granian", "hypercorn", "waitress", "cheroot", "daphne", "pyuwsgi")


def keep(part: str, figures: object) -> None:
    """Keep the figures of a part, with the date and the versions."""
    found = json.loads(FOUND.read_text("utf-8")) if FOUND.exists() else {}
    versions = {name: _version(*command) for name, command in _PROGRAMS.items()}
    versions |= {name: version(name) for name in _PACKAGES}
    found[part] = {
        "date": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "load": round(os.getloadavg()[2], 1),
        "versions": versions,
        "figures": figures,
    }
    FOUND.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _version(name: str, option: str) -> str:
    done = subprocess.run([str(shutil.which(name, path=PATH)), option], capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else ""


def write() -> None:
    """Write the tables into the page."""
    PAGE.write_text(rendered(PAGE.read_text("utf-8"), json.loads(FOUND.read_text("utf-8"))), "utf-8")


def rendered(page: str, found: Mapping[str, Any]) -> str:
    """Return the page with the tables of each part between its two marks."""
    for part, table in TABLES.items():
        begin, end = f"% begin: python -m tests.evidence.layers {part}\n", f"% end: {part}\n"
        before, mark, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not mark or not closed:
            raise ValueError(f"{PAGE} has no marks of {part}: {begin!r} and {end!r}")
        page = f"{before}{begin}\n{table(found[part])}\n{end}{after}"
    return page


def _measured(kept: Mapping[str, Any], *names: str) -> str:
    versions = ", ".join(f"{name} {kept['versions'][name]}" for name in names)
    return (
        f"Measured on {kept['date']}: {versions}; {kept['system']}, whose mean load was {kept['load']:g}. "
        "The times, the requests per second and the losses without a drain depend on that load.\n"
    )


def _scaling(kept: Mapping[str, Any]) -> str:
    lines = ["| NGINX × nodes | requests/s | p99 | failed of sent |", "|---|---|---|---|"]
    for name, row in kept["figures"]["sizes"].items():
        cells = f"{row['per_second']:,.0f} | {row['p99_ms']:,.0f} ms | {row['failed']:,} of {row['sent']:,}"
        lines.append(f"| {name} | {cells} |")
    lines += ["", "| change under load, 2 × 3 | failed of sent | GETs of these | answered and not done | done twice |"]
    lines.append("|---|---|---|---|---|")
    for name, row in kept["figures"]["changes"].items():
        cells = f"{row['failed']:,} of {row['sent']:,} | {row['failed_gets']} | {row['undone']} | {row['twice']}"
        lines.append(f"| {name} | {cells} |")
    return "\n".join([*lines, "", _measured(kept, "NGINX", "HAProxy", "gunicorn")])


def _isolation(kept: Mapping[str, Any]) -> str:
    lines = ["| deployment | idle, p99 | slow bodies, p99 | slow headers, p99 |", "|---|---|---|---|"]
    for name, row in kept["figures"].items():
        cells = ["no response" if value is None else f"{value:,.0f} ms" for value in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _measured(kept, "NGINX", "gunicorn", "waitress", "uvicorn")])


def _cell(row: Mapping[str, int] | None) -> str:
    return "" if row is None else f"{row['failed']:,} of {row['sent']:,}"


def _losses(kept: Mapping[str, Any]) -> str:
    figures = kept["figures"]
    ways = list(dict.fromkeys(way for row in figures["nodes"].values() for way in row))
    lines = [f"| HAProxy → two nodes of | {' | '.join(ways)} |", f"|---|{'---|' * len(ways)}"]
    lines += [
        f"| {name} | {' | '.join(_cell(row.get(way)) for way in ways)} |" for name, row in figures["nodes"].items()
    ]
    for title, key in (
        ("NGINX → unix socket → Gunicorn", "machine"),
        ("Gunicorn with two workers, no proxy", "killed"),
    ):
        columns = list(next(iter(figures[key].values())))
        lines += ["", f"| {title} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        lines += [
            f"| {name} | {' | '.join(_cell(row[each]) for each in columns)} |" for name, row in figures[key].items()
        ]
    every = [cell for table in figures.values() for row in table.values() for cell in row.values()]
    twice, undone = sum(cell["twice"] for cell in every), sum(cell["undone"] for cell in every)
    lines += ["", f"Of all these requests, {twice} were done twice, and {undone} were answered and not done.", ""]
    return "\n".join([*lines, _measured(kept, *kept["versions"])])


#: The table of each part.
TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "scaling": _scaling,
    "isolation": _isolation,
    "losses": _losses,
}
