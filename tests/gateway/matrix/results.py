"""The table of ``docs/how-to/choose-server.md`` and the README: two real applications under every installed server.

``python -m tests.gateway.matrix.results`` runs both, and writes the table into both. It takes some minutes.
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
SITE = "tests.gateway.matrix.site"


def measured(app: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.json")
        command = [sys.executable, "-m", "gateway", "matrix", f"{SITE}:{app}", "--format", "json", "--jobs", "3"]
        subprocess.run([*command, "--output", str(output)], cwd=ROOT, check=True)
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


def rows(flask: Mapping[str, Any], fastapi: Mapping[str, Any]) -> Iterator[str]:
    others = {each["server"]: each for each in fastapi["configurations"]}
    yield "| server | version | calls it as | Flask: identical | FastAPI: identical |"
    yield "|---|---|---|---|---|"
    for each in flask["configurations"]:
        asgi = cell(others.get(each["server"]))
        interface = each["interface"].upper()
        yield f"| `{each['server']}` | {each['version']} | {interface} | {cell(each)} | {asgi} |"


def main() -> None:
    table = "\n".join([BEGIN, "", *rows(measured("flask_app"), measured("fastapi_app")), "", END, ""])
    for page in (PAGE, README):
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END + "\n")
        page.write_text(before + table + after, encoding="utf-8")


if __name__ == "__main__":
    main()
