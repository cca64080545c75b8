"""Run everything and write the page: ``python -m tests.evidence.anchors``; ``--page``: from what was found last."""

from __future__ import annotations

import json
import sys

from tests.evidence.anchors.report import FOUND, PAGE, find, load, render


def main(argv: list[str]) -> None:
    everything = load() if "--page" in argv else find()
    FOUND.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(render(everything), encoding="utf-8")


main(sys.argv[1:])
