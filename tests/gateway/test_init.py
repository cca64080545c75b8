"""What ``import gateway`` gives, and what it does not load."""

from __future__ import annotations

import ast
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gateway

SHOW = """
import json, sys, threading
before = set(sys.modules)
{statement}
print(json.dumps([sorted(set(sys.modules) - before), threading.active_count(), len(threading.enumerate())]))
"""


def loaded(statement: str) -> tuple[set[str], int]:
    """Run one statement in a fresh interpreter; return the modules that it loaded and how many threads there are."""
    command = [sys.executable, "-c", SHOW.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    modules, threads, _ = json.loads(done.stdout)
    return set(modules), threads


def test_importing_the_package_loads_nothing_but_its_version() -> None:
    modules, threads = loaded("import gateway")
    assert {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names} == {
        "gateway",
        "gateway._version",
    }
    assert not {"asyncio", "concurrent.futures", "socket", "logging"} & modules
    assert threads == 1


@pytest.mark.parametrize(
    "statement",
    [
        "from gateway import Gateway, wrap, as_wsgi, as_asgi, detect",
        "import gateway; gateway.Gateway(lambda environ, start_response: [])",
        "import gateway\n@gateway.wrap\nasync def app(scope, receive, send): pass",
    ],
)
def test_building_an_application_loads_no_server_framework_or_command_line_and_starts_no_thread(statement: str) -> None:
    modules, threads = loaded(statement)
    foreign = {name.split(".")[0] for name in modules} - sys.stdlib_module_names
    assert foreign <= {"gateway", "asgiref", "typing_extensions"}
    assert not any(name.startswith(("gateway.servers", "gateway.cli", "gateway.testing")) for name in modules)
    assert threads == 1


def test_every_public_name_is_there_and_is_what_its_module_defines() -> None:
    assert set(gateway.__all__) == {*gateway._MODULES, "__version__"}
    assert gateway.__all__ == sorted(gateway.__all__)
    for name, module in gateway._MODULES.items():
        value = getattr(gateway, name)
        assert value is getattr(sys.modules[module], name)
        assert name in sys.modules[module].__all__
        if isinstance(value, type) or inspect.isfunction(value):
            assert value.__module__ == module
    assert set(gateway.__all__) <= set(dir(gateway))


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(gateway.__file__).read_text())
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module for node in branch.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == gateway._MODULES


def test_no_public_name_is_a_modules_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(gateway.__path__)}
    assert {"errors", "protocols", "adapters", "middleware"} <= modules
    assert not modules & set(gateway.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gateway' has no attribute 'gatway'"):
        gateway.gatway  # noqa: B018
    with pytest.raises(ImportError):
        exec("from gateway import gatway")


def test_a_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from gateway import *", names)
    assert set(gateway.__all__) <= set(names)
