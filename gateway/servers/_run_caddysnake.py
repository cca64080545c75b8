"""Run caddysnake: ``python -m gateway.servers._run_caddysnake ARGUMENTS``, with the arguments of its own command.

Its workers are interpreters of their own that do not know the virtual environment of this one. So they get the import
path of this process, and the folder of this package, which an editable installation does not add to the path.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib import import_module
from pathlib import Path
from typing import Any

__all__: list[str] = []


def _main() -> None:
    root = str(Path(__file__).resolve().parents[2])
    folders = dict.fromkeys([*os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path, root])
    # The workers have a standard library of their own, which may be of another patch release.
    standard = sysconfig.get_path("stdlib")
    kept = [each for each in folders if not each.startswith(standard) or "site-packages" in each]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, kept))
    cli: Any = import_module("caddysnake_cli")  # it has no types
    cli.main()


if __name__ == "__main__":
    _main()
