"""``gateway inspect``: the table, the text, the JSON, and what it needs to know."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway import servers
from gateway._version import __version__
from gateway.cli._group import group
from gateway.cli.inspect import command

SHOP = """
from gateway.application import Gateway
from gateway.chain import asgi_only, path_in, unless, wsgi_only
from gateway.mount import Mount
from tests.gateway.chain_parts import Guard, Mark, asgi_app, asgi_mark, wsgi_app, wsgi_mark

app = Gateway(asgi_app, middleware=[Mark(), unless(path_in("/x"), Guard()), asgi_only(asgi_mark)])
crossed = Gateway(wsgi_app, middleware=[Guard(), wsgi_only(wsgi_mark)])
site = Mount({"/chat": app, "/": wsgi_app})
guarded = Gateway(Gateway(site), middleware=[Guard()])
plain = asgi_app
number = 5

def create():
    return crossed
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module, as the current one."""
    (tmp_path / "inspected_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    sys.modules.pop("inspected_shop", None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if line.strip() and "─" not in line]


def test_the_table_has_a_row_for_each_middleware_and_each_adapter() -> None:
    result = run("inspected_shop:crossed")
    assert result.exit_code == 0
    assert rows(result.output) == [
        ["under", "WSGI", "servers"],
        ["interface", "what", "kind", "wrapper", "websocket"],
        ["1", "wsgi", "Guard", "WSGI+ASGI", "1", "-"],
        ["2", "wsgi", "wsgi_mark", "wsgi", "only", "2", "-"],
        ["wsgi", "wsgi_app", "application", "no:", "the", "application", "speaks", "WSGI"],
        ["no", "adapter,", "about", "1", "us", "a", "request"],
        ["under", "ASGI", "servers"],
        ["interface", "what", "kind", "wrapper", "websocket"],
        ["1", "asgi", "Guard", "WSGI+ASGI", "1", "-"],
        ["---", "WsgiToAsgi", "(builtin)", "adapter"],
        ["2", "wsgi", "wsgi_mark", "wsgi", "only", "2", "-"],
        ["wsgi", "wsgi_app", "application", "no:", "the", "application", "speaks", "WSGI"],
        ["1", "adapter,", "about", "48", "us", "a", "request"],
    ]


def test_the_table_says_who_sees_websockets_and_shares_a_wrapper() -> None:
    lines = rows(run("inspected_shop:app").output)
    asgi = lines[lines.index(["under", "ASGI", "servers"]) + 2 :]
    assert asgi[:4] == [
        ["1", "asgi", "Mark", "WSGI+ASGI", "1", "no"],
        ["2", "asgi", "unless(path_in('/x'),", "Guard)", "WSGI+ASGI", "1", "yes"],
        ["3", "asgi", "asgi_mark", "asgi", "only", "2", "yes"],
        ["asgi", "asgi_app", "application", "yes"],
    ]


def test_two_of_one_name_are_told_apart(shop: Path) -> None:
    (shop / "inspected_shop.py").write_text(
        SHOP + "def asgi_mark(app):\n    return wsgi_mark(app)\n"
        "from tests.gateway.chain_parts import asgi_mark as other\n"
        "app = Gateway(asgi_app, middleware=[wsgi_only(asgi_mark, safe_to_skip=True), asgi_only(other)])\n"
    )
    lines = rows(run("inspected_shop:app").output)
    asgi = lines[lines.index(["under", "ASGI", "servers"]) :]
    assert [line[-1] for line in asgi if "asgi_mark" in line[:3]] == ["no", "yes"]


def test_an_adapter_before_the_application_has_its_row() -> None:
    lines = rows(run("inspected_shop:plain").output)
    assert lines[2:4] == [
        ["---", "AsgiToWsgi", "(builtin)", "adapter"],
        ["asgi", "asgi_app", "application", "no:", "WSGI", "has", "no", "WebSockets"],
    ]


def test_warnings_stand_below_the_tables(shop: Path) -> None:
    (shop / "inspected_shop.py").write_text(
        SHOP + "import warnings\nwarnings.simplefilter('ignore')\n"
        "crossed = Gateway(asgi_app, middleware=[wsgi_only(wsgi_mark, safe_to_skip=True)])\n"
    )
    lines = run("inspected_shop:crossed").output.splitlines()
    assert any(line.startswith("warning: this chain has 2 adapters under ASGI servers") for line in lines)


def test_json_is_what_explain_says() -> None:
    import importlib

    result = run("inspected_shop:create", "--factory", "--format", "json")
    module = importlib.import_module("inspected_shop")
    assert json.loads(result.output) == {"": module.crossed.explain().as_dict()}
    assert run("inspected_shop:create()", "--format", "json").output == result.output


def test_a_mount_is_shown_place_by_place() -> None:
    assert list(json.loads(run("inspected_shop:site", "--format", "json").output)) == ["/chat", "/"]
    assert run("inspected_shop:site").output.startswith("/chat under WSGI servers")
    text = run("inspected_shop:site", "--format", "text").output
    assert text.startswith("/chat\nunder WSGI servers: 1 adapter")
    assert "\n\n/\nunder WSGI servers: no adapter" in text


def test_a_chain_around_a_mount_is_shown_before_its_places() -> None:
    found = json.loads(run("inspected_shop:guarded", "--format", "json").output)
    assert list(found) == ["", "/chat", "/"]
    assert [part["name"] for part in found[""]["servers"]["wsgi"]["order"]] == ["Guard"]


def test_text_is_what_explain_prints() -> None:
    result = run("inspected_shop:crossed", "--format", "text")
    assert result.output.startswith(
        "under WSGI servers: no adapter, about 1 us a request\n  wsgi  Guard (one wrapper)\n"
    )


def test_without_a_name_the_configuration_is_shown(shop: Path) -> None:
    (shop / "gateway.toml").write_text(
        'application = "inspected_shop:plain"\n[[middleware]]\nuse = "tests.gateway.chain_parts:Guard"\n'
    )
    lines = rows(run().output)
    assert ["1", "wsgi", "Guard", "WSGI+ASGI", "1", "-"] in lines


def test_a_module_without_a_name_shows_its_gateway(shop: Path) -> None:
    (shop / "inspected_guarded.py").write_text("from inspected_shop import plain as app, app as site\n")
    text = run("inspected_guarded", "--format", "text").output
    assert "Mark" in text
    sys.modules.pop("inspected_guarded")


def test_a_folder_of_its_own_is_imported_from(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert run("inspected_shop:crossed", "--app-dir", str(shop)).exit_code == 0


FAULTS = [
    (["inspected_shop:nothing"], "has no attribute 'nothing'"),
    (["inspected_shop:number"], "an application must be recognised"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS, ids=["absent", "no-application"])
def test_a_fault_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(group, ["inspect", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


#: Few servers, one of each kind, so that the reports are fast.
FEW = ("uvicorn", "daphne", "waitress", "wsgiref", "gevent")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway import servers
    from gateway.cli import _losses

    monkeypatch.setattr(_losses, "installed", lambda: tuple(map(servers.get, FEW)))


@pytest.mark.usefixtures("few")
def test_each_server_shows_what_the_application_loses_there() -> None:
    result = run("inspected_shop:plain", "--servers", "--format", "json")
    content = json.loads(result.output)
    assert set(content) == {"chains", "servers"}
    found = {each["server"]: each for each in content["servers"]}
    assert list(found) == list(FEW), "the application's own interface first"
    assert found["uvicorn"]["lost"] == []
    assert found["daphne"]["lost"] == ["startup and shutdown", "running requests at a stop"]
    assert found["waitress"]["lost"] == ["WebSockets"]
    assert found["waitress"]["adapter"] is True
    assert "uploads in chunks" in found["wsgiref"]["lost"]
    assert "gevent replaces the threads that ASGI needs" in found["gevent"]["refused"]


@pytest.mark.usefixtures("few")
def test_a_wsgi_application_loses_neither_websockets_nor_lifespan() -> None:
    result = run("inspected_shop:crossed", "--servers", "--format", "text")
    assert "\nwaitress 3" in result.output
    assert ": loses nothing" in result.output
    assert "\ndaphne" in result.output
    assert "through an adapter, loses running requests at a stop" in result.output


@pytest.mark.usefixtures("few")
def test_the_hazards_of_the_command_are_shown(shop: Path) -> None:
    (shop / "inspected_shop.py").write_text(
        f"{SHOP}from gateway.middleware import SecurityHeaders\n"
        "secured = Gateway(wsgi_app, middleware=[SecurityHeaders()])\n"
    )
    assert (
        "; D17 waitress sends Server: waitress" in run("inspected_shop:secured", "--servers", "--format", "text").output
    )
    assert "D17 waitress sends Server" in run("inspected_shop:secured", "--servers").output


def test_without_an_application_the_environment_is_shown() -> None:
    result = run()
    assert result.exit_code == 0
    assert result.output.startswith(f"anytier {__version__}, CPython ")
    assert ["uvicorn", servers.get("uvicorn").version(), "ASGI"] in rows(result.output)
    missing = [name for name in servers.names() if not servers.get(name).installed()]
    assert all(str(servers.get(name).missing()) in result.output for name in missing)
    found = json.loads(run("--format", "json").output)
    assert [each["server"] for each in found["servers"]] == [each.name for each in servers.installed()]
    assert set(missing) <= {each["part"] for each in found["missing"]}
