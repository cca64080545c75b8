"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

__all__ = ["lazy"]


def lazy(package: str, modules: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    The package calls this in the ``else`` of ``if TYPE_CHECKING:``. Type checkers read the imports in the ``if``, and
    report every other name. They would believe that each name exists if they saw a ``__getattr__``.

    Args:
        package: The name of the package.
        modules: The full name of each module, and the names that the package takes from it.
    """
    origins = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> object:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(origins[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *origins})

    return load, names
