"""A new user runs only the commands that `gateway generate nginx` prints, and has a running deployment.

The commands run as they are printed, below a folder instead of the machine's root. systemd must be process 1, so
`systemctl` only notes its arguments here. systemd's own programs do its work afterwards: `systemd-analyze` checks the
units. `systemd-socket-activate` holds the socket, and starts ExecStart with the unit's environment.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fresh import ROOT, found_by_pip
from tests.tiers.deployed import PATH, Deployed, Process, changed, free_port, missing, until

pytestmark = pytest.mark.slow

HOST = "shop.example.com"
FLASK = """\
from flask import Flask, request

from gateway import Gateway
from gateway.middleware import behind_nginx

flask = Flask(__name__)


@flask.get("/")
def home():
    return f"{request.scheme} {request.remote_addr}"


app = Gateway(flask, middleware=behind_nginx(hosts=["shop.example.com"]))
"""


class Machine:
    """The root of a clean machine, which is a folder here, and the commands of its user."""

    def __init__(self, root: Path, wheel: Path) -> None:
        self.root, self.project = root, root / "home" / "project"
        for folder in ("srv", "etc/systemd/system", "etc/ssl", "etc/nginx", "run/shop", "bin", "home/project"):
            (root / folder).mkdir(parents=True)
        for name in ("apt-get", "systemctl"):
            stub = root / "bin" / name
            stub.write_text(f'#!/bin/sh\necho "{name} $*" >> {root}/noted\n')
            stub.chmod(0o755)
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self.env = {
            **outside,
            **found_by_pip(wheel),
            "PATH": f"{root}/bin:{PATH}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def type(self, command: str) -> str:
        """Run a command in the project, below this root."""
        command = re.sub(r"(?<![\w.-])/(srv|etc|run)/", rf"{self.root}/\1/", command)
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.project,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def here(self, text: str) -> str:
        return re.sub(r"(?<![\w.-])/(srv|etc/ssl|run|var/log)/", rf"{self.root}/\1/", text)

    def noted(self) -> list[str]:
        return (self.root / "noted").read_text().splitlines()


def follow(machine: Machine, target: str) -> list[str]:
    """Generate, and run what is printed; return the commands."""
    printed = subprocess.run(
        [sys.executable, "-m", "gateway", "generate", "nginx", *target.split(), "--set", "name=shop"],
        cwd=machine.project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert printed.returncode == 0, printed.stderr
    commands = [line.strip() for line in printed.stdout.splitlines() if line.startswith("  ")]
    assert "note:" not in printed.stdout, printed.stdout
    for command in commands:
        machine.type(command)
    return commands


def unit(machine: Machine, name: str) -> dict[str, list[str]]:
    """Return the settings of an installed unit; systemd's own check finds no fault in it."""
    file = machine.root / "etc/systemd/system" / name
    text = machine.here(file.read_text())
    file.write_text(text)
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def served(machine: Machine) -> None:
    """Do the work of systemd: hold the socket, start the service at the first connection; and start NGINX."""
    socket, service = unit(machine, "shop.socket"), unit(machine, "shop.service")
    units = [str(machine.root / "etc/systemd/system" / name) for name in ("shop.socket", "shop.service")]
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "Unknown" not in checked.stderr, checked.stderr
    assert str(machine.root) not in checked.stderr, checked.stderr
    variables = [word for setting in service["Environment"] for word in ("-E", setting)]
    [listen], [command], [folder] = socket["ListenStream"], service["ExecStart"], service["WorkingDirectory"]
    program = shutil.which("systemd-socket-activate", path=PATH)
    activate = [str(program), "-l", listen, *variables, "-E", f"PATH={PATH}", *shlex.split(command)]
    server = Process(
        ["sh", "-c", f"cd {folder} && exec {shlex.join(activate)}"], machine.root / "server.log", PYTHONPATH=""
    )
    conf = machine.root / "etc/nginx/nginx.conf"
    port = free_port()
    changes = {"listen 80": f"listen 127.0.0.1:{free_port()}", "listen 443": f"listen 127.0.0.1:{port}"}
    changes |= {"/run/nginx.pid": f"{machine.root}/run/nginx.pid"}
    changes |= {"user www-data;": "daemon off;" + (" user root;" if os.geteuid() == 0 else "")}
    (machine.root / "var/log/nginx").mkdir(parents=True)
    conf.write_text(machine.here(changed(conf.read_text(), changes)))
    front = Process([str(shutil.which("nginx", path=PATH)), "-c", str(conf)], machine.root / "nginx.log")
    try:
        (machine.root / "certificate.pem").write_bytes((machine.root / "etc/ssl/shop/certificate.pem").read_bytes())
        running = Deployed(machine.root, port)
        until(lambda: (machine.root / "run/nginx.pid").exists() and (machine.root / "run/shop/shop.sock").exists())
        answer = running.ask("GET", "/", host=HOST)
        log = (machine.root / "server.log").read_text()
        assert answer.status == 200, log
        assert answer.body in (b"https 127.0.0.1", b"Django: https")
        assert server.stop() == 0
    finally:
        front.stop()
        server.stop()


def skip_without_programs() -> None:
    if reason := missing("nginx", "systemd-analyze", "systemd-socket-activate"):
        pytest.skip(reason)


def test_a_flask_project_is_served_after_six_printed_commands(tmp_path: Path, wheel: Path) -> None:
    skip_without_programs()
    machine = Machine(tmp_path, wheel)
    (machine.project / "shop.py").write_text(FLASK)
    (machine.project / "requirements.txt").write_text("flask\n")
    assert len(follow(machine, "shop:app")) <= 6
    assert machine.noted() == [
        "apt-get install -y nginx python3-venv openssl",
        "systemctl enable --now shop.socket",
        "systemctl restart nginx",
    ]
    served(machine)


def test_a_django_project_is_served_after_six_printed_commands(tmp_path: Path, wheel: Path) -> None:
    skip_without_programs()
    machine = Machine(tmp_path, wheel)
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", "."], cwd=machine.project, check=True)
    settings = machine.project / "mysite" / "settings.py"
    settings.write_text(
        changed(
            settings.read_text(), {"ALLOWED_HOSTS = []": f"ALLOWED_HOSTS = ['{HOST}']", "DEBUG = True": "DEBUG = False"}
        )
    )
    (machine.project / "mysite" / "urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        "urlpatterns = [path('', lambda request: HttpResponse(f'Django: {request.scheme}'))]\n"
    )
    wsgi = machine.project / "mysite" / "wsgi.py"
    wsgi.write_text(
        wsgi.read_text()
        + "\nfrom gateway import Gateway\nfrom gateway.middleware import behind_nginx\n"
        + f"application = Gateway(application, middleware=behind_nginx(hosts=['{HOST}']))\n"
    )
    assert len(follow(machine, "mysite.wsgi:application")) <= 6  # and no requirements.txt
    served(machine)
