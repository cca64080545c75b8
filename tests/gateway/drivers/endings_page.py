"""The tables of ``docs/reference/endings.md``. ``python -m tests.gateway.drivers.endings_page`` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway import servers
from tests.gateway.drivers.disconnects import MOMENTS, REASONS, TABLE, WSGI_REASON

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "endings.md"


def disconnects() -> Iterator[str]:
    yield f"| server | {' | '.join(MOMENTS)} |"
    yield "|---" * (len(MOMENTS) + 1) + "|"
    for name, cells in TABLE.items():
        yield f"| `{name}` | {' | '.join(cells)} |"
    yield ""
    yield f"- {', '.join(f'`{name}`' for name in TABLE if servers.get(name).interface == 'wsgi')}: {WSGI_REASON}"
    for name, reason in REASONS.items():
        yield f"- `{name}`: {reason}"


PARTS = {"disconnects": disconnects}


def written(page: str) -> str:
    """Return the page with its tables as they are now."""
    for name, rows in PARTS.items():
        before, begin, rest = page.partition(f"<!-- begin: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        page = before + begin + "\n" + "\n".join(rows()) + "\n\n" + end + after
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
