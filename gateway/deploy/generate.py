"""Render the files of a deployment from one set of numbers.

Every value in a template comes from `Numbers`, so the files of a deployment agree, and agree with those of another one.
The result depends on the numbers alone: no time, no order of a folder, nothing of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway._version import __version__
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.hazards import Numbers

__all__ = ["DEPLOYMENTS", "MARK", "Deployment", "header", "numbers_for", "render", "steps"]

#: Begin of the header line, by which a later run recognises its own files.
MARK: Final = "Made by: gateway generate "


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One deployment.

    Attributes:
        title: Line for the list of deployments.
        files: Template of each file.
        platform: What is in front of the server, a key of `PLATFORMS`; None if the numbers say it.
        socket: The server listens on a unix socket.
        address: Address of the server, if it listens on a port; ``{port}`` stands for the port.
        interfaces: Interfaces that the server calls.
        steps: Commands for a clean machine, in their order; ``{node}`` and ``{proxy}`` become the kind of the machine.
        nodes: The servers may run on machines of their own.
    """

    title: str
    files: Mapping[str, str]
    platform: str | None = None
    socket: bool = False
    address: str = "127.0.0.1:{port}"
    interfaces: tuple[str, ...] = ("wsgi", "asgi")
    steps: tuple[str, ...] = ()
    nodes: bool = False


_UNITS = {"{name}.socket": "socket.j2", "{name}.service": "service.j2"}
_CONF = {"gunicorn.conf.py": "gunicorn.conf.py.j2"}
_VENV = "python3 -m venv {home}/venv && {home}/venv/bin/pip install {requirements} gunicorn anytier"
_COPY = "cp -r . {home} && cp {out}/gunicorn.conf.py {home}/"
_START = "cp {out}/{name}.socket {out}/{name}.service /etc/systemd/system/ && systemctl enable --now {name}.socket"
_LISTED = "printf '%s\\n' {requirements} > requirements.txt"
_CERTIFICATE = (
    "mkdir -p /etc/ssl/{name} && openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN={host} "
    "-keyout {key} -out {certificate}"
)
DEPLOYMENTS: Final[Mapping[str, Deployment]] = {
    "gunicorn": Deployment(
        title="Gunicorn alone: its configuration file",
        files=_CONF,
        steps=("pip install {requirements} gunicorn anytier", "gunicorn --config {out}/gunicorn.conf.py"),
    ),
    "uvicorn": Deployment(
        title="uvicorn: its command", files={"uvicorn.sh": "uvicorn.sh.j2"}, interfaces=("asgi",),
        steps=("pip install {requirements} uvicorn anytier", "sh {out}/uvicorn.sh"),
    ),
    "granian": Deployment(
        title="granian: its command", files={"granian.sh": "granian.sh.j2"},
        steps=("pip install {requirements} granian anytier", "sh {out}/granian.sh"),
    ),
    "systemd": Deployment(
        title="Gunicorn under systemd: socket and service", files={**_UNITS, **_CONF}, platform="nginx", socket=True,
        nodes=True,
        steps=("mkdir -p {home} && " + _COPY, _VENV, _START),
    ),
    "nginx": Deployment(
        title="NGINX -> unix socket -> Gunicorn, under systemd",
        files={"nginx.conf": "nginx.conf.j2", **_UNITS, **_CONF},
        platform="nginx",
        socket=True,
        nodes=True,
        steps=(
            "apt-get install -y nginx python3-venv openssl",
            "mkdir -p {home} && " + _COPY + "{node}",
            _VENV + "{node}",
            _START + "{node}",
            _CERTIFICATE + "{proxy}",
            "cp {out}/nginx.conf /etc/nginx/nginx.conf && systemctl restart nginx{proxy}",
        ),
    ),
    "caddy": Deployment(
        title="Caddy -> unix socket -> Gunicorn, under systemd",
        files={"Caddyfile": "Caddyfile.j2", **_UNITS, **_CONF},
        platform="caddy",
        socket=True,
        steps=(
            "apt-get install -y caddy python3-venv",
            "mkdir -p {home} && " + _COPY,
            _VENV,
            _START,
            "cp {out}/Caddyfile /etc/caddy/Caddyfile && systemctl reload caddy",
        ),
    ),
    "haproxy": Deployment(
        title="HAProxy as load balancer -> Gunicorn on several addresses",
        files={"haproxy.cfg": "haproxy.cfg.j2", **_CONF},
        platform="haproxy",
        nodes=True,
        steps=(
            "pip install {requirements} gunicorn anytier",
            "gunicorn --config {out}/gunicorn.conf.py  # on each node",
            "cp {out}/haproxy.cfg /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
        ),
    ),
    "docker": Deployment(
        title="A container: Dockerfile, .dockerignore, compose file",
        files={"Dockerfile": "Dockerfile.j2", ".dockerignore": "dockerignore.j2", "compose.yaml": "compose.yaml.j2",
               **_CONF},
        address="0.0.0.0:{port}",
        steps=(_LISTED, "{beside}docker compose up --build"),
    ),
    "kubernetes": Deployment(
        title="Kubernetes: Deployment, Service, autoscaler, budget, policy, HTTPRoute, Ingress",
        files={"app.yaml": "app.yaml.j2", "route.yaml": "route.yaml.j2", "ingress.yaml": "ingress.yaml.j2", **_CONF},
        platform="kubernetes",
        address="0.0.0.0:{port}",
        steps=("kubectl apply -f {out}/app.yaml", "kubectl apply -f {out}/route.yaml  # or ingress.yaml"),
    ),
    "iis": Deployment(
        title="IIS with HttpPlatformHandler -> waitress", files={"web.config": "web.config.j2"}, platform="none",
        interfaces=("wsgi",),
        steps=("copy {out}\\web.config C:\\inetpub\\{name}",),
    ),
}  # fmt: skip


