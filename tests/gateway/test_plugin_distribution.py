"""The distribution of the page about plug-ins is picked up after ``pip install``, with no other step."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-plug-in.md"
FILES = re.compile(r"^```\w+\n(# ([\w/]+\.\w+)\n.*?)^```", re.MULTILINE | re.DOTALL)

PROGRAM = """
import json, sys
from pathlib import Path
from gateway.config import load
from gateway.plugins import available
from gateway.servers import Launch, get
from gateway.testing.clients import Client

gateway = load(Path(sys.argv[1]))
headers = {}
for interface in ("wsgi", "asgi"):
    with Client(gateway, interface=interface) as client:
        headers[interface] = client.get("/").headers["x-greeting"]
print(json.dumps({
    "engine": gateway.explain().engine,
    "crossed": gateway._chain._crossings.engine.crossed,
    "distributions": {kind: [p.distribution for p in available(kind).values() if p.distribution]
                      for kind in ("engine", "middleware", "server")},
    "server": get("uvicorn-h11").command(Launch(target="shop:app")).argv[1:5],
    "headers": headers,
}))
"""


@pytest.mark.slow
def test_an_installed_plug_in_adds_an_engine_a_middleware_and_a_server(tmp_path: Path) -> None:
    target = tmp_path / "site"
    # An environment made by uv has no pip of its own.
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
    source = tmp_path / "source"
    (source / "anytier_example").mkdir(parents=True)
    files = FILES.findall(PAGE.read_text(encoding="utf-8"))
    assert len(files) == 4
    for text, name in files:
        (source / name).write_text(text, encoding="utf-8")
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--target", str(target), str(source)], check=True, timeout=300
    )
    (tmp_path / "shop.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('content-type', 'text/plain'), ('content-length', '2')])\n"
        "    return [b'ok']\n"
    )
    config = tmp_path / "gateway.toml"
    config.write_text(
        'application = "shop:app"\nengine = "example"\n[[middleware]]\nuse = "greeting"\noptions = { name = "shop" }\n'
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(Path(__file__).parents[2])])}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(config)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "engine": "example",
        "crossed": 1,
        "distributions": {kind: ["anytier-example 1.0"] for kind in ("engine", "middleware", "server")},
        "server": ["-m", "uvicorn", "--http", "h11"],
        "headers": {"wsgi": "hello shop, in wsgi", "asgi": "hello shop, in asgi"},
    }
