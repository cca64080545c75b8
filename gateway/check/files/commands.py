"""Read the command of an application server, with the settings that it gives, and with those that it leaves alone.

A command stands in a unit, a Dockerfile, a manifest, a compose file or a Procfile. The option tables hold the options
that a rule needs, with the servers' defaults.

Sources: ``gunicorn --help``, ``uvicorn --help``, ``granian --help``, ``hypercorn --help``, ``waitress-serve --help``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gateway.check.files.units import number, octal
from gateway.hazards.facts import Fact, Place, Server

__all__ = ["FoundCommand", "defaults", "find_command", "read_command", "split"]

#: Options by server: option to (name of the fact, kind). ``flag`` sets the value behind the colon.
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "gunicorn": {
        **dict.fromkeys(("-b", "--bind"), "bind"),
        **dict.fromkeys(("-w", "--workers"), "workers:number"),
        "--threads": "threads:number",
        **dict.fromkeys(("-k", "--worker-class"), "worker_class"),
        **dict.fromkeys(("-t", "--timeout"), "timeout:number"),
        "--graceful-timeout": "graceful_timeout:number",
        "--keep-alive": "keep_alive:number",
        "--max-requests": "max_requests:number",
        "--max-requests-jitter": "max_requests_jitter:number",
        "--backlog": "backlog:number",
        "--limit-request-line": "limit_request_line:number",
        "--limit-request-field_size": "limit_request_field_size:number",
        "--limit-request-field-size": "limit_request_field_size:number",
        "--worker-connections": "worker_connections:number",
        "--worker-tmp-dir": "worker_tmp_dir",
        "--forwarded-allow-ips": "forwarded_allow_ips",
        "--access-logfile": "access_log",
        **dict.fromkeys(("-m", "--umask"), "umask:octal"),
        **dict.fromkeys(("--preload", "--preload-app"), "preload:flag"),
        "--no-control-socket": "control_socket:flag",
        **dict.fromkeys(("-c", "--config"), "config"),
        **dict.fromkeys(
            ("-n", "--name", "-e", "--env", "-u", "--user", "-g", "--group", "--chdir", "--pythonpath"), ""
        ),
        **dict.fromkeys(("--log-level", "--error-logfile", "--log-file", "-p", "--pid", "--log-config"), ""),
        **dict.fromkeys(("--access-logformat", "--certfile", "--keyfile", "--protocol", "--statsd-host"), ""),
    },
    "uvicorn": {
        "--host": "host",
        "--port": "port",
        "--uds": "uds",
        "--fd": "fd",
        "--workers": "workers:number",
        "--timeout-keep-alive": "keep_alive:number",
        "--timeout-graceful-shutdown": "graceful_timeout:number",
        "--backlog": "backlog:number",
        "--limit-concurrency": "limit_concurrency:number",
        "--limit-max-requests": "max_requests:number",
        "--forwarded-allow-ips": "forwarded_allow_ips",
        "--proxy-headers": "proxy_headers:flag",
        "--no-proxy-headers": "no_proxy_headers:flag",
        **dict.fromkeys(("--log-level", "--log-config", "--env-file", "--root-path", "--loop", "--http", "--ws"), ""),
        **dict.fromkeys(("--lifespan", "--interface", "--app-dir", "--header", "--ssl-keyfile", "--ssl-certfile"), ""),
    },
    "hypercorn": {
        **dict.fromkeys(("-b", "--bind"), "bind"),
        **dict.fromkeys(("-w", "--workers"), "workers:number"),
        "--keep-alive": "keep_alive:number",
        "--graceful-timeout": "graceful_timeout:number",
        "--backlog": "backlog:number",
        "--max-requests": "max_requests:number",
        "--max-requests-jitter": "max_requests_jitter:number",
        **dict.fromkeys(("-m", "--umask"), "umask:octal"),
        **dict.fromkeys(("-c", "--config"), "config"),
        **dict.fromkeys(("-k", "--worker-class", "--access-logfile", "--error-logfile"), ""),
    },
    "granian": {
        "--host": "host",
        "--port": "port",
        "--uds": "uds",
        "--workers": "workers:number",
        "--blocking-threads": "threads:number",
        "--backlog": "backlog:number",
        "--interface": "interface",
        "--uds-permissions": "socket_perms",
        "--workers-kill-timeout": "graceful_timeout:number",
        **dict.fromkeys(("--loop", "--http", "--log-level", "--runtime-mode"), ""),
    },
    "daphne": {
        **dict.fromkeys(("-b", "--bind"), "host"),
        **dict.fromkeys(("-p", "--port"), "port"),
        **dict.fromkeys(("-u",), "uds"),
        "--fd": "fd",
        "--proxy-headers": "proxy_headers:flag",
    },
    "waitress": {
        "--listen": "bind",
        "--host": "host",
        "--port": "port",
        "--unix-socket": "uds",
        "--unix-socket-perms": "socket_perms",
        "--threads": "threads:number",
        "--channel-timeout": "keep_alive:number",
        "--backlog": "backlog:number",
        "--trusted-proxy": "forwarded_allow_ips",
    },
    "cheroot": {"--bind": "bind", "--threads": "threads:number"},
}
#: Defaults by server: the numbers that count if nothing sets them.
_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "gunicorn": {
        "workers": 1,
        "threads": 1,
        "timeout": 30,
        "graceful_timeout": 30,
        "keep_alive": 2,
        "max_requests": 0,
        "max_requests_jitter": 0,
        "backlog": 2048,
        "limit_request_line": 4094,
        "limit_request_field_size": 8190,
        "worker_connections": 1000,
    },
    "uvicorn": {"keep_alive": 5, "workers": 1},
    "hypercorn": {"keep_alive": 5, "graceful_timeout": 3, "workers": 1},
    "granian": {"workers": 1},
    "daphne": {},
    "waitress": {"threads": 4, "workers": 1, "keep_alive": 120},
    "cheroot": {"workers": 1},
}
_PROGRAMS = {
    "waitress-serve": "waitress",
    **{name: name for name in ("gunicorn", "uvicorn", "hypercorn", "granian", "daphne", "waitress", "cheroot")},
}
_SHELLS = ("sh", "bash", "ash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/usr/bin/sh", "/bin/ash")


@dataclass
class FoundCommand:
    """A server's command: its words, its place, and the shell around it.

    Attributes:
        server: The server's family.
        words: The words after the program.
        place: The line.
        shell: A shell runs the command, and stays as its parent.
        environment: Variables set beside the command, with their places.
    """

    server: str
    words: list[str]
    place: Place
    shell: bool = False
    environment: Mapping[str, Fact[str]] | None = None


def find_command(
    words: Sequence[str], place: Place, environment: Mapping[str, Fact[str]] | None = None, *, shell: bool = False
) -> FoundCommand | None:
    """Return the server's command in the words of a command line; None if no known server is in it.

    Args:
        words: The words, as an exec form has them.
        place: The line.
        environment: Variables of the process.
        shell: A shell interprets the words.
    """
    rest = list(words)
    if rest and (rest[0] in _SHELLS or PurePosixPath(rest[0]).name in _SHELLS) and len(rest) > 1:
        flags = [each for each in rest[1:] if each.startswith("-")]
        script = next((each for each in rest[1:] if not each.startswith("-")), "")
        if any("c" in flag for flag in flags):
            return _of_script(script, place, environment)
        return None
    while rest:
        word = rest.pop(0)
        name = PurePosixPath(word).name
        if name in _SHELLS and len(rest) > 1 and rest[0].startswith("-") and "c" in rest[0]:
            return _of_script(rest[1], place, environment)
        if name in _PROGRAMS:
            return FoundCommand(_PROGRAMS[name], rest, place, shell, environment)
        if word == "-m" and rest and rest[0] in _PROGRAMS:
            return FoundCommand(_PROGRAMS[rest.pop(0)], rest, place, shell, environment)
    return None


def _of_script(script: str, place: Place, environment: Mapping[str, Fact[str]] | None) -> FoundCommand | None:
    """Return the command in a shell's ``-c``: the shell stays, unless the command begins with exec or is alone."""
    parts = [part.strip() for part in re.split(r"&&|;|\|\||\n", script) if part.strip()]
    for part in parts:
        words = split(part)
        found = find_command(words, place, environment)
        if found is not None:
            replaced = "exec" in words[:3] or re.search(r"\bexec\b", part) is not None
            found.shell = not replaced
            return found
    return None


