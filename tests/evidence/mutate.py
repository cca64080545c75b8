"""Delete each hook call, and whatever else an exchange notes, from the drivers in turn; the suite must fail.

``python -m tests.evidence.mutate`` runs all and prints the survivors; its exit status is 1 where there is one. A mutant
is a module of ``gateway.drivers`` with one statement less that calls a hook or sets an attribute, or with one target
less in a statement that sets several, loaded in a child of its own; nothing on disk is touched. What ``__init__`` sets
stays: it must exist. What counts as failing is any test of ``tests/gateway/drivers`` or ``tests/parity``, or a test
that does not end.
"""

from __future__ import annotations

import argparse
import ast
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[2]
MODULES = tuple(
    f"gateway.drivers.{name}"
    for name in (
        "asgi",
        "wsgi",
        "websocket",
        "_order",
        "_flows",
        "_plan",
        "_process",
        "_request_body",
        "_response_body",
    )
)
#: The suite, what is quick and names a place first.
DRIVERS = (
    "states",
    "order",
    "cancellation",
    "response_bodies",
    "refusals",
    "request_bodies",
    "outcomes",
    "wsgi_heads",
    "messages",
    "files",
    "io",
    "generators",
    "tiers",
    "garbage",
    "answer",
    "websocket",
    "http_model",
    "websocket_model",
    "process",
    "concurrency",
    "signals",
    "sign_off",
    "unread",
    "watch",
)
TESTS = (*(f"gateway/drivers/test_{name}.py" for name in DRIVERS), "parity")
#: Names by which the drivers call a hook, a flow, or a phase of an exchange.
HOOK_CALLS = {
    "advance", "append_constants", "body_refused", "call", "close_made", "commit", "constant_headers", "drive", "ended",
    "enter", "fail", "finish", "head", "install", "measure", "on_body", "on_error", "on_finish", "on_request",
    "on_request_body", "on_response", "on_start", "on_stop", "outwards", "refuse", "respond", "start", "start_async",
    "start_plain", "stop_async",
}  # fmt: skip
#: What no test can miss and stays all the same, by module and statement, with the reason.
EQUIVALENT: dict[tuple[str, str], str] = {
    ("asgi", "self._state = FLOWING"): "it only spares the following messages a look at their kind",
}
#: What a mutant and one of its tests may take: some never end.
SECONDS = 300
SECONDS_OF_A_TEST = 20
#: What a mutant may take: a loop that lost its end would take all there is.
MOST_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class Mutant:
    """One statement that is left out, or one target of a statement that has several."""

    module: str
    line: int
    text: str
    target: int | None = None

    @property
    def place(self) -> str:
        """What ``--one`` takes: a line, and which of its targets."""
        return str(self.line) if self.target is None else f"{self.line}.{self.target}"

    @property
    def known(self) -> str | None:
        """Why it survives and may, where that is known."""
        return EQUIVALENT.get((self.module.rpartition(".")[2], self.text))

    def __str__(self) -> str:
        return f"{self.module}:{self.place}: {self.text}"


