"""What is built is what is in the tree, and it installs into an empty environment."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fresh import ROOT, python_in, run

pytestmark = pytest.mark.slow


def test_the_wheel_holds_one_import_tree_only(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway"}
    assert {"gateway/py.typed", "gateway/adapters/__init__.py", "gateway/middleware/__init__.py"} <= set(names)
    assert len(names) == len(set(names))


def test_the_wheel_installs_alone_and_every_public_module_imports(wheel: Path, tmp_path: Path) -> None:
    python = python_in(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    script = """
import importlib, pkgutil, gateway
from gateway.errors import MissingExtraError
assert "site-packages" in gateway.__file__, gateway.__file__
for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    if any(part.startswith("_") for part in module.name.split(".")) or module.name == "gateway.testing.pytest_plugin":
        continue
    try:
        importlib.import_module(module.name)
    except MissingExtraError as error:
        assert "anytier[" in str(error)
    except ModuleNotFoundError as error:
        # A command is loaded by the command line, which names the extra; a test module by who has pytest; the module
        # for Django by who has Django.
        assert module.name.startswith(("gateway.cli.", "gateway.django", "gateway.testing.")), module.name
        packages = ("click", "rich", "django", "pytest", "hypothesis", "httpx2", "httpx", "webtest")
        assert error.name in packages, error.name
for name in ("adapters", "middleware"):
    assert importlib.util.find_spec(name) is None, name
"""
    run(python, "-c", script, cwd=tmp_path)


def test_a_clone_without_symbolic_links_installs(tmp_path: Path) -> None:
    target = tmp_path / "anytier"
    run("git", "-c", "core.symlinks=false", "clone", "-q", "--no-hardlinks", ROOT, target, cwd=ROOT)
    assert (target / "gateway" / "adapters").is_file()
    python = python_in(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", target, cwd=tmp_path)
    run(python, "-c", "import gateway.adapters, gateway.middleware", cwd=tmp_path)


def test_the_wheel_shows_the_readme_with_its_relative_links(wheel: Path) -> None:
    [name] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA")]
    metadata = zipfile.ZipFile(wheel).read(name).decode("utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Description-Content-Type: text/markdown" in metadata
    assert metadata.endswith(readme)
    assert "Project-URL" not in metadata


@pytest.fixture
def index(wheel: Path) -> Iterator[str]:
    """Serve what was built as a package index of its own, as the specification of simple repositories describes it."""
    files = sorted(path for path in wheel.parent.iterdir() if path.name.startswith("anytier-"))
    (wheel.parent / "simple" / "anytier").mkdir(parents=True, exist_ok=True)
    links = "".join(f'<a href="../../{path.name}">{path.name}</a>\n' for path in files)
    (wheel.parent / "simple" / "anytier" / "index.html").write_text(f"<!DOCTYPE html>\n{links}", encoding="utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(wheel.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["--only-binary", "--no-binary"])
def test_a_package_from_an_index_serves_both_interfaces(kind: str, index: str, tmp_path: Path) -> None:
    python = python_in(tmp_path / "venv")
    wanted = ("anytier[standard]", kind, "anytier", "--no-cache-dir", "--extra-index-url", index)
    run(python, "-m", "pip", "install", "-q", *wanted, cwd=tmp_path)
    shown = run(python.parent / "gateway", "demo", "--server", "uvicorn", "--server", "waitress", cwd=tmp_path)
    assert "uvicorn" in shown
    assert "waitress" in shown


def test_the_sdist_carries_the_tests_and_the_docs(wheel: Path, tmp_path: Path) -> None:
    [sdist] = wheel.parent.glob("*.tar.gz")
    run("tar", "xzf", sdist, "-C", tmp_path, cwd=tmp_path)
    [tree] = tmp_path.iterdir()
    assert (tree / "tests" / "conftest.py").is_file()
    assert (tree / "docs" / "conf.py").is_file()