def header(deployment: str, given: Mapping[str, object]) -> str:
    """Return the header line: the command that makes the file again, and the version."""
    words = [f"--set {name}={_written(value)}" for name, value in sorted(given.items())]
    return f"{MARK}{' '.join([deployment, *words])} (anytier {__version__})"


def _written(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]  # a list of strings
    return str(value).lower() if isinstance(value, bool) else str(value)


def numbers_for(deployment: str, values: Mapping[str, object]) -> Numbers:
    """Return the numbers of a deployment: the given ones, and the platform that the deployment has.

    Raises:
        ConfigurationError: The deployment does not exist, or a number is wrong.
    """
    known = DEPLOYMENTS.get(deployment)
    if known is None:
        raise ConfigurationError(f"unknown deployment {deployment!r}; choose one of: {', '.join(DEPLOYMENTS)}")
    numbers = Numbers.of(values)
    if known.platform is not None:
        numbers = replace(numbers, platform=known.platform)
    elif numbers.platform == "nginx" and deployment in ("gunicorn", "uvicorn", "granian") and "platform" not in values:
        numbers = replace(numbers, platform="none")
    if "(" in numbers.application and deployment in ("uvicorn", "granian", "iis"):
        raise ConfigurationError(
            f"{deployment} does not call {numbers.application}: name the Gateway in a module, for example shop:app"
        )
    if numbers.nodes and not known.nodes:
        able = ", ".join(name for name, each in DEPLOYMENTS.items() if each.nodes)
        raise ConfigurationError(
            f"{deployment} has no nodes: nodes is {','.join(numbers.nodes)!r}. Deployments with nodes: {able}"
        )
    wrong = [node for node in numbers.nodes if known.socket and not node.endswith(f":{numbers.port}")]
    if wrong:
        raise ConfigurationError(
            f"nodes has {wrong[0]!r}, and port is {numbers.port}: the socket unit of every node listens on this port. "
            f"Write for example --set nodes=10.0.0.1:{numbers.port},10.0.0.2:{numbers.port}"
        )
    if numbers.interface not in known.interfaces:
        raise ConfigurationError(
            f"{deployment} calls {' and '.join(known.interfaces)} applications: interface is {numbers.interface!r}"
        )
    return numbers


def render(deployment: str, values: Mapping[str, object]) -> dict[str, str]:
    """Return the text of each file.

    Args:
        deployment: A key of `DEPLOYMENTS`.
        values: Numbers that differ from the defaults.

    Raises:
        ConfigurationError: The deployment does not exist, or a number is wrong.
        MissingExtraError: jinja2 is not installed.
    """
    numbers, known = numbers_for(deployment, values), DEPLOYMENTS[deployment]
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingExtraError("gateway generate", "generate", package="jinja2") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.deploy"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # configuration files are not HTML
    )
    facts = {
        "n": numbers,
        "header": header(deployment, values),
        "socket": known.socket and not numbers.nodes,
        "address": ("0.0.0.0:{port}" if known.socket else known.address).format(port=numbers.port),
    }
    return {
        name.format(name=numbers.name): environment.get_template(template).render(facts)
        for name, template in known.files.items()
    }


def steps(
    deployment: str, values: Mapping[str, object], out: str, *, requirements: str = "-r requirements.txt"
) -> list[str]:
    """Return the commands for a clean machine, to be run in the folder of the application.

    Args:
        deployment: A key of `DEPLOYMENTS`.
        values: Numbers that differ from the defaults.
        out: Folder of the files.
        requirements: Arguments of pip for the application's own packages.
    """
    numbers = numbers_for(deployment, values)
    facts = {
        "name": numbers.name, "home": numbers.home, "out": out, "host": numbers.hosts[0],
        "requirements": requirements, "beside": "" if Path(out) == Path() else f"cp -r {out}/. . && ",
        "key": numbers.key_file, "certificate": numbers.certificate_file,
        "node": "  # on each node" if numbers.nodes else "", "proxy": "  # on each NGINX" if numbers.nodes else "",
    }  # fmt: skip
    known = DEPLOYMENTS[deployment].steps
    left_out = (_CERTIFICATE if not numbers.tls else "", _LISTED if requirements.startswith("-r") else "")
    return [step.format(**facts) for step in known if not step.startswith(tuple(filter(None, left_out)))]
