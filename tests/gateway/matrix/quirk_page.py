"""The tables of ``docs/reference/matrix.md``, from the requests and the known quirks themselves.

``python -m tests.gateway.matrix.quirk_page`` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.matrix import BUILTIN, QUIRKS
from gateway.matrix._report import known_quirks

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "matrix.md"
BEGIN, END = "<!-- begin: from gateway.matrix -->", "<!-- end -->"


def rows() -> Iterator[str]:
    yield from known_quirks(QUIRKS)
    yield ""
    yield "## The built-in requests"
    yield ""
    yield ", ".join(request.name for request in BUILTIN) + "."


def generated() -> str:
    return "\n".join([BEGIN, "", *rows()]).rstrip() + f"\n\n{END}\n"


def main() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END + "\n")
    PAGE.write_text(before + generated() + after, encoding="utf-8")


if __name__ == "__main__":
    main()
