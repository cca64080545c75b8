"""``gateway generate``: write the files of a deployment from one set of numbers.

The numbers come from ``--set``, from ``[tool.gateway.deploy]``, from the application's own chain, and from defaults, in
this order. A file that another program or a person wrote is never overwritten.
"""

from __future__ import annotations

import difflib
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import cast

import click

from gateway.cli._source import Source, named_options, source
from gateway.deploy.chain import numbers_of
from gateway.deploy.generate import DEPLOYMENTS, MARK, numbers_for, render, steps
from gateway.deploy.moved import moved
from gateway.deploy.project import django_hosts, notes, requirements
from gateway.errors import ConfigurationError
from gateway.protocols import Application, detect

__all__ = ["command"]

_LIST = "\n".join(f"  {name:11} {each.title}" for name, each in DEPLOYMENTS.items())


def _settings(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise click.BadParameter(f"{each!r} has no value; write for example --set hosts=example.com")
        found[name.strip()] = value
    return found


@click.command("generate", short_help="Write the files of a deployment from one set of numbers.")
@click.argument("deployment", metavar="[DEPLOYMENT]", required=False)
@click.argument("target", metavar="[MODULE[:ATTRIBUTE]]", required=False)
@named_options
@click.option(
    "--out", type=click.Path(file_okay=False), default="deploy", show_default=True, help="Folder to write to."
)
@click.option("--diff", is_flag=True, help="Show what would change, write nothing; exit status 1 if a file differs.")
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="KEY=VALUE", help="One number.")
@click.option(
    "--from",
    "old",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Configuration of uWSGI (ini) or NGINX Unit (JSON): print Gunicorn's command, and the fate of each option.",
)
@click.pass_context
def command(
    context: click.Context,
    deployment: str | None,
    target: str | None,
    config: str | None,
    app_dir: str | None,
    factory: bool,
    out: str,
    diff: bool,
    settings: dict[str, str],
    old: str | None,
) -> None:
    """Write the files of a deployment from one set of numbers.

    \b
    gateway generate nginx shop:app --set hosts=shop.example.com --set name=shop
    gateway generate kubernetes --config gateway.toml --out k8s
    gateway generate nginx shop:app --diff
    gateway generate --from uwsgi.ini
    """
    before: dict[str, object] = {}
    if old is not None:
        found = moved(Path(old))
        click.echo(f"{found.table()}\n\nThe command:\n  {found.command}")
        before = dict(found.numbers)
        if deployment is None:
            click.echo("\nWrite the files too: gateway generate nginx --from " + old)
            return
        click.echo()
    if deployment is None:
        raise click.UsageError(f"no deployment given; choose one:\n\n{_LIST}")
    if deployment not in DEPLOYMENTS:
        near = difflib.get_close_matches(deployment, DEPLOYMENTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"unknown deployment {deployment!r}{hint}\n\n{_LIST}")
    unnamed = target is None and config is None and "application" in {**before, **settings}
    named = None if unnamed else source(target, config, app_dir, factory=factory)
    values = before
    app: object = None
    if named is not None:
        found_values, app = _of_application(named)
        values |= found_values
    elif not unnamed:
        raise click.UsageError(
            f"no application given: write gateway generate {deployment} MODULE:APP, or --config FILE, or "
            "--set application=MODULE:APP"
        )
    values |= settings
    files = render(deployment, values)
    folder = Path(out)
    if diff:
        changed = _diff(folder, files)
        context.exit(1 if changed else 0)
    _write(folder, files)
    for name in files:
        click.echo(f"wrote {folder / name}")
    numbers = numbers_for(deployment, values)
    click.echo(f"\nNext, for {', '.join(numbers.hosts)}:")
    for step in steps(deployment, values, str(folder), requirements=requirements(Path.cwd())):
        click.echo(f"  {step}")
    for note in notes(app, numbers) if app is not None else ():
        click.echo(f"\nnote: {note}")


def _of_application(named: Source) -> tuple[dict[str, object], object]:
    """Return the numbers of the application's chain and of its configuration file, and the application."""
    values: dict[str, object] = {}
    with redirect_stdout(sys.stderr):  # an application may print while it is imported
        target, app = named.load()
    # The folder of the configuration file is copied as a whole, so that its name is enough.
    config = named.config
    values["application"] = str(target) if config is None else f"gateway.config:load({config.file.name!r})"
    values["interface"] = "wsgi" if detect(cast("Application", app)) == "wsgi" else "asgi"
    if hosts := django_hosts():
        values["hosts"] = hosts
    values |= numbers_of(app)
    return (values if config is None else values | dict(config.deploy)), app


def _diff(folder: Path, files: dict[str, str]) -> bool:
    changed = False
    for name, text in files.items():
        path = folder / name
        old = path.read_text("utf-8") if path.is_file() else ""
        lines = list(
            difflib.unified_diff(old.splitlines(keepends=True), text.splitlines(keepends=True), str(path), str(path))
        )
        click.echo("".join(lines), nl=False)
        changed = changed or bool(lines)
    return changed


def _write(folder: Path, files: dict[str, str]) -> None:
    foreign = [
        str(folder / name)
        for name in files
        if (folder / name).exists() and MARK not in (folder / name).read_text("utf-8", errors="replace")[:400]
    ]
    if foreign:
        raise ConfigurationError(
            f"{', '.join(foreign)}: exists, and this command did not make it. Move it away, or name another folder "
            "with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
