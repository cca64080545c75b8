"""What the servers import: the application that two environment variables name, as it is and behind a ``Gateway``.

``python -m tests.evidence.applications.served`` prepares its folder.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from gateway import Gateway

__all__ = ["FOLDER", "NAME"]

NAME = "TESTS_APPLICATION"
FOLDER = "TESTS_APPLICATION_FOLDER"

if NAME in os.environ:
    _application = import_module(f"tests.evidence.applications.sites.{os.environ[NAME]}").APPLICATION
    if __name__ == "__main__":
        _application.prepare(Path(os.environ[FOLDER]))
    else:
        native = _application.build(Path(os.environ[FOLDER]))
        crossed = Gateway(cast("Any", native))  # whatever it is: Gateway finds out, as it does for a user
        if crossed.interface != _application.interface:
            raise RuntimeError(f"detected {crossed.interface}, and the table says {_application.interface}")
