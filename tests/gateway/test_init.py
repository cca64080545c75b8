"""What ``import gateway`` gives, and what it does not load."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gateway
import gateway.adapters
import gateway.middleware
import gateway.testing

#: The packages that import a name when it is first used.
PACKAGES = (gateway, gateway.adapters, gateway.middleware, gateway.testing)

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


def branches(package: ModuleType) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Return what a type checker reads, and what Python runs."""
    tree = ast.parse(Path(package.__file__ or "").read_text())
    [branch] = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(branch.test) == "TYPE_CHECKING"
    return branch.body, branch.orelse


def imported(package: ModuleType) -> dict[str, str | None]:
    """The module of each name, as a type checker reads it."""
    return {
        alias.name: node.module
        for node in branches(package)[0]
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def loaded_late(package: ModuleType) -> dict[str, str]:
    """The module of each name, as Python is told it."""
    [assignment] = branches(package)[1]
    assert isinstance(assignment, ast.Assign)
    assert isinstance(assignment.value, ast.Call)
    modules: dict[str, tuple[str, ...]] = ast.literal_eval(assignment.value.args[1])
    return {name: module for module, names in modules.items() for name in names}


def test_importing_the_package_loads_one_module_of_it() -> None:
    modules, threads = loaded("import gateway")
    assert {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names} == {
        "gateway",
        "gateway._lazy",
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
    assert not {name.split(".")[1] for name in modules if name.startswith("gateway.")} & {"servers", "cli", "testing"}
    assert threads == 1


def test_every_public_name_is_there_and_is_what_its_module_defines() -> None:
    for name, module in loaded_late(gateway).items():
        value = getattr(gateway, name)
        assert value is getattr(sys.modules[module], name)
        assert name == "__version__" or name in sys.modules[module].__all__
        if isinstance(value, type) or inspect.isfunction(value):
            assert value.__module__ == module


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_package_has_the_names_that_a_type_checker_sees(package: ModuleType) -> None:
    for name, module in loaded_late(package).items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)
    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_package_loads_each_name_from_the_module_that_a_type_checker_reads(package: ModuleType) -> None:
    assert imported(package) == loaded_late(package)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_an_unknown_name_of_a_package_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'gatway'"):
        package.gatway  # noqa: B018
    with pytest.raises(ImportError):
        exec(f"from {package.__name__} import gatway")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_package_keeps_a_name_that_was_used(package: ModuleType) -> None:
    name = next(iter(imported(package)))
    assert getattr(package, name) is vars(package)[name]


def test_no_public_name_is_a_modules_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(gateway.__path__)}
    assert {"errors", "protocols", "adapters", "middleware"} <= modules
    assert not modules & set(gateway.__all__)


def test_a_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from gateway import *", names)
    assert set(gateway.__all__) <= set(names)
