"""How the process of a test tells a server's process what to serve, and hears of it. Constants only.

Apart from `_served_app`, because that one imports the application when it is imported itself.
"""

from __future__ import annotations

__all__ = ["FILE", "MARK", "MODULE", "NAME", "READY", "SIDES"]

MODULE, FILE, NAME = "GATEWAY_TESTING_MODULE", "GATEWAY_TESTING_FILE", "GATEWAY_TESTING_NAME"
#: Whose violations are told, comma-separated.
SIDES = "GATEWAY_TESTING_SIDES"
#: The path of the first request, which tells that the server answers; the application does not see it.
READY = "/.gateway-testing-ready"
#: What a line with a violation begins with.
MARK = "gateway.testing violation: "
