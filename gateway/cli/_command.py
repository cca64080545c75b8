"""Shared by the commands: a command that passes arguments on to a server, and a number with its noun.

The arguments after ``--`` go to the server, and no others do. click treats ``--`` only as the end of the options. It
would use the first argument after ``--`` as the application's name if the user gives none. An extra argument before
``--`` would go to the server.
"""

from __future__ import annotations

import click

__all__ = ["ServerCommand", "counted"]


#: Options of servers that this package has under another name. After ``--`` they would contradict that option.
_OURS = {
    **dict.fromkeys(("-p", "-b", "--listen", "--address"), "write --bind HOST:PORT"),
    **dict.fromkeys(("--uds", "--unix-socket", "-u"), "write --bind unix:/PATH"),
    "--fd": "write --bind fd://NUMBER",
    **dict.fromkeys(("--worker-class", "-k"), "write --server, for example --server gunicorn-gthread"),
    **dict.fromkeys(("-w", "--processes"), "write --workers"),
    **dict.fromkeys(("--timeout-keep-alive", "--channel-timeout"), "write --keep-alive"),
    **dict.fromkeys(
        ("--timeout-graceful-shutdown", "--shutdown-timeout", "--workers-kill-timeout"), "write --graceful-timeout"
    ),
    **dict.fromkeys(("--ssl-certfile", "--ssl-certificate", "--tls-cert"), "write --certfile"),
    **dict.fromkeys(("--ssl-keyfile", "--tls-key"), "write --keyfile"),
}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "error"), counted(2, "error")
    ('1 error', '2 errors')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class ServerCommand(click.Command):
    """A command whose function gets the arguments after ``--`` as ``arguments``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments before ``--``; keep those after it for the server."""
        end = args.index("--") if "--" in args else len(args)
        ctx.params["arguments"] = tuple(args[end + 1 :])
        try:
            return super().parse_args(ctx, args[:end])
        except click.UsageError as error:
            if type(error) not in (click.UsageError, click.NoSuchOption):
                raise
            # The user gave an argument or an option too many.
            said = error.format_message().rstrip(".")
            ours = _OURS.get(error.option_name) if isinstance(error, click.NoSuchOption) else None
            raise click.UsageError(f"{said}; {ours or 'write arguments for the server itself after --'}", ctx) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the server's arguments last."""
        return [*super().collect_usage_pieces(ctx), "[-- SERVER ARGUMENTS]"]
