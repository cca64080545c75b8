"""The command line ``gateway``: one module for each command, imported when the command is called.

``_register`` names the commands. Importing this module does not import click or rich, so that a missing extra gives one
clear line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status.

    Args:
        arguments: The arguments after ``gateway``; None takes them from the process.
    """
    try:
        from gateway.cli._group import group
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.stderr.write(
            f"Error: the `gateway` command needs the package {error.name!r}, which is not installed; run: pip "
            'install "anytier[standard]"\n'
        )
        sys.exit(2)
    group.main(args=None if arguments is None else list(arguments), prog_name="gateway")
