"""Environment variables and markers between the process of a test and the process of its server. Constants only.

They are not in `_served_app`, because importing that module imports the application.
"""

from __future__ import annotations

__all__ = ["FILE", "MARK", "MODULE", "NAME", "READY", "SIDES"]

MODULE, FILE, NAME = "GATEWAY_TESTING_MODULE", "GATEWAY_TESTING_FILE", "GATEWAY_TESTING_NAME"
#: Sides whose violations the server's process reports, comma-separated.
SIDES = "GATEWAY_TESTING_SIDES"
#: Path of the first request, which shows that the server responds; the application does not see it.
READY = "/.gateway-testing-ready"
#: Prefix of a line with a violation.
MARK = "gateway.testing violation: "
