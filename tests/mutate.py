"""Delete each hook call and each accounting statement of the drivers in turn; the suite must fail.

``python -m tests.mutate`` runs all and prints the survivors; its exit status is 1 where there is one. A mutant is a
module of ``gateway.drivers`` with one statement less, loaded in a child of its own; nothing on disk is touched. What
counts as failing is any test of ``tests/gateway/drivers`` or ``tests/parity``, or no end in time.
"""

from __future__ import annotations

import argparse
import ast
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
#: The specialised drivers, then what they share with the naive ones, and these.
SPECIAL = tuple(f"gateway.drivers.{name}" for name in ("_asgi_full", "_asgi_heads", "_wsgi_full", "_wsgi_heads"))
SHARED = tuple(
    f"gateway.drivers.{name}"
    for name in ("asgi", "wsgi", "websocket", "_course", "_flows", "_plan", "_process", "_request_body", "reference")
)
MODULES = (*SPECIAL, *SHARED)
#: The suite, what is quick and names a place first.
DRIVERS = (
    "states",
    "semantics",
    "answer",
    "websocket",
    "http_model",
    "websocket_model",
    "process",
    "concurrency",
    "parity",
)
TESTS = (*(f"gateway/drivers/test_{name}.py" for name in DRIVERS), "parity")
#: What the drivers call a hook, a flow, or a phase of a course by.
HOOK_CALLS = {
    "answer_asgi", "append_constants", "begun", "constant_headers", "ended", "enter", "entry_failed", "fail", "finish",
    "hand_over", "on_body", "on_error", "on_finish", "on_request", "on_request_body", "on_response", "on_start",
    "on_stop", "prepare", "refuse", "respond", "resume", "resume_body", "start_async", "start_plain", "stop_async",
}  # fmt: skip
#: What an outcome, or the long way, is told.
ACCOUNTS = {
    "_began", "_begun", "_disconnected", "_exhausted", "_first", "_flows", "_last", "_onward", "_passes", "_pid",
    "_read_all", "_response", "_sent", "_state", "_status", "accepted", "began", "broken", "bytes_received",
    "bytes_sent", "close_code", "completing", "connected", "current", "disconnected", "duration", "ended",
    "entered", "error", "exhausted", "failed", "first_byte_at", "held", "kind", "level", "made", "method",
    "opaque", "own", "pulled", "read_all", "received", "refused", "replaced", "response", "sent", "started",
    "state", "status", "watcher", "websocket_close_code",
}  # fmt: skip
SECONDS = 900
#: What a mutant may take: a loop that lost its end would take all there is.
MOST_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class Mutant:
    """One statement that is left out."""

    module: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text}"


def _name(function: ast.expr) -> str:
    """Return the name that something is called by."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_target(node: ast.AST) -> bool:
    if isinstance(node, (ast.Assign, ast.Expr)):
        calls = [part for part in ast.walk(node.value) if isinstance(part, ast.Call)]
        if any(_name(call.func) in HOOK_CALLS for call in calls):
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
    paths = [str(ROOT / "tests" / name) for name in TESTS]
    loaded = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]  # by the parent, see `survives`
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not slow", *loaded]
    return int(pytest.main([*options, *paths], plugins=[_Quick()]))


def survives(mutant: Mutant) -> bool:
    """Return whether the suite passes although the statement is left out."""
    import pytest  # noqa: F401  # once for all: what the suite needs beside the drivers is there when a child begins

    for name in ("anyio", "hypothesis", "trio", "gateway.contract", "gateway.problems", "gateway.plugins"):
        import_module(name)
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            os.chdir(ROOT)
            os._exit(serve_suite(mutant.module, mutant.line))
        finally:
            os._exit(1)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("MODULE", "LINE"), help="run the suite on one mutant")
    parser.add_argument("--only", metavar="MODULE", help="the last part of a module's name")
    parser.add_argument("--every", type=int, default=1, help="run each n-th only")
    parser.add_argument("--from", type=int, default=0, dest="first", help="where to begin")
    options = parser.parse_args(argv)
    if options.one is not None:
        return serve_suite(options.one[0], int(options.one[1]))
    if not survives(Mutant(MODULES[0], 0, "nothing")):
        print("the suite fails with nothing left out; run it first", file=sys.stderr)
        return 2
    modules = [module for module in MODULES if options.only in (None, module.rpartition(".")[2])]
    chosen = mutants(modules)[options.first :: options.every]
    left = []
    for mutant in chosen:
        if survives(mutant):
            left.append(mutant)
            print(f"SURVIVES {mutant}", flush=True)
    print(f"{len(chosen)} mutants, {len(left)} survive")
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
