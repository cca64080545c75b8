"""Read systemd units: services, sockets and their drop-ins.

Sources: systemd.syntax(7), systemd.service(5), systemd.socket(5), systemd.exec(5), systemd.kill(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from gateway.check.files.commands import FoundCommand, find_command, split
from gateway.check.files.units import number, octal, seconds
from gateway.hazards.facts import Fact, Place, Socket, Stop

__all__ = ["Unit", "environment", "read_service", "read_socket", "units"]

_ON = ("yes", "true", "1", "on")


@dataclass
class Unit:
    """The settings of a unit with its drop-ins: each key with all of its values."""

    file: str
    values: dict[str, list[Fact[str]]] = field(default_factory=lambda: dict[str, list[Fact[str]]]())

    def all(self, key: str) -> list[Fact[str]]:
        return self.values.get(key, [])

    def one(self, key: str) -> Fact[str] | None:
        found = self.all(key)
        return found[-1] if found else None


def _parse(text: str, file: str, into: Unit) -> None:
    section, line, index = "", "", 0
    for number_, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if line:
            line += " " + stripped.rstrip("\\").strip()
        elif not stripped or stripped[0] in "#;":
            continue
        else:
            line, index = stripped.rstrip("\\").strip() if stripped.endswith("\\") else stripped, number_
        if stripped.endswith("\\"):
            continue
        match = re.fullmatch(r"\[(.+)\]", line)
        if match:
            section = match[1]
        else:
            key, equals, value = line.partition("=")
            if equals:
                name = f"{section}.{key.strip()}"
                if not value.strip():
                    into.values.pop(name, None)  # an empty value resets the list
                else:
                    place = Place(file, index, f"{key.strip()}={value.strip()}")
                    into.values.setdefault(name, []).append(Fact(value.strip(), place))
        line = ""


def units(files: Mapping[str, str]) -> list[Unit]:
    """Return the units of the files; a drop-in is a part of its unit."""
    found: dict[str, Unit] = {}
    dropins: list[tuple[str, str]] = []
    for path, text in files.items():
        folder = PurePosixPath(path).parent.name
        if folder.endswith((".service.d", ".socket.d")) or path.endswith(".conf"):
            dropins.append((path, text))
            continue
        unit = found.setdefault(path, Unit(path))
        _parse(text, path, unit)
    for path, text in sorted(dropins):
        folder = PurePosixPath(path).parent.name.removesuffix(".d")
        wanted = next((unit for name, unit in found.items() if PurePosixPath(name).name == folder), None)
        if wanted is None:
            services = [unit for name, unit in found.items() if name.endswith(".service")]
            wanted = services[0] if len(services) == 1 else found.setdefault(path, Unit(path))
        _parse(text, path, wanted)
    return list(found.values())


def read_socket(unit: Unit) -> Socket | None:
    """Return a socket unit."""
    address = unit.one("Socket.ListenStream")
    if address is None:
        return None
    mode, backlog = unit.one("Socket.SocketMode"), unit.one("Socket.Backlog")
    bits = octal(mode.value) if mode is not None else None
    removed = unit.one("Socket.RemoveOnStop")
    count = number(backlog.value) if backlog is not None else None
    return Socket(
        place=Place(unit.file, 0, "socket unit"),
        address=address,
        user=unit.one("Socket.SocketUser"),
        group=unit.one("Socket.SocketGroup"),
        mode=None if mode is None or bits is None else Fact(bits, mode.place),
        backlog=None if backlog is None or count is None else Fact(count, backlog.place),
        removed=removed.place if removed is not None and removed.value.lower() in _ON else None,
    )


def environment(unit: Unit) -> dict[str, Fact[str]]:
    """Return the variables of a unit."""
    found: dict[str, Fact[str]] = {}
    for fact in unit.all("Service.Environment"):
        for word in split(fact.value):
            name, equals, value = word.partition("=")
            if equals:
                found[name] = Fact(value, Place(fact.place.file, fact.place.line, word))
    return found


def read_service(unit: Unit) -> tuple[Stop, FoundCommand | None]:
    """Return how a service is stopped, and the command of its server."""
    started = unit.one("Service.ExecStart")
    place = started.place if started is not None else Place(unit.file, 0, "service")
    stop = Stop(kind="systemd", unit=unit.file, place=place)
    limit = unit.one("Service.TimeoutStopSec") or unit.one("Service.TimeoutSec")
    if limit is not None:
        value = seconds(limit.value)
        stop.seconds = None if value is None else Fact(value, limit.place)
    elif started is not None:
        stop.seconds = Fact(90.0, Place(unit.file, 0, "TimeoutStopSec is not set: 90 s"), False)
    signal = unit.one("Service.KillSignal")
    if signal is not None:
        name = signal.value if signal.value.startswith("SIG") else f"SIG{signal.value}"
        stop.signal = Fact(
            {"SIG15": "SIGTERM", "SIG2": "SIGINT", "SIG3": "SIGQUIT", "SIG9": "SIGKILL"}.get(name, name), signal.place
        )
    reload = unit.one("Service.ExecReload")
    if reload is not None and re.search(r"HUP|-1\b", reload.value):
        stop.reload = reload.place
    files = unit.one("Service.LimitNOFILE")
    count = number(files.value.split(":")[0]) if files is not None else None
    if files is not None and count is not None:
        stop.numbers["nofile"] = Fact(count, files.place)
    _texts(unit, stop)
    variables = environment(unit)
    if "PROMETHEUS_MULTIPROC_DIR" in variables:
        stop.texts["metrics_folder"] = variables["PROMETHEUS_MULTIPROC_DIR"]
    command = None
    if started is not None:
        command = find_command(split(re.sub(r"^[-@:+!]+", "", started.value)), started.place, variables)
    stopped = unit.one("Service.ExecStop")
    if stopped is not None:
        killed = re.search(r"-s\s+(?:SIG)?(\w+)|-(?:SIG)?(KILL|INT|QUIT|TERM|9|2|3)\b", stopped.value)
        if killed is not None:
            name = killed[1] or killed[2]
            name = {"9": "KILL", "2": "INT", "3": "QUIT", "15": "TERM"}.get(name, name)
            stop.signal = Fact(f"SIG{name}", stopped.place)
    return stop, command


def _texts(unit: Unit, stop: Stop) -> None:
    runtime = unit.all("Service.RuntimeDirectory")
    if runtime:
        names = " ".join(f"/run/{name}" for fact in runtime for name in fact.value.split())
        stop.texts["runtime_directory"] = Fact(names, runtime[-1].place)
    state = [
        f"{root}/{name}"
        for key, root in (
            ("StateDirectory", "/var/lib"),
            ("CacheDirectory", "/var/cache"),
            ("LogsDirectory", "/var/log"),
        )
        for fact in unit.all(f"Service.{key}")
        for name in fact.value.split()
    ]
    paths = [word.lstrip("-+") for fact in unit.all("Service.ReadWritePaths") for word in fact.value.split()]
    writable = [*state, *paths]
    if writable:
        stop.texts["write_paths"] = Fact(" ".join(writable), Place(unit.file, 0, "ReadWritePaths"))
    for key, name, wanted in (
        ("RuntimeDirectoryPreserve", "runtime_preserve", (*_ON, "restart")),
        ("ProtectSystem", "protect_system", ("strict",)),
        ("PrivateTmp", "private_tmp", (*_ON, "disconnected")),
    ):
        fact = unit.one(f"Service.{key}")
        if fact is not None and fact.value.lower() in wanted:
            stop.texts[name] = fact
    mode = unit.one("Service.KillMode")
    if mode is not None:
        stop.texts["kill_mode"] = mode
    before = unit.all("Service.ExecStartPre") + unit.all("Service.ExecStopPost")
    cleaning = [fact for fact in before if re.search(r"\brm\b|\binstall\b|\bmkdir\b|-delete", fact.value)]
    if cleaning:
        stop.texts["cleans"] = Fact(" ".join(fact.value for fact in cleaning), cleaning[0].place)
    for key in ("User", "Group"):
        fact = unit.one(f"Service.{key}")
        if fact is not None:
            stop.texts[key.lower()] = fact
