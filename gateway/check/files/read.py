"""Read a set of files into the facts of one deployment.

Name and content decide the format of a file. Afterwards the parts are put together: a command with the configuration
file that it names, a container with the image's command, a unit with its drop-ins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from gateway.check.files import chain as chains
from gateway.check.files.caddy import read_caddy
from gateway.check.files.commands import FoundCommand, defaults, read_command
from gateway.check.files.containers import (
    is_dockerfile,
    looks_like_script,
    read_compose,
    read_dockerfile,
    read_procfile,
    read_script,
)
from gateway.check.files.gunicorn_conf import is_gunicorn_conf, read_gunicorn_conf
from gateway.check.files.haproxy import read_haproxy
from gateway.check.files.hypercorn_conf import read_hypercorn_conf
from gateway.check.files.kubernetes import patched, read_objects
from gateway.check.files.nginx import fronts
from gateway.check.files.systemd import read_service, read_socket
from gateway.check.files.systemd import units as systemd_units
from gateway.check.files.yaml_lines import Map, documents, listed, mapped, merged
from gateway.errors import ConfigurationError
from gateway.hazards.facts import Chain, Fact, Files, Place, Server, Stop

__all__ = ["kind_of", "read_files", "texts_of"]

_SKIPPED = (".git", ".venv", "venv", "node_modules", "__pycache__", ".tox")
_KINDS = ("nginx", "systemd", "haproxy", "caddy", "docker", "compose", "kubernetes", "procfile", "gunicorn", "toml")
_TEMPLATE = re.compile(r"\{\{-?\s*[.$\"(\w]|\{%-?\s")
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("systemd", r"^\[(Unit|Service|Socket)\]"),
    ("haproxy", r"^(frontend|backend|listen)\s+\S+(\s+from\s+\S+)?\s*$"),
    ("nginx", r"^\s*(http|server|events|upstream\s+\S+|location\s+.+)\s*\{|^\s*proxy_(set_header|pass|read_timeout)\s"),
    ("caddy", r"^\s*reverse_proxy\s"),
    ("sysctl", r"^\s*net\.core\.somaxconn\s*="),
)


@dataclass
class _Parts:
    """What the files give before it is put together."""

    others: Mapping[str, str]
    commands: list[tuple[FoundCommand, str]] = field(default_factory=lambda: list[tuple[FoundCommand, str]]())
    bare: list[Stop] = field(default_factory=lambda: list[Stop]())
    environments: dict[str, Fact[str]] = field(default_factory=lambda: dict[str, Fact[str]]())
    scripts: dict[str, FoundCommand] = field(default_factory=lambda: dict[str, FoundCommand]())
    confs: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    images: list[tuple[Stop, FoundCommand | None]] = field(
        default_factory=lambda: list[tuple[Stop, FoundCommand | None]]()
    )
    started: dict[str, str] = field(default_factory=lambda: dict[str, str]())


def texts_of(paths: Iterable[Path]) -> dict[str, str]:
    """Return the text of each file; a folder stands for the files inside of it that have a known format.

    Raises:
        ConfigurationError: A file cannot be read, or is not text.
    """
    found: dict[str, str] = {}
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = [
                each
                for each in sorted(path.rglob("*"))
                if each.is_file() and not set(each.relative_to(path).parts[:-1]) & set(_SKIPPED)
            ]
        for each in inside:
            try:
                text = each.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                if each is path:
                    raise ConfigurationError(f"{each}: cannot be read: {error}") from error
                continue
            if each is path or kind_of(str(each), text) is not None:
                found[str(each)] = text
    return found


def kind_of(path: str, text: str) -> str | None:
    """Return the format of a file; None if it is none that this package reads."""
    pure = PurePosixPath(path.replace("\\", "/"))
    name, suffix = pure.name.lower(), pure.suffix.lower()
    if suffix in (".service", ".socket") or pure.parent.name.endswith((".service.d", ".socket.d")):
        return "systemd"
    if is_dockerfile(path):
        return "docker"
    if name == "procfile" or name.startswith("procfile."):
        return "procfile"
    if name.startswith("caddyfile") or suffix == ".caddy" or name.endswith("caddyfile"):
        return "caddy"
    if suffix == ".toml":
        return "toml"
    if suffix in (".yaml", ".yml"):
        if _TEMPLATE.search(text):  # `helm template` shows what it becomes
            return None
        if re.search(r"^services:", text, re.M):
            return "compose"
        return "kubernetes" if re.search(r"^kind:", text, re.M) else None
    if suffix == ".py":
        return "gunicorn" if "gunicorn" in name or is_gunicorn_conf(text) else "source"
    if suffix == ".sh" or looks_like_script(text):
        return "script"
    if suffix in (".md", ".rst", ".txt", ".html", ".json", ".pem", ".log"):
        return None
    if "nginx" in name and suffix == ".conf":
        return "nginx"
    return next((kind for kind, pattern in _PATTERNS if re.search(pattern, text, re.M)), None)


def read_files(texts: Mapping[str, str]) -> Files:
    """Return the facts of a deployment.

    Args:
        texts: Text of each file by its path.

    Raises:
        ConfigurationError: No file has a known format, or a file is not valid in its format.
    """
    kinds: dict[str, dict[str, str]] = {}
    for path, text in {**texts, **_config_maps(texts)}.items():
        kind = kind_of(path, text)
        if kind is not None:
            kinds.setdefault(kind, {})[path] = text
    if not kinds:
        raise ConfigurationError(
            f"{', '.join(texts)}: the format is not known. Give files of: {', '.join(_KINDS)}, or Python source"
        )
    files, parts = Files(), _Parts(others=texts)
    files.fronts += fronts(kinds["nginx"]) if "nginx" in kinds else []
    files.fronts += [read_haproxy(text, path) for path, text in kinds.get("haproxy", {}).items()]
    files.fronts += [read_caddy(text, path) for path, text in kinds.get("caddy", {}).items()]
    for text in texts.values():
        if "x-accel-buffering" in text.lower() and "proxy_ignore_headers" not in text:
            files.texts["accel"] = Fact("no", Place("", 0, "X-Accel-Buffering"))
    for path, text in kinds.get("sysctl", {}).items():
        _sysctl(path, text, files)
    _systemd(kinds.get("systemd", {}), files, parts)
    _containers(kinds, files, parts)
    parts.confs = kinds.get("gunicorn", {})
    _servers(files, parts)
    _chain(kinds, files)
    for stop in files.stops:
        folder = stop.texts.get("metrics_folder")
        if folder is not None:
            files.texts.setdefault("metrics", folder)
    return files


def _config_maps(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the files inside of ConfigMaps, by the path of the manifest and their own name."""
    found: dict[str, str] = {}
    for path, text in texts.items():
        if kind_of(path, text) != "kubernetes" or not re.search(r"^kind:\s*ConfigMap", text, re.M):
            continue
        for document in documents(text, path):
            data = mapped(mapped(document).get("data")) if mapped(document).get("kind") == "ConfigMap" else Map()
            found |= {f"{path}/{name}": str(held) for name, held in data.items() if "\n" in str(held)}
    return found


