"""Run one benchmark by name: each is a module beside this one with ``main(argv) -> int``."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.bench


def names() -> list[str]:
    """List the benchmarks: every public module of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(tests.bench.__path__) if module.name[0] != "_")


def main(argv: list[str]) -> int:
    """Hand over to the benchmark named first."""
    runnable = [name for name in names() if hasattr(importlib.import_module(f"tests.bench.{name}"), "main")]
    if not argv or argv[0] not in runnable:
        print(f"usage: python -m tests.bench {{{','.join(runnable)}}} [options]", file=sys.stderr)
        return 2
    result: int = importlib.import_module(f"tests.bench.{argv[0]}").main(argv[1:])
    return result


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
