"""Find the application of a command: MODULE on the command line, ``--config FILE``, or the folder's configuration file.

``run``, ``check`` and ``inspect`` share the options and this choice, so that the same arguments name the same
application.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from gateway._load import Target, load, parse, told
from gateway.cli._manage import django_project
from gateway.config import Config, find, read
from gateway.errors import ConfigurationError

__all__ = ["Source", "named_options", "source", "source_options"]

F = TypeVar("F", bound=Callable[..., Any])

_Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
_TARGET: _Decorator = click.argument("target", metavar="[MODULE[:ATTRIBUTE]]", required=False)
_OPTIONS: tuple[_Decorator, ...] = (
    click.option(
        "--config",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="Configuration file, gateway.toml or pyproject.toml, instead of MODULE.",
    ),
    click.option(
        "--app-dir",
        type=click.Path(exists=True, file_okay=False),
        help="Folder to import the application from. [default: the current folder]",
    ),
    click.option("--factory", is_flag=True, help="MODULE:APP names a function that returns the application."),
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An application that the user named, before it is imported.

    Attributes:
        target: Import string.
        folder: Folder to import it from.
        config: Configuration of the application, if it comes from a file.
    """

    target: Target
    folder: Path
    config: Config | None = None

    def __str__(self) -> str:
        return str(self.target if self.config is None else self.config.file)

    def load(self) -> tuple[Target, object]:
        """Import the application, as `gateway._load.load` does.

        Raises:
            ConfigurationError: Loading failed, for any reason; the message is one line.
        """
        sys.path.insert(0, str(self.folder))
        what = f"loading {self.target}" if self.config is None else "importing"
        return told(what, partial(load, self.target))


def source_options(function: F) -> F:
    """Add the argument and the options that name an application to a command."""
    for option in reversed((_TARGET, *_OPTIONS)):
        option(function)  # click keeps them on the function
    return function


def named_options(function: F) -> F:
    """Add the options that name an application to a command that has an argument of its own."""
    for option in reversed(_OPTIONS):
        option(function)
    return function


def source(target: str | None, config: str | None, app_dir: str | None, *, factory: bool) -> Source | None:
    """Choose the application that a command line names.

    Args:
        target: MODULE[:ATTRIBUTE].
        config: ``--config``.
        app_dir: ``--app-dir``: the folder to import from, or to look for a configuration file in.
        factory: ``--factory``.

    Returns:
        The source, or None if nothing is named and the folder has neither a configuration file nor a Django project.

    Raises:
        click.UsageError: Two options name different applications.
        ConfigurationError: The import string or the file is wrong.
    """
    folder = Path(app_dir or ".").absolute()
    if config is not None:
        named = {f"the application {target}": target, "--app-dir": app_dir, "--factory": factory}
        if extra := [name for name, given in named.items() if given]:
            raise click.UsageError(
                f"--config already names the application and its folder; remove {' and '.join(extra)}"
            )
        return _of_file(Path(config))
    if target is None:
        file = find(folder)
        if file is not None:
            return _of_file(file)
        project = django_project(folder)
        return None if project is None else Source(target=project, folder=folder)
    parsed = parse(target, factory=factory)
    if (parsed.module, parsed.names, parsed.call) != ("gateway.config", ("load",), True):
        return Source(target=parsed, folder=folder)
    # gateway.config:load() as an import string names the same file, so its server settings count as well.
    files = [*parsed.arguments, *dict(parsed.options).values()]
    file = Path(str(files[0])) if files else find(folder)
    if file is None:
        raise ConfigurationError(f"{target} needs a file: {folder} has neither gateway.toml nor [tool.gateway]")
    return _of_file(file)


def _of_file(file: Path) -> Source:
    config = read(file.absolute())
    target = parse(f"gateway.config:load({str(config.file)!r})")
    return Source(target=target, folder=config.app_dir, config=config)
