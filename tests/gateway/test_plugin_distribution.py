"""A distribution of somebody else's is picked up after ``pip install``, with nothing else done."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "plugins" / "anytier-example"

PROGRAM = """
import json, sys
from pathlib import Path
from gateway.config import load
from gateway.plugins import available
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
                      for kind in ("engine", "middleware")},
    "headers": headers,
}))
"""


@pytest.mark.slow
def test_an_installed_plug_in_adds_an_engine_and_a_middleware(tmp_path: Path) -> None:
    target = tmp_path / "site"
    # An environment made by uv has no pip of its own.
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
    # A copy: a build writes beside the source.
    source = tmp_path / "source"
    shutil.copytree(EXAMPLE, source)
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
        "distributions": {"engine": ["anytier-example 1.0"], "middleware": ["anytier-example 1.0"]},
        "headers": {"wsgi": "hello shop, in wsgi", "asgi": "hello shop, in asgi"},
    }