def _name(function: ast.expr) -> str:
    """Return the name that something is called by."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _targets(node: ast.stmt) -> list[ast.expr]:
    """Return what a statement sets: ``a = b = c`` and ``a, b = c`` set two."""
    if isinstance(node, ast.AugAssign):
        return [node.target]
    if not isinstance(node, ast.Assign):
        return []
    return [part for each in node.targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])]


def _calls_hook(node: ast.stmt) -> bool:
    if not isinstance(node, (ast.Assign, ast.Expr)):
        return False
    calls = (part for part in ast.walk(node.value) if isinstance(part, ast.Call))
    return any(_name(call.func) in HOOK_CALLS for call in calls)


def _left_out(node: ast.stmt) -> list[int | None]:
    """Return what of a statement is left out in turn: ``None`` stands for all of it."""
    targets = _targets(node)
    if _calls_hook(node):
        return [None]
    notes = [index for index, target in enumerate(targets) if isinstance(target, ast.Attribute)]
    return [*notes] if len(targets) > 1 else [None for _ in notes]


def _statements(parent: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from _statements(node)


def source_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def mutants(modules: Sequence[str] = MODULES) -> list[Mutant]:
    """List what can be left out, in the order of the files."""
    found: list[Mutant] = []
    for module in modules:
        for node in _statements(ast.parse(source_of(module).read_text())):
            text = ast.unparse(node)
            for target in _left_out(node):
                of = "" if target is None else f"{ast.unparse(_targets(node)[target])} of "
                found.append(Mutant(module, node.lineno, of + text, target))
    return found


def stale() -> list[tuple[str, str]]:
    """Return what the table of equivalents names although no module has it any more."""
    there = {(mutant.module.rpartition(".")[2], mutant.text) for mutant in mutants()}
    return [entry for entry in EQUIVALENT if entry not in there]


class _Without(ast.NodeTransformer):
    def __init__(self, place: str) -> None:
        line, _, target = place.partition(".")
        self.line = int(line)
        self.target = int(target) if target else None

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.stmt) and node.lineno == self.line and self.target in _left_out(node):
            return ast.copy_location(self._without(node), node)
        return self.generic_visit(node)

    def _without(self, node: ast.stmt) -> ast.stmt:
        if not isinstance(node, ast.Assign):
            return ast.Pass()
        if self.target is not None:
            left: list[ast.expr] = [*_targets(node)]
            left[self.target] = ast.Name("_", ast.Store())
            return ast.Assign(left if len(node.targets) > 1 else [ast.Tuple(left, ast.Store())], node.value)
        # A name that a hook's result goes to must exist; it is what a hook without an answer returns.
        if isinstance(node.targets[0], ast.Name):
            return ast.Assign(node.targets, ast.Constant(None))
        return ast.Pass()


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, place: str) -> None:
        super().__init__(name, path)
        self.place = place

    def get_code(self, fullname: str) -> CodeType:
        tree = _Without(self.place).visit(ast.parse(Path(self.path).read_text()))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, name: str, place: str) -> None:
        self.name = name
        self.place = place

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self.place)
        return spec


class _Quick:
    """A failure is enough: nobody reads the smallest one, and a test that hangs has failed."""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutate", phases=[Phase.explicit, Phase.generate], database=None, derandomize=True)
        settings.load_profile("mutate")
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))

    def pytest_runtest_logstart(self) -> None:
        signal.alarm(SECONDS_OF_A_TEST)

    def pytest_runtest_logfinish(self) -> None:
        signal.alarm(0)


def serve_suite(module: str, place: str) -> int:
    """Run the suite in this process on one mutant; return pytest's exit status."""
    import pytest

    sys.meta_path.insert(0, _Finder(module, place))
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
            os._exit(serve_suite(mutant.module, mutant.place))
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
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.mutate", description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("MODULE", "PLACE"), help="run the suite on one mutant")
    parser.add_argument("--only", metavar="MODULE", help="the last part of a module's name")
    parser.add_argument("--every", type=int, default=1, help="run each n-th only")
    parser.add_argument("--from", type=int, default=0, dest="first", help="where to begin")
    options = parser.parse_args(argv)
    if options.one is not None:
        return serve_suite(options.one[0], options.one[1])
    if gone := stale():
        print(f"the table of equivalents names what is not there: {gone}", file=sys.stderr)
        return 2
    if not survives(Mutant(MODULES[0], 0, "nothing")):
        print("the suite fails with nothing left out; run it first", file=sys.stderr)
        return 2
    modules = [module for module in MODULES if options.only in (None, module.rpartition(".")[2])]
    chosen = mutants(modules)[options.first :: options.every]
    left = known = 0
    for mutant in chosen:
        lives = survives(mutant)
        if lives and mutant.known is not None:
            known += 1
            print(f"equivalent {mutant}: {mutant.known}", flush=True)
        elif lives or mutant.known is not None:
            left += 1
            print(f"{'SURVIVES' if lives else 'IS MISSED, and the table says it cannot be:'} {mutant}", flush=True)
    print(f"{len(chosen)} mutants, {left} survive, {known} are equivalent")
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
