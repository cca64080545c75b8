"""What commands share: one that passes words on to a server, and how a number of things is said.

What stands after ``--`` is the server's, and nothing else is. To click ``--`` only ends the options, so that the first
word after it would be the application's name where none is given, and a word too many before it would go to the server.
"""

from __future__ import annotations

import click

__all__ = ["ServerCommand", "counted"]


#: Options of servers that this package has under a name of its own. After ``--`` they would contradict it.
_OURS = {
    **dict.fromkeys(("--port", "--host", "-p", "-b", "--listen"), "write --bind HOST:PORT"),
    **dict.fromkeys(("--uds", "--unix-socket", "-u"), "write --bind unix:/PATH"),
    "--fd": "write --bind fd://NUMBER",
    **dict.fromkeys(("--worker-class", "-k"), "write --server, for example --server gunicorn-gthread"),
    **dict.fromkeys(("-w", "--processes"), "write --workers"),
}


def counted(number: int, noun: str) -> str:
    """Say a number of things.

    >>> counted(1, "error"), counted(2, "error")
    ('1 error', '2 errors')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class ServerCommand(click.Command):
    """A command whose function gets what stands after ``--`` as ``arguments``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before ``--``; keep what stands after it."""
        end = args.index("--") if "--" in args else len(args)
        ctx.params["arguments"] = tuple(args[end + 1 :])
        try:
            return super().parse_args(ctx, args[:end])
        except click.UsageError as error:
            if type(error) not in (click.UsageError, click.NoSuchOption):
                raise
            # A word or an option too many.
            said = error.format_message().rstrip(".")
            ours = _OURS.get(error.option_name) if isinstance(error, click.NoSuchOption) else None
            raise click.UsageError(f"{said}; {ours or 'arguments of the server itself go after --'}", ctx) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the server's arguments last."""
        return [*super().collect_usage_pieces(ctx), "[-- SERVER ARGUMENTS]"]
