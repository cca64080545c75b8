"""Read Dockerfiles, compose files and Procfiles: commands, stop signals and times.

Sources: Dockerfile reference; Compose Specification, "services"; Heroku, "The Procfile".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from gateway.check.files.commands import FoundCommand, find_command, split
from gateway.check.files.units import number, seconds, size
from gateway.check.files.yaml_lines import Map, listed, mapped
from gateway.hazards.facts import Fact, Files, Place, Stop

__all__ = ["is_dockerfile", "looks_like_script", "read_compose", "read_dockerfile", "read_procfile", "read_script"]


def _instructions(text: str) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    line, begin = "", 0
    for index, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if not line and (not stripped or stripped.startswith("#")):
            continue
        if line and stripped.startswith("#"):
            continue
        begin = begin if line else index
        line += (" " if line else "") + stripped.rstrip("\\").strip()
        if stripped.endswith("\\"):
            continue
        name, _, rest = line.partition(" ")
        found.append((name.upper(), rest.strip(), begin))
        line = ""
    return found


def _form(rest: str) -> list[str] | None:
    """Return the words of an exec form; None for a shell form."""
    if not rest.startswith("["):
        return None
    try:
        words: object = json.loads(rest)
    except json.JSONDecodeError:
        return None
    return [str(each) for each in words] if isinstance(words, list) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON


def read_dockerfile(text: str, file: str) -> tuple[Stop, FoundCommand | None, dict[str, Fact[str]], Fact[str] | None]:
    """Return how the container of the last stage is stopped, its server, its variables, and a script that it starts."""
    stop = Stop(kind="docker", unit=file, place=Place(file, 0, "container"))
    variables: dict[str, Fact[str]] = {}
    entry: tuple[str, int, str] | None = None
    command: tuple[str, int, str] | None = None
    for name, rest, line in _instructions(text):
        if name == "FROM":
            entry = command = None
            stop.signal = None
        elif name == "STOPSIGNAL":
            signal = {"2": "SIGINT", "3": "SIGQUIT", "9": "SIGKILL", "15": "SIGTERM"}.get(rest, rest)
            stop.signal = Fact(
                signal if signal.startswith("SIG") else f"SIG{signal}", Place(file, line, f"{name} {rest}")
            )
        elif name == "ENV":
            for word in split(rest) if "=" in rest else ["=".join(rest.split(None, 1))]:
                key, equals, value = word.partition("=")
                if equals:
                    variables[key] = Fact(value, Place(file, line, f"ENV {word}"))
        elif name == "ENTRYPOINT":
            entry, command = (rest, line, name), None
        elif name == "CMD":
            command = (rest, line, name)
    if "PROMETHEUS_MULTIPROC_DIR" in variables:
        stop.texts["metrics_folder"] = variables["PROMETHEUS_MULTIPROC_DIR"]
    found, script = None, None
    words: list[str] = []
    for each in (entry, command):
        if each is None:
            continue
        rest, line, name = each
        place = Place(file, line, f"{name} {rest}")
        form = _form(rest)
        if form is None:
            inner = split(rest)
            part = find_command(inner, place, variables)
            if part is not None:
                part.shell = "exec" not in inner[:3]
                found = part
        else:
            words += form
            found = find_command(words, place, variables) or found
            script = next((Fact(word, place) for word in form if word.endswith(".sh")), script)
        if found is not None:
            stop.place = place
    return stop, found, variables, script


def read_script(text: str, file: str) -> FoundCommand | None:
    """Return the server that a shell script starts last; the shell stays if the line does not begin with exec."""
    found: FoundCommand | None = None
    variables = _assigned(text, file)
    for name, rest, line in _instructions(text):
        words = split(f"{name.lower() if name == name.upper() else name} {rest}")
        raw = text.splitlines()[line - 1].strip()
        words = split(raw) if not raw.endswith("\\") else [raw.split()[0], *words[1:]]
        if not words or words[0] in ("if", "while", "echo", "set", "#", "for"):
            continue
        command = find_command(words, Place(file, line, raw.rstrip("\\").strip()), variables)
        if command is not None:
            command.shell = words[0] != "exec"
            found = command
    return found


def _assigned(text: str, file: str) -> dict[str, Fact[str]]:
    """Return the variables of a script: ``NAME=value``, and ``: "${NAME:=value}"``, which is a default."""
    found: dict[str, Fact[str]] = {}
    for index, raw in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*(?:export\s+)?([A-Z]\w*)=(\S+)\s*$", raw)
        match = match or re.match(r"\s*:\s+\"?\$\{(\w+):?=([^}]*)\}", raw)
        value = match[2].strip("\"'") if match else ""
        default = re.fullmatch(r"\$\{\w+:?-([^}]*)\}", value)
        value = default[1] if default else value
        if match and "$" not in value and "`" not in value:
            found[match[1]] = Fact(value, Place(file, index, raw.strip()))
    return found


def read_procfile(text: str, file: str) -> tuple[Stop, FoundCommand] | None:
    """Return the web process of a Procfile, which Heroku stops after 30 seconds."""
    for index, raw in enumerate(text.splitlines(), 1):
        name, colon, rest = raw.partition(":")
        if not colon or name.strip() != "web":
            continue
        place = Place(file, index, raw.strip())
        words = split(rest.strip())
        command = find_command(words, place)
        if command is None:
            return None
        stop = Stop(kind="heroku", unit=file, place=place)
        stop.seconds = Fact(30.0, Place(file, 0, "Heroku kills a process 30 s after SIGTERM"))
        return stop, command
    return None


def _variables(service: Map, file: str) -> dict[str, Fact[str]]:
    given = service.get("environment")
    found: dict[str, Fact[str]] = {}
    if isinstance(given, Map):
        for key, value in given.items():
            if value is not None:
                found[str(key)] = Fact(str(value), given.place(key, f"{key}: {value}"))
    for each in listed(given):
        key, equals, value = str(each).partition("=")
        if equals:
            found[key] = Fact(value, service.place("environment", str(each)))
    return found


def read_compose(
    document: Map, file: str, files: Files
) -> list[tuple[Stop, FoundCommand | None, dict[str, Fact[str]]]]:
    """Return the services of a compose file: how each is stopped, and its server."""
    found: list[tuple[Stop, FoundCommand | None, dict[str, Fact[str]]]] = []
    for name, service in mapped(document.get("services")).items():
        if not isinstance(service, Map):
            continue
        unit = f"{file}#{name}"
        place = mapped(document.get("services")).place(name, f"service {name}")
        stop = Stop(kind="compose", unit=unit, place=place)
        variables = _variables(service, file)
        command = _command(service, file, variables)
        period, signal = service.get("stop_grace_period"), service.get("stop_signal")
        if period is not None:
            waits = seconds(str(period))
            place = service.place("stop_grace_period", f"stop_grace_period: {period}")
            stop.seconds = None if waits is None else Fact(waits, place)
        else:
            stop.seconds = Fact(10.0, replace(place, text=f"{name}: stop_grace_period is not set: 10 s"), False)
        if signal is not None:
            text = str(signal) if str(signal).startswith("SIG") else f"SIG{signal}"
            stop.signal = Fact(text, service.place("stop_signal", f"stop_signal: {signal}"))
        limits = mapped(mapped(mapped(service.get("deploy")).get("resources")).get("limits"))
        memory = service.get("mem_limit") or limits.get("memory")
        held = size(str(memory)) if memory is not None else None
        if held is not None:
            at = service.place("mem_limit", "") if "mem_limit" in service else limits.place("memory", "")
            stop.numbers["memory"] = Fact(held, replace(at, text=f"memory: {memory}"))
        if service.get("read_only") is True:
            stop.texts["read_only"] = Fact("true", service.place("read_only", "read_only: true"))
            if "nginx" in str(service.get("image", "")):
                stop.texts["nginx_temp"] = Fact(str(service.get("image")), service.place("image", "nginx"))
        _volumes(service, document, stop, file)
        folder = variables.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is not None:
            stop.texts["metrics_folder"] = folder
        for key, value in _pairs(service.get("sysctls")).items():
            limit = number(value)
            if key == "net.core.somaxconn" and limit is not None:
                files.numbers["somaxconn"] = Fact(limit, service.place("sysctls", f"{key}: {value}"))
        files_open = mapped(mapped(service.get("ulimits")).get("nofile"))
        hard = files_open.get("soft") or mapped(service.get("ulimits")).get("nofile")
        if isinstance(hard, int):
            stop.numbers["nofile"] = Fact(float(hard), service.place("ulimits", f"nofile: {hard}"))
        found.append((stop, command, variables))
    return found


def _pairs(value: object) -> dict[str, str]:
    if isinstance(value, Map):
        return {str(key): str(each) for key, each in value.items()}
    return {key: text for key, _, text in (str(each).partition("=") for each in listed(value))}


def _command(service: Map, file: str, variables: Mapping[str, Fact[str]]) -> FoundCommand | None:
    words: list[str] = []
    given = [key for key in ("entrypoint", "command") if service.get(key) is not None]
    for key in given:
        value = service.get(key)
        words += split(value) if isinstance(value, str) else [str(each) for each in listed(value)]
    if not given:
        return None
    place = service.place(given[-1], f"{given[-1]}: {' '.join(words)}"[:200])
    return find_command(words, place, variables)


def _volumes(service: Map, document: Map, stop: Stop, file: str) -> None:
    shared: list[str] = []
    writable: list[str] = []
    for each in listed(service.get("volumes")):
        if isinstance(each, Map):
            target, kind = str(each.get("target", "")), str(each.get("type", "volume"))
            (writable if kind == "tmpfs" else shared).append(target)
        else:
            parts = str(each).split(":")
            if len(parts) > 1 and not (len(parts) > 2 and "ro" in parts[2].split(",")):
                shared.append(parts[1])
    tmpfs = service.get("tmpfs")
    writable += [str(each).split(":")[0] for each in ([tmpfs] if isinstance(tmpfs, str) else listed(tmpfs))]
    if shared:
        stop.texts["shared_paths"] = Fact(" ".join(shared), service.place("volumes", "volumes: " + ", ".join(shared)))
    if writable or shared:
        stop.texts["write_paths"] = Fact(" ".join([*writable, *shared]), service.place("tmpfs", "tmpfs"))


def is_dockerfile(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    return name in ("dockerfile", "containerfile") or name.startswith("dockerfile.") or name.endswith(".dockerfile")


def looks_like_script(text: str) -> bool:
    return bool(re.match(r"#!.*\b(ba|da|a)?sh\b", text))
