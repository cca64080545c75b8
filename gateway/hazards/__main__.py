"""``python -m gateway.hazards``: print ``docs/reference/deployment-rules.md``."""

from __future__ import annotations

import sys

from gateway.hazards.page import deployment_rules

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(deployment_rules())
