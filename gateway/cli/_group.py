"""The group of commands: it finds them by name in the static register, and imports a command when it is called.

If a command raises a ``GatewayError``, the group prints one line to standard error and exits with status 2. Such an
error is for the user to correct. Only faults of this package show a traceback.
"""

from __future__ import annotations

import difflib
from importlib import import_module

import click

from gateway._version import __version__
from gateway.cli._register import COMMANDS
from gateway.errors import GatewayError, MissingExtraError

__all__ = ["group"]


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except MissingExtraError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} must be a click.Command, got {command!r}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command if no command has this name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(sorted(COMMANDS))}"
            raise click.UsageError(f"unknown command {args[0]!r}; {hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; turn this package's errors into one line and status 2."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gateway", package_name="anytier")
def group() -> None:
    """One Python web application, WSGI or ASGI, under any server."""
