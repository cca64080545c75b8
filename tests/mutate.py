"""Delete each hook call and each accounting statement of the specialised drivers in turn; the suite must fail.

``python -m tests.mutate`` runs all and prints the survivors; its exit status is 1 where there is one. A mutant is the
driver's module with one statement less, loaded in a process of its own; nothing on disk is touched. What counts as
failing is any test of ``tests/gateway/drivers``, or no end in time.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
MODULES = ("gateway.drivers.asgi", "gateway.drivers.wsgi")
#: The suite, what is quick and names a place first.
TESTS = ("test_states.py", "test_semantics.py", "test_process.py", "test_parity.py")
#: What the drivers call a hook, or a flow, by.
HOOK_CALLS = {"enter", "on_response", "on_body", "on_finish", "prepare", "begun"}
#: What an outcome, or the long way, is told.
ACCOUNTS = {
    "_began", "_disconnected", "_exhausted", "_first", "_read_all", "_response", "_sent", "_state", "_status",
    "began", "bytes_received", "bytes_sent", "disconnected", "entered", "error", "exhausted", "first_byte_at",
    "duration", "kind", "level", "method", "read_all", "response", "sent", "started", "state", "status", "watcher",
}  # fmt: skip
SECONDS = 240


@dataclass(frozen=True)
class Mutant:
    """One statement that is left out."""

    module: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text}"


def _is_target(node: ast.AST) -> bool:
    if isinstance(node, (ast.Assign, ast.Expr)):
        calls = [part for part in ast.walk(node.value) if isinstance(part, ast.Call)]
        if any(isinstance(call.func, ast.Name) and call.func.id in HOOK_CALLS for call in calls):
            return True
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return any(isinstance(part, ast.Attribute) and part.attr in ACCOUNTS for part in parts)


def source_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def mutants(modules: Sequence[str] = MODULES) -> list[Mutant]:
    """List what can be left out, in the order of the files."""
    found: list[Mutant] = []
    for module in modules:
        tree = ast.parse(source_of(module).read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _is_target(node)]
        found += [
            Mutant(module, node.lineno, ast.unparse(node)) for node in sorted(nodes, key=lambda node: node.lineno)
        ]
    return found


class _Without(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self.line = line

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.stmt) and node.lineno == self.line and _is_target(node):
            # A name that a hook's result goes to must exist; it is what a hook without an answer returns.
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                left: ast.stmt = ast.Assign(node.targets, ast.Constant(None))
            else:
                left = ast.Pass()
            return ast.copy_location(left, node)
        return self.generic_visit(node)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, line: int) -> None:
        super().__init__(name, path)
        self.line = line

    def get_code(self, fullname: str) -> CodeType:
        tree = _Without(self.line).visit(ast.parse(Path(self.path).read_text()))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self.line)
        return spec


class _Quick:
    """A failure is enough: nobody reads the smallest one."""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutate", phases=[Phase.explicit, Phase.generate], database=None, derandomize=True)
        settings.load_profile("mutate")


def serve_suite(module: str, line: int) -> int:
    """Run the suite in this process on one mutant; return pytest's exit status."""
    import pytest

    sys.meta_path.insert(0, _Finder(module, line))
    paths = [str(ROOT / "tests" / "gateway" / "drivers" / name) for name in TESTS]
    return int(
        pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not slow", *paths], plugins=[_Quick()])
    )


def survives(mutant: Mutant) -> bool:
    """Return whether the suite passes although the statement is left out."""
    command = [sys.executable, "-m", "tests.mutate", "--one", mutant.module, str(mutant.line)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("MODULE", "LINE"), help="run the suite on one mutant")
    parser.add_argument("--every", type=int, default=1, help="run each n-th only")
    parser.add_argument("--from", type=int, default=0, dest="first", help="where to begin")
    options = parser.parse_args(argv)
    if options.one is not None:
        return serve_suite(options.one[0], int(options.one[1]))
    if not survives(Mutant(MODULES[0], 0, "nothing")):
        print("the suite fails with nothing left out; run it first", file=sys.stderr)
        return 2
    chosen = mutants()[options.first :: options.every]
    left = []
    for mutant in chosen:
        if survives(mutant):
            left.append(mutant)
            print(f"SURVIVES {mutant}", flush=True)
    print(f"{len(chosen)} mutants, {len(left)} survive")
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
