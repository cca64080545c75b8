"""The whole register of the commands, as names: it imports none of them, and neither click nor rich."""

from __future__ import annotations

__all__ = ["COMMANDS"]

#: Name of a command to the place of its ``click.Command``. A line adds a command.
COMMANDS: dict[str, str] = {
    "check": "gateway.cli.check:command",
    "demo": "gateway.cli.demo:command",
    "run": "gateway.cli.run:command",
    "inspect": "gateway.cli.inspect:command",
}
