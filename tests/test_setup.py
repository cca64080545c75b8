"""The address of the repository is one setting, and each link of the package index follows it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BASE = "https://code.example/anytier"


def arguments(folder: Path, base: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the arguments that `setup.py` passes to setuptools if the setting is `base`."""
    given: dict[str, Any] = {}
    for name in ("setup.py", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    project = folder / "pyproject.toml"
    project.write_text(re.sub('base-url = ".*"', f'base-url = "{base}"', project.read_text("utf-8")), "utf-8")
    monkeypatch.setitem(sys.modules, "setuptools", SimpleNamespace(setup=given.update))
    source = (folder / "setup.py").read_text("utf-8")
    exec(compile(source, folder / "setup.py", "exec"), {"__file__": str(folder / "setup.py")})
    return given


def test_without_an_address_the_links_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(tmp_path, "", monkeypatch)
    assert given["long_description"] == (ROOT / "README.md").read_text("utf-8")
    assert given["project_urls"] == {}


def test_with_an_address_every_link_and_image_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(tmp_path, f"{BASE}/", monkeypatch)
    readme = given["long_description"]
    targets = re.findall(r"\]\((.*?)\)", readme) + re.findall(r'<img src="(.*?)"', readme)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith((f"{BASE}/blob/HEAD/", f"{BASE}/raw/HEAD/"))] == []
    assert f"{BASE}/raw/HEAD/docs/drawings/layers.svg" in targets
    assert all(address.startswith(BASE) for address in given["project_urls"].values())
