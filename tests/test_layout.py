"""The folder listing is the architecture: what is public, where it stands, and what is installed."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import tomllib
from pathlib import Path

import grimp
import pytest

import gateway

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE_DIRS = {"gateway.adapters": ROOT / "adapters", "gateway.middleware": ROOT / "middleware"}


def public_modules() -> list[str]:
    """Name every public module: no part of its name begins with an underscore."""
    names = ["gateway"] + [module.name for module in pkgutil.walk_packages(gateway.__path__, "gateway.")]
    return sorted(name for name in names if not any(part.startswith("_") for part in name.split(".")))


def folders_with_code() -> set[str]:
    """Name every folder below ``gateway/``, ``adapters/`` and ``middleware/`` that holds Python modules."""
    found = {"gateway"}
    for top, prefix in ((ROOT / "gateway", "gateway"), *((path, name) for name, path in PACKAGE_DIRS.items())):
        for init in top.rglob("__init__.py"):
            relative = init.parent.relative_to(top)
            if init.parent.is_symlink() or relative.parts[:1] in (("adapters",), ("middleware",)):
                continue
            found.add(".".join((prefix, *relative.parts)))
    return found


def test_the_packages_in_pyproject_are_the_folders() -> None:
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == folders_with_code()


def test_the_two_links_lead_to_the_two_folders() -> None:
    for name, path in PACKAGE_DIRS.items():
        link = ROOT / name.replace(".", "/")
        assert link.resolve() == path


def test_nothing_else_stands_at_the_root() -> None:
    wanted = {"pyproject.toml", "README.md", "gateway", "adapters", "middleware", "tests", "docs", ".ci", "changelog.d"}
    wanted |= {"CHANGELOG.md", "LICENSE", "SECURITY.md", "MANIFEST.in", "setup.py", ".gitignore", ".git"}
    ignored = {".venv", "build", "dist", ".hypothesis", "anytier.egg-info", "__pycache__"}
    tools = {path.name for path in ROOT.iterdir() if path.name.startswith(".") and path.name.endswith("_cache")}
    assert {path.name for path in ROOT.iterdir()} - wanted - ignored - tools == set()


def test_a_module_above_400_lines_says_why() -> None:
    folders = (ROOT / "gateway", ROOT / "adapters", ROOT / "middleware")
    long = [path for top in folders for path in top.rglob("*.py") if path.read_text("utf-8").count("\n") > 400]
    silent = [
        path for path in long if "bove 400 lines" not in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
    ]
    assert silent == []


#: Class names that stand in two modules, with the reason.
TWICE = {
    "Chain": "what gateway check reads of one in a file, and the chain itself",
    "Exchange": "the rules watch an exchange without the drivers that they judge",
    "Finding": "in files, and in a report of any check",
    "Response": "what middleware sees, and what a test client returns",
    "Server": "what files say of one, and a server that can be started",
    "Stop": "how a process manager stops a server, and a fault that a test plants",
    "WSGIMiddleware": "compat repeats the names of a2wsgi and of Starlette",
    "WsgiToAsgi": "compat repeats the name of asgiref",
}


def test_a_class_name_stands_in_one_module() -> None:
    places: dict[str, set[Path]] = {}
    for path in (each for top in ("gateway", "adapters", "middleware") for each in (ROOT / top).rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, set()).add(path)
    assert {name for name, found in places.items() if len(found) > 1} == set(TWICE)


@pytest.mark.parametrize("name", public_modules())
def test_all_names_what_a_public_module_defines(name: str) -> None:
    module = importlib.import_module(name)
    source = Path(str(module.__file__))
    if not source.read_text(encoding="utf-8").strip() or name == "gateway.__main__":
        return
    exported = list(getattr(module, "__all__", ()))
    assert len(exported) == len(set(exported)), f"{name}.__all__ names something twice"
    defined = {
        node.name
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        # A decorated function is what its decorator made of it: a row of a table, a command of the command line.
        and (isinstance(node, ast.ClassDef) or not node.decorator_list)
    }
    assert defined <= set(exported), f"public definitions that {name}.__all__ does not name"
    missing = [item for item in exported if not hasattr(module, item)]
    assert not missing, f"{name}.__all__ names what the module has not"


def test_no_public_name_is_also_a_module() -> None:
    modules = {name.removeprefix("gateway.") for name in public_modules() if name.count(".") == 1}
    assert modules & set(getattr(gateway, "__all__", ())) == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("gateway", cache_dir=None)  # imports for type checkers and inside functions count, too
    circles = {
        tuple(sorted(way_back))
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (way_back := graph.find_shortest_chain(importer=imported, imported=module))
    }
    assert circles == set()