def _variables(name: str, parts: _Parts) -> dict[str, Fact[str]]:
    """Return the variables of a file with one ``NAME=VALUE`` a line, if it is among the files."""
    wanted = PurePosixPath(name.lstrip("-")).name
    path = next((path for path in parts.others if PurePosixPath(path).name == wanted), None)
    found: dict[str, Fact[str]] = {}
    for index, line in enumerate(parts.others[path].splitlines() if path is not None else (), 1):
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if path is not None and equals and not key.startswith("#"):
            found[key.strip()] = Fact(value.strip().strip("\"'"), Place(path, index, line.strip()))
    return found


def _sysctl(path: str, text: str, files: Files) -> None:
    for index, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*net\.core\.somaxconn\s*=\s*(\d+)", line)
        if match:
            files.numbers["somaxconn"] = Fact(float(match[1]), Place(path, index, line.strip()))


def _systemd(texts: Mapping[str, str], files: Files, parts: _Parts) -> None:
    for unit in systemd_units(texts):
        socket = read_socket(unit)
        if socket is not None:
            files.sockets.append(socket)
        if any(key.startswith("Service.") for key in unit.values):
            stop, command = read_service(unit)
            started = unit.one("Service.ExecStart")
            if started is not None and "nginx" in started.value:
                for front in files.fronts if "nofile" in stop.numbers else ():
                    if front.kind == "nginx":
                        front.numbers.setdefault("nofile", stop.numbers["nofile"])
                continue
            files.stops.append(stop)
            variables: dict[str, Fact[str]] = {}
            for given in unit.all("Service.EnvironmentFile"):
                variables |= _variables(given.value, parts)
            if "PROMETHEUS_MULTIPROC_DIR" in variables:
                stop.texts.setdefault("metrics_folder", variables["PROMETHEUS_MULTIPROC_DIR"])
            if command is not None:
                command.environment = {**variables, **(command.environment or {})}
                parts.commands.append((command, stop.unit))
            elif started is not None:
                parts.started[stop.unit] = started.value


