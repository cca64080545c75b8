"""The benchmark's rivals: every part has one named, or none, and who has Python and pip can install them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RIVALS = tomllib.loads((ROOT / "tests" / "evidence" / "bench" / "rivals.toml").read_text(encoding="utf-8"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_every_middleware_has_a_rival_or_none(interface: str) -> None:
    parts = {path.stem for path in (ROOT / "middleware").glob("[a-z]*.py")} - {"presets"}
    assert RIVALS[interface].keys() == parts


def test_every_rival_is_in_an_extra() -> None:
    named = {name for part in ("asgi", "wsgi") for name in RIVALS[part].values()} - {"none"}
    named |= {name for names in RIVALS["static"].values() for name in names}
    installed = {re.split(r"[\[>=; ]", line)[0] for extra in ("test", "bench") for line in EXTRAS[extra]}
    assert named <= installed


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_the_first_of_those_who_serve_files_is_the_rival(interface: str) -> None:
    assert RIVALS["static"][interface][0] == RIVALS[interface]["static_files"]
