"""``python -m gateway.rules [sentences]``: print ``docs/conformance.md``, or ``docs/sentences.md``."""

from __future__ import annotations

import sys

from gateway.rules.page import conformance, sentences

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(sentences() if sys.argv[1:] == ["sentences"] else conformance())
