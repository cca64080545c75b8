"""``python -m tests.evidence.layers PART``: measure a part of the page about the layers, and write it into the page.

``scaling`` takes about two minutes, ``isolation`` three, ``losses`` twenty; ``page`` only renders the kept figures.
Needs NGINX, HAProxy and openssl. Linux only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.evidence.layers import isolation, losses, scaling
from tests.evidence.layers.page import keep, write

__all__ = ["main"]

PARTS: dict[str, Callable[[], object]] = {
    "scaling": lambda: scaling.measure(seconds=15, requests=900),
    "isolation": lambda: isolation.measure(requests=100),
    "losses": losses.measure,
}


def main(argv: list[str]) -> int:
    """Measure, keep the figures with their date, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.layers", description=__doc__)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "page"], help="parts to measure")
    options = parser.parse_args(argv)
    for part in options.parts:
        if part in PARTS:
            keep(part, PARTS[part]())
    write()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
