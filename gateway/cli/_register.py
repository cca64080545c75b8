"""All commands, as import strings only: this module does not import the commands, click or rich."""

from __future__ import annotations

__all__ = ["COMMANDS"]

#: Name of a command to the place of its ``click.Command``. A new line here adds a command.
COMMANDS: dict[str, str] = {
    "check": "gateway.cli.check:command",
    "generate": "gateway.cli.generate:command",
    "demo": "gateway.cli.demo:command",
    "fetch": "gateway.cli.fetch:command",
    "matrix": "gateway.cli.matrix:command",
    "measure": "gateway.cli.measure:command",
    "run": "gateway.cli.run:command",
    "inspect": "gateway.cli.inspect:command",
}
