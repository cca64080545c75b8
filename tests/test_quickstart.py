"""A reader who follows only the pages has a served page, after at most five commands of a page."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.fresh import ROOT, found_by_pip, python_in

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "tutorial" / "quickstart.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MOST_COMMANDS = 5


def section(page: Path, title: str) -> str:
    """Return the text below a heading, up to the next one."""
    _, found, text = page.read_text(encoding="utf-8").partition(f"# {title}\n")
    assert found, f"{page} has no section {title}"
    return re.split(r"^##+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


class Reader:
    """A reader in an empty folder: writes each file, and types each command, that a page shows.

    The port is the one thing that a reader may choose: 8000 may be taken on the machine of the tests.
    """

    def __init__(self, folder: Path, wheel: Path, **env: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder = folder
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self.env = {**outside, **found_by_pip(wheel), **env}
        self.commands: list[str] = []
        self.served = ""
        self.server: subprocess.Popen[str] | None = None

    def follow(self, text: str, *, files: bool = True) -> None:
        for language, block in BLOCK.findall(text):
            if language == "console":
                for line in block.replace("\\\n", " ").splitlines():
                    self.type(line.removeprefix("$ "))
            elif files and (name := re.match(r"# ([\w/]+\.py)\n", block)):
                (self.folder / name[1]).write_text(block, encoding="utf-8")

    def type(self, command: str) -> None:
        self.commands.append(command)
        command = command.replace("127.0.0.1:8000", self.address)
        if "gateway run" in command:
            self.server = subprocess.Popen(
                f"exec {command} --bind {self.address}", shell=True, cwd=self.folder, env=self.env, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            return
        if command.startswith("curl"):
            self.until_it_responds()
            command += " --silent --show-error --fail"
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        self.served = done.stdout

    def until_it_responds(self) -> None:
        assert self.server is not None, "nothing was started before curl"
        host, port = self.address.split(":")
        end = time.monotonic() + 60
        while time.monotonic() < end and self.server.poll() is None:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)  # nothing tells that another process listens
        self.server.kill()
        pytest.fail(f"{self.commands}: {self.server.communicate()[0]}")

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.communicate(timeout=30)
            self.server = None


@pytest.mark.parametrize(
    ("title", "page"),
    [("Flask", "Hello from any server."), ("Django", "The install worked"), ("FastAPI", '{"hello":"any server"}')],
)
def test_the_quickstart_ends_with_a_served_page(title: str, page: str, wheel: Path, tmp_path: Path) -> None:
    text = section(QUICKSTART, title)
    reader = Reader(tmp_path, wheel)
    try:
        reader.follow(text, files=title != "Django")
        assert page in reader.served
        assert len(reader.commands) <= MOST_COMMANDS
        if title == "Django":  # the module that it shows afterwards, in the place of the project's own
            reader.stop()
            [(_, block)] = [found for found in BLOCK.findall(text) if found[0] == "python"]
            assert block.startswith("# mysite/wsgi.py\n")
            (tmp_path / "mysite" / "wsgi.py").write_text(block, encoding="utf-8")
            for command in reader.commands[-2:]:
                reader.type(command)
            assert page in reader.served
    finally:
        reader.stop()


def test_the_programs_of_the_readme_end_with_a_served_page(wheel: Path, tmp_path: Path) -> None:
    """The three programs lie in one folder, as the third one uses the first; each has an environment of its own."""
    for title, page in (
        ("Flask under uvicorn", "Hello from any server."),
        ("Django with WebSockets in one process", "The install worked"),
        ("FastAPI inside a Flask site", '["tea","coffee"]'),
    ):
        programs = python_in(tmp_path / title).parent
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        reader = Reader(folder, wheel, PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
        try:
            reader.follow(section(README, title))
            assert page in reader.served
            assert len(reader.commands) <= MOST_COMMANDS
            if "WebSockets" in title:
                with connect(f"ws://{reader.address}/echo") as websocket:
                    websocket.send("hello")
                    assert websocket.recv(timeout=10) == "hello"
        finally:
            reader.stop()