def split(text: str) -> list[str]:
    """Split a command line into words; a line that a shell would refuse is split at blanks."""
    try:
        return shlex.split(text, comments=False)
    except ValueError:
        return text.split()


def _plain(value: str, environment: Mapping[str, Fact[str]] | None) -> str:
    """Return a value with the variables that are known; ``${PORT:-8000}`` has a default."""

    def known(match: re.Match[str]) -> str:
        fact = (environment or {}).get(match[1] or match[3])
        return fact.value if fact is not None else (match[2] or match[0])

    return re.sub(r"\$\{(\w+)(?::?-([^}]*))?\}|\$\(?(\w+)\)?", known, value)


def read_command(command: FoundCommand, file_settings: Server | None = None) -> tuple[Server, str | None]:
    """Return the server of a command, and the configuration file that it names.

    Args:
        command: The command.
        file_settings: The settings of the configuration file, on which the command's own go.
    """
    table = _OPTIONS.get(command.server, {})
    server = Server(name=command.server, worker="", place=command.place)
    if file_settings is not None:
        server.numbers.update(file_settings.numbers)
        server.texts.update(file_settings.texts)
        server.hooks = file_settings.hooks
        server.worker = file_settings.worker
        server.application = file_settings.application
    raw = server.texts
    words: list[str] = []
    for word in command.words:
        plain = _plain(word, command.environment)
        variable = re.fullmatch(r"\$\{?\w+\}?", word) is not None
        words += split(plain) if variable and plain != word else [plain]
        if variable and plain == word and command.server != "daphne":
            server.complete = False  # the variable may hold any option
    if command.server == "gunicorn" and command.environment and "GUNICORN_CMD_ARGS" in command.environment:
        words = [*split(command.environment["GUNICORN_CMD_ARGS"].value), *words]
    config, binds = None, list[str]()
    index = 0
    while index < len(words):
        word, equals, value = words[index].partition("=")
        index += 1
        if not word.startswith("-"):
            if ":" in word and not word.startswith(("http", "unix", "/")):
                server.application = words[index - 1]
            continue
        entry = table.get(word)
        if entry is None and len(word) > 2 and word[1] != "-" and word[:2] in table:
            entry, equals, value, word = table[word[:2]], "=", word[2:] + (equals + value if equals else ""), word[:2]
        if entry is None:
            continue
        name, _, kind = entry.partition(":")
        if kind != "flag" and not equals and index < len(words):
            value = words[index]
            index += 1
        text = f"{word} {value}".strip()
        place = Place(command.place.file, command.place.line, text)
        if kind == "number":
            given = number(value)
            if given is not None:
                server.numbers[name] = Fact(given, place)
            else:
                server.numbers.pop(name, None)
        elif kind == "octal":
            bits = octal(value) if value.startswith("0") else number(value)
            if bits is not None:
                server.numbers[name] = Fact(bits, place)
        elif kind == "flag":
            raw[name] = Fact("on", place)
        elif name == "config":
            config = value
        elif name == "bind":
            binds.append(value)
            raw["bind"] = Fact(",".join(binds), place)
        elif name:
            raw[name] = Fact(value, place)
    if config is not None and "gunicorn_hooks" in config:
        server.hooks = True
    if command.shell:
        raw["shell"] = Fact("shell", command.place)
    _addresses(server, command)
    _environment(server, command)
    return server, config


