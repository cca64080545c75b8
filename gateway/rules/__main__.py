"""``python -m gateway.rules``: print ``docs/conformance.md``."""

from __future__ import annotations

import sys

from gateway.rules.page import conformance

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(conformance())
