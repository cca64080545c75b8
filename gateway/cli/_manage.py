"""Find the Django project of a folder, by its ``manage.py``, without importing anything.

Source: Django "django-admin and manage.py".
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

from gateway._load import Target, parse
from gateway.errors import ConfigurationError

__all__ = ["django_project"]

_VARIABLE = "DJANGO_SETTINGS_MODULE"


def django_project(folder: Path) -> Target | None:
    """Return the import string of the Django project of a folder; None if it has no ``manage.py`` of Django.

    Raises:
        ConfigurationError: ``manage.py`` cannot be read.
    """
    file = folder / "manage.py"
    if not file.is_file():
        return None
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}; correct it, or name the application") from error
    found = _settings_module(tree)
    if found is None:
        return None
    # The environment goes before manage.py, as it does for Django's own commands.
    settings_module = os.environ.get(_VARIABLE) or found
    return parse(f"gateway.django:get_application({json.dumps(settings_module)})")  # double quotes, for shells


def _settings_module(tree: ast.AST) -> str | None:
    """Return the value that ``os.environ.setdefault("DJANGO_SETTINGS_MODULE", value)`` sets."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "setdefault":
            continue
        values = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if len(values) == 2 and values[0] == _VARIABLE and isinstance(values[1], str):
            return values[1]
    return None
