"""The tables of ``docs/how-to/choose-server.md``: two real applications under each server, alone and behind proxies.

``python -m tests.gateway.matrix.results`` runs both, and writes the tables. The README has the first. It takes ten
minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "how-to" / "choose-server.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- begin: from gateway matrix -->", "<!-- end -->"
BEGIN_PROXIES = "<!-- begin: from gateway matrix --proxies -->"
PROXIES = {"nginx": "NGINX", "haproxy": "HAProxy", "caddy": "Caddy"}
SITE = "tests.gateway.matrix.site"


def measured(app: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.json")
        command = [sys.executable, "-m", "gateway", "matrix", f"{SITE}:{app}", "--proxies", "--format", "json"]
        subprocess.run([*command, "--jobs", "3", "--output", str(output)], cwd=ROOT, check=True)
        found: dict[str, Any] = json.loads(output.read_text("utf-8"))
        return found


def cell(configuration: Mapping[str, Any] | None) -> str:
    if configuration is None:
        return "refuses ASGI"
    assert configuration["failure"] is None, configuration["failure"]
    different = {each["request"] for each in configuration["differences"]}
    unknown = sum(each["known"] is None for each in configuration["differences"])
    said = f"{configuration['requests'] - len(different)} of {configuration['requests']}"
    return f"{said}, {unknown} unknown" if unknown else said


def alone(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {each["server"]: each for each in found["configurations"] if each["proxy"] is None}


def rows(flask: Mapping[str, Any], fastapi: Mapping[str, Any]) -> Iterator[str]:
    others = alone(fastapi)
    yield "| server | version | calls it as | Flask: identical | FastAPI: identical |"
    yield "|---|---|---|---|---|"
    for name, each in alone(flask).items():
        yield (
            f"| `{name}` | {each['version']} | {each['interface'].upper()} | {cell(each)} | {cell(others.get(name))} |"
        )


def proxied_rows(flask: Mapping[str, Any], fastapi: Mapping[str, Any]) -> Iterator[str]:
    """Yield one row for each server, with one column for each proxy and application."""
    places = {
        (each["server"], each["proxy"], number): each
        for number, found in enumerate((flask, fastapi))
        for each in found["configurations"]
    }
    versions = {each["proxy"]: each["proxy_version"] for each in flask["configurations"] if each["proxy"]}
    columns = [(proxy, number) for number in range(2) for proxy in PROXIES if proxy in versions]
    named = [f"{('Flask', 'FastAPI')[number]}: {PROXIES[proxy]} {versions[proxy]}" for proxy, number in columns]
    yield f"| server | {' | '.join(named)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name in alone(flask):
        cells = (cell(places.get((name, proxy, number))) for proxy, number in columns)
        yield f"| `{name}` | {' | '.join(cells)} |"


def put(page: Path, begin: str, lines: Iterator[str]) -> None:
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    assert found, f"{page} has no line {begin}"
    _, _, after = rest.partition(END + "\n")
    page.write_text(before + "\n".join([begin, "", *lines, "", END, ""]) + after, encoding="utf-8")


def main() -> None:
    both = measured("flask_app"), measured("fastapi_app")
    for page in (PAGE, README):
        put(page, BEGIN, rows(*both))
    put(PAGE, BEGIN_PROXIES, proxied_rows(*both))


if __name__ == "__main__":
    main()