def _containers(kinds: Mapping[str, Mapping[str, str]], files: Files, parts: _Parts) -> None:
    scripts = {path: read_script(text, path) for path, text in kinds.get("script", {}).items()}
    known = {PurePosixPath(path).name: found for path, found in scripts.items() if found is not None}
    for path, text in kinds.get("docker", {}).items():
        stop, command, variables, script = read_dockerfile(text, path)
        if command is None and script is not None:
            command = known.pop(PurePosixPath(script.value).name, None)
        if command is not None:
            command.environment = {**variables, **(command.environment or {})}
        parts.images.append((stop, command))
        files.texts.setdefault("container", Fact("image", stop.place))
        parts.environments.update(variables)
    for unit, line in parts.started.items():
        found = next((known.pop(name) for name in list(known) if name in line), None)
        if found is not None:
            parts.commands.append((found, unit))
    parts.scripts = known
    objects: list[tuple[Map, str]] = []
    composed: Map | None = None
    # compose.yaml before compose.prod.yaml, which changes it
    for path, text in sorted(kinds.get("compose", {}).items(), key=lambda each: len(each[0])):
        for each in map(mapped, documents(text, path)):
            composed = each if composed is None else merged(composed, each)
    if composed is not None:
        _compose(composed, files, parts)
    for path, text in kinds.get("kubernetes", {}).items():
        for document in documents(text, path):
            each = mapped(document)
            if each.get("kind") == "ConfigMap":
                data = mapped(each.get("data"))
                for key, value in data.items():
                    if key.isupper():
                        parts.environments[key] = Fact(str(value), Place(path, data.line(key), f"{key}: {value}"))
            elif "kind" in each:
                items = each.get("items")
                objects += [(mapped(i), path) for i in items] if isinstance(items, list) else [(each, path)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # YAML
    for container in read_objects(patched(objects), files):
        files.stops.append(container.stop)
        _started(container.stop, container.command, container.environment, parts, built=True)
    for path, text in kinds.get("procfile", {}).items():
        web = read_procfile(text, path)
        if web is not None:
            files.stops.append(web[0])
            parts.commands.append((web[1], web[0].unit))
            files.texts.setdefault("platform", Fact("heroku", Place(path, web[0].place.line, "platform heroku")))
    if not (parts.bare or objects or "compose" in kinds):
        for stop, command in parts.images:
            files.stops.append(stop)
            if command is not None:
                parts.commands.append((command, stop.unit))


def _compose(document: Map, files: Files, parts: _Parts) -> None:
    for stop, command, variables in read_compose(document, document.file, files):
        files.stops.append(stop)
        name = stop.unit.rpartition("#")[2]
        service = mapped(mapped(document.get("services")).get(name))
        named = service.get("env_file")
        for each in [named] if isinstance(named, str) else listed(named):
            variables = {**_variables(str(mapped(each).get("path", each)), parts), **variables}
        if "PROMETHEUS_MULTIPROC_DIR" in variables:
            stop.texts.setdefault("metrics_folder", variables["PROMETHEUS_MULTIPROC_DIR"])
        _started(stop, command, variables, parts, built="build" in service)
        if command is not None or "build" in service:
            files.texts.setdefault("container", Fact("service", stop.place))


def _started(
    stop: Stop, command: FoundCommand | None, variables: Mapping[str, Fact[str]], parts: _Parts, *, built: bool
) -> None:
    """Add the server of a container: its own command, or the one of the image."""
    images = [each for each in parts.images if each[1] is not None]
    if built and len(parts.images) == 1:
        stop.signal = stop.signal or parts.images[0][0].signal
        folder = parts.images[0][0].texts.get("metrics_folder")
        if folder is not None:
            stop.texts.setdefault("metrics_folder", folder)
    if command is None and built and len(images) == 1:
        image = images[0][1]
        command = None if image is None else replace(image)
    if command is not None:
        command.environment = {**parts.environments, **(command.environment or {}), **variables}
        parts.commands.append((command, stop.unit))


def _servers(files: Files, parts: _Parts) -> None:
    named = {PurePosixPath(path).name: path for path in parts.confs}
    used: set[str] = set()
    for command, unit in parts.commands:
        files.servers.append(_server(command, unit, parts, named, used))
    for command in parts.scripts.values():
        files.servers.append(_server(command, command.place.file, parts, named, used))
    for path, text in parts.confs.items():
        if path not in used:
            unit = ""
            if len(parts.confs) == 1 and len(files.stops) == 1 and not files.servers:
                unit = files.stops[0].unit
            server = read_gunicorn_conf(text, path, parts.environments)
            server.unit = unit
            files.servers.append(server)
    for server in files.servers:
        if server.text("unknown_workers") is not None and "workers" not in server.numbers:
            server.texts.pop("unknown_workers")
            defaults(server)
            server.numbers.pop("workers", None)
        else:
            defaults(server)
        metrics = server.texts.get("env:PROMETHEUS_MULTIPROC_DIR")
        if metrics is not None:
            files.texts.setdefault("metrics", metrics)
        if server.name == "uvicorn" or server.worker == "uvicorn":
            _uvicorn(server)


def _uvicorn(server: Server) -> None:
    off = server.texts.pop("no_proxy_headers", None)
    if off is not None:
        server.texts.pop("proxy_headers", None)
        server.texts.pop("forwarded_allow_ips", None)


def _server(command: FoundCommand, unit: str, parts: _Parts, named: Mapping[str, str], used: set[str]) -> Server:
    plain, config = read_command(command)
    wanted = "gunicorn.conf.py" if config is None else PurePosixPath(config.removeprefix("file:")).name
    file, settings = None, None
    if command.server == "gunicorn":
        file = named.get(wanted)
        if file is None and config is not None and len(named) == 1 and not config.startswith("python:"):
            file = next(iter(named.values()))
    elif command.server == "hypercorn" and config is not None:
        other = next((path for path in parts.others if PurePosixPath(path).name == wanted), None)
        settings = read_hypercorn_conf(parts.others[other], other) if other is not None else None
    if file is not None:
        used.add(file)
        settings = read_gunicorn_conf(parts.confs[file], file, command.environment)
    if settings is not None:
        server, _ = read_command(command, settings)
        server.unit = unit
        return server
    plain.unit = unit
    if config is not None and not config.startswith("python:gateway.servers.gunicorn_hooks"):
        plain.complete = False
    return plain


def _chain(kinds: Mapping[str, Mapping[str, str]], files: Files) -> None:
    """Read the chain: a configuration file counts more than sources, and sources are joined."""
    found: Chain | None = None
    for path, text in kinds.get("toml", {}).items():
        chain, _ = chains.read_toml(text, path, files)
        found = chain or found
    for path, source in kinds.get("source", {}).items():
        chain = chains.read_source(source, path)
        if chain is None:
            continue
        if found is None:
            found = chain
        else:
            for name, place in chain.names.items():
                found.names.setdefault(name, place)
            for name, fact in chain.numbers.items():
                found.numbers.setdefault(name, fact)
            for name, said in chain.texts.items():
                found.texts.setdefault(name, said)
    files.chain = found