def _addresses(server: Server, command: FoundCommand) -> None:
    raw = server.texts
    if "uds" in raw:
        raw["bind"] = Fact(f"unix:{raw['uds'].value}", raw["uds"].place)
    elif "bind" not in raw and ("host" in raw or "port" in raw):
        fact = raw.get("port") or raw["host"]
        host = raw["host"].value if "host" in raw else "127.0.0.1"
        port = raw["port"].value if "port" in raw else "8000"
        raw["bind"] = Fact(f"{host}:{port}", fact.place)
    if "forwarded_allow_ips" not in raw and command.environment and server.name in ("gunicorn", "uvicorn"):
        given = command.environment.get("FORWARDED_ALLOW_IPS")
        if given is not None:
            raw["forwarded_allow_ips"] = given


def _environment(server: Server, command: FoundCommand) -> None:
    workers = (command.environment or {}).get("WEB_CONCURRENCY")
    count = number(workers.value) if workers is not None else None
    if workers is not None and count is not None:
        known = server.numbers.get("workers")
        if known is None or "environ" in known.place.text or "getenv" in known.place.text:
            server.numbers["workers"] = Fact(count, workers.place)


def defaults(server: Server) -> None:
    """Name the worker, and add the server's defaults if all of its settings can be seen."""
    chosen = server.texts.get("worker_class")
    threads = server.numbers.get("threads")
    if server.name == "gunicorn":
        name = "sync" if chosen is None else chosen.value
        if "uvicorn" in name.lower():
            server.worker = "uvicorn"
        elif name == "sync" and threads is not None and threads.value > 1:
            server.worker = "gthread"  # Gunicorn changes it by itself
        else:
            server.worker = name.rpartition(".")[2]
    elif server.name == "granian":
        interface = server.texts.get("interface")
        server.worker = "wsgi" if interface is not None and interface.value == "wsgi" else "asgi"
    else:
        server.worker = "wsgi" if server.name in ("waitress", "cheroot") else "asgi"
    if server.name == "waitress" and "bind" in server.texts and server.texts["bind"].value.startswith("unix:"):
        server.texts.setdefault("socket_perms", Fact("600", server.texts["bind"].place, False))
    if not server.complete:
        return
    for name, value in _DEFAULTS.get(server.name, {}).items():
        option = name.replace("_", "-").replace("keep-alive", "keep-alive")
        place = Place(server.place.file, 0, f"{server.name} without {option}: {value:g}")
        server.numbers.setdefault(name, Fact(float(value), place, False))
    if server.worker == "uvicorn":
        server.numbers.pop("timeout", None) if not server.numbers["timeout"].written else None
