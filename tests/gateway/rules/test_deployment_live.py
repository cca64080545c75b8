"""The facts behind the deployment rules, under the real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, start
from tests.middleware.live import ask

HELLO = """
from gateway import Gateway
from gateway.middleware import SecurityHeaders

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0"), ("Server", "mine")])
    return []

app = Gateway(wsgi, middleware=[SecurityHeaders()])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("uvicorn", "uvicorn", "--no-server-header"),
        ("waitress", "waitress", "--ident="),
        ("daphne", "daphne", "--no-server-name"),
        ("hypercorn-asyncio", "hypercorn-h11", "--config=hypercorn.toml"),
    ],
)
def test_a_server_adds_its_own_server_header_unless_told_not_to(
    name: str, value: str, option: str, tmp_path: Path
) -> None:
    (tmp_path / "sv_header.py").write_text(HELLO)
    (tmp_path / "hypercorn.toml").write_text("include_server_header = false\n")
    option = option.replace("=hypercorn", f"={tmp_path}/hypercorn")
    for arguments, expected in ((), [value]), ((option,), []):
        launch = Launch(target="sv_header:app", bind=Bind(port=0), app_dir=str(tmp_path), arguments=arguments)
        with start(servers.get(name), launch) as running:
            assert ask(running.bind, "GET", "/", (("Host", "test"),)).all("server") == expected
