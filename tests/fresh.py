"""Fresh environments: a clone, a wheel built from it, a virtual environment, and commands run there."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*argv: str | Path, cwd: Path, **env: str) -> str:
    """Run a command to its end, and show what it said where it failed."""
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}"
    return done.stdout


def python_in(environment: Path) -> Path:
    """Make a virtual environment and return its interpreter."""
    venv.create(environment, with_pip=True)
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def clone(target: Path) -> Path:
    """Copy what git tracks, as a stranger would get it, links as links."""
    run("git", "clone", "-q", "--no-hardlinks", ROOT, target, cwd=ROOT)
    return target


def build(tree: Path) -> Path:
    """Build the sdist, and the wheel from the sdist; both lie in the folder of the wheel."""
    run(sys.executable, "-m", "build", "--outdir", tree / "dist", tree, cwd=tree.parent)
    [built] = (tree / "dist").glob("*.whl")
    return built


def found_by_pip(built: Path) -> dict[str, str]:
    """Return the variable that lets pip find what was built, beside the places of the machine's own configuration."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    configured = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return {"PIP_FIND_LINKS": f"{built.parent} {os.environ.get('PIP_FIND_LINKS') or configured.stdout.strip()}"}
