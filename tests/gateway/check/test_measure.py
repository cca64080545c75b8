"""What a description declares is what ``gateway measure`` measures, for every server that is installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import servers
from gateway.check import measure as measuring
from gateway.check.measure import as_source, differences, measure
from gateway.cli import measure as command
from gateway.errors import ConfigurationError
from gateway.servers import Capabilities, Launch

#: One of nearly each family; `gateway measure` takes ten seconds for a server.
MEASURED = (
    "uvicorn",
    "gunicorn-gthread",
    "gunicorn-sync",
    "granian-asgi",
    "granian-wsgi",
    "granian-rsgi",
    "hypercorn-asyncio",
    "waitress",
    "cheroot",
    "anycorn",
    "pyvoy-asgi",
)
#: Measured otherwise than declared, and why the description is right.
EXCEPT = {("gunicorn-sync", "threads"): "With --threads, Gunicorn runs the gthread worker instead of the sync worker."}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_a_description_declares_what_is_measured(name: str) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    found = [each for each in differences(server, measure(server)) if (name, each.capability) not in EXCEPT]
    if found:  # a busy machine may exceed a patience, and then the second measurement differs
        found = [each for each in differences(server, measure(server)) if (name, each.capability) not in EXCEPT]
    assert found == []


def test_a_difference_names_the_capability_and_both_values() -> None:
    server = servers.get("wsgiref")
    measured = replace(server.capabilities, keep_alive=True, chunked_upload="lost")
    assert differences(server, server.capabilities) == []
    assert [tuple(each) for each in differences(server, measured)] == [
        ("chunked_upload", "refused", "lost"),
        ("keep_alive", False, True),
    ]


@pytest.mark.parametrize("name", servers.names())
def test_the_printed_source_is_the_capabilities(name: str) -> None:
    capabilities = servers.get(name).capabilities
    source = as_source(capabilities).removeprefix("capabilities=").removesuffix(",")
    assert eval(source, {"Capabilities": Capabilities}) == capabilities


def test_a_missing_server_is_named_with_what_to_run() -> None:
    missing = replace(servers.get("wsgiref"), module="no_such_module", requirement="no-such-package")
    with pytest.raises(ConfigurationError, match="no-such-package"):
        measure(missing)


def test_the_command_prints_the_line_to_copy_and_fails_on_a_wrong_description(monkeypatch: pytest.MonkeyPatch) -> None:
    right = servers.get("wsgiref").capabilities
    monkeypatch.setattr(command, "measure", lambda server: right)
    done = CliRunner().invoke(command.command, ["wsgiref"])
    assert (done.exit_code, done.output.split(": ", 1)[1]) == (0, as_source(right) + "\n")
    monkeypatch.setattr(command, "measure", lambda server: replace(right, drains=False))
    done = CliRunner().invoke(command.command, ["wsgiref"])
    assert done.exit_code == 1
    assert "drains is False; the description says True" in done.output
    done = CliRunner().invoke(command.command, ["wsgiref", "--format", "json"])
    assert json.loads(done.output)["wsgiref"]["drains"] is False


def test_an_option_that_the_description_does_not_name_is_not_tried(tmp_path: Path) -> None:
    def never(launch: Launch) -> list[str]:
        return ["-c", "raise SystemExit(3)", launch.target]

    measurement = measuring._Measurement(replace(servers.get("wsgiref"), arguments=never), tmp_path)
    for tried in (measurement._unix_socket, measurement._workers, measurement._threads, measurement._reload):
        assert tried() is False  # a start would raise


def test_a_server_that_cannot_take_an_option_is_measured_without_it(tmp_path: Path) -> None:
    (tmp_path / "measured_site.py").write_text(measuring._SITE)
    server = replace(servers.get("wsgiref"), arguments=lambda launch: ["-c", "raise SystemExit(3)", str(launch.bind)])
    assert measuring._works(measuring._Measurement(server, tmp_path)._unix_socket) is False
