"""Run one benchmark by name: each is a module beside this one with ``main(argv) -> int``.

``--against COMMIT`` is short for ``commits COMMIT``: this tree beside that commit, in one run.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.evidence.bench


def names() -> list[str]:
    """List the benchmarks: every public module of this package that is not a test module."""
    modules = (module.name for module in pkgutil.iter_modules(tests.evidence.bench.__path__))
    return sorted(name for name in modules if not name.startswith(("_", "test_")))


def main(argv: list[str]) -> int:
    """Hand over to the benchmark named first."""
    if argv[:1] == ["--against"]:
        argv = ["commits", *argv[1:]]
    # Only the one that was named is imported: what the others need may not be installed.
    module = importlib.import_module(f"tests.evidence.bench.{argv[0]}") if argv and argv[0] in names() else None
    if module is None or not hasattr(module, "main"):
        print(
            f"usage: python -m tests.evidence.bench {{{','.join(names())}}} [options] | --against COMMIT",
            file=sys.stderr,
        )
        return 2
    result: int = module.main(argv[1:])
    return result


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
