"""The project around an application: the packages to install beside it, and settings that a deployment would miss.

Reads the folder, and the modules that the application has imported. Imports nothing itself.
"""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from gateway.hazards import Numbers
from gateway.servers._reachable import reads_forwarded

__all__ = ["django_hosts", "notes", "requirements"]

#: Packages by the module that an application imports. FastAPI brings Starlette.
_FRAMEWORKS: Final[Mapping[str, str]] = {
    name: name for name in ("django", "flask", "fastapi", "litestar", "quart", "falcon", "bottle", "pyramid")
}
#: The function that makes the chain behind a proxy.
_PRESETS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("nginx", "caddy"), "behind_nginx(hosts=[...])"),
    **dict.fromkeys(("haproxy", "kubernetes"), "behind_load_balancer(hosts=[...], trust=[...])"),
}


def requirements(folder: Path) -> str:
    """Return the arguments of pip for an application: of its file, or its framework if it has no such file.

    Args:
        folder: Folder of the project, in which the command runs.
    """
    if (folder / "requirements.txt").is_file():
        return "-r requirements.txt"
    project = folder / "pyproject.toml"
    if project.is_file():
        held = tomllib.loads(project.read_text("utf-8")).get("project", {}).get("dependencies", [])
        if isinstance(held, list) and held:
            return shlex.join(map(str, cast("list[object]", held)))
    return " ".join(package for module, package in _FRAMEWORKS.items() if module in sys.modules)


def django_hosts() -> Sequence[str]:
    """Return the public hosts in ALLOWED_HOSTS of a loaded Django project."""
    settings = _django()
    allowed: Sequence[str] = () if settings is None else settings.ALLOWED_HOSTS
    public = [host for host in allowed if "." in host.strip(".") and not host.replace(".", "").isdecimal()]
    return [f"*{host}" if host.startswith(".") else host for host in public]


def notes(app: object, numbers: Numbers) -> Iterator[str]:
    """Yield a sentence for each setting of the application that the deployment would miss.

    Args:
        app: The application, imported.
        numbers: The numbers of the deployment.
    """
    preset = _PRESETS.get(numbers.platform)
    if preset is not None and not reads_forwarded(app):
        yield (
            f"{numbers.application} does not see the addresses of its clients behind {numbers.front.title}: "
            f"wrap it in Gateway(..., middleware={preset})"
        )
    settings = _django()
    if settings is None:
        return
    unknown = [host for host in numbers.hosts if not _allows(settings.ALLOWED_HOSTS, host)]
    if unknown:
        yield f"Django refuses {', '.join(unknown)}: add it to ALLOWED_HOSTS"
    if settings.DEBUG:
        yield "Django's DEBUG is on, which shows settings to every client: set DEBUG = False"


def _allows(allowed: Sequence[str], host: str) -> bool:
    bare = host.removeprefix("*")
    return any(
        pattern in ("*", host, bare) or (pattern.startswith(".") and (bare.endswith(pattern) or bare == pattern[1:]))
        for pattern in allowed
    )


def _django() -> Any:
    """Return Django's settings, if the application has set them up."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    return settings if settings is not None and settings.configured else None
