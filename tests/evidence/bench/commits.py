"""This tree beside the tree of another commit: ``python -m tests.evidence.bench commits a107abb``.

One worker process serves each tree, on the same core. The cases of this module run in both, in turn, for so many
rounds, so that a disturbance meets both. Printed are the medians of the CPU time of a request, in microseconds and of
all threads, and the quartiles of the ratio of each pair of neighbours.

The cases use only what both commits have.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.evidence.bench._rounds import Round

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("gateway", "adapters", "middleware")
LARGE = b"a line of text that compresses as text does, more or less\n" * 90


def cases(folder: Path) -> dict[str, Callable[[], Round]]:
    """Return the cases; each is made at its first round."""
    from gateway import Gateway, drivers
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
    from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
    from gateway.contract import Middleware
    from gateway.exchange import Request, Response
    from gateway.middleware import AccessLog, Compression, StaticFiles, behind_load_balancer
    from tests.evidence.bench._rounds import ORIGIN, asgi_hello, asgi_round, wsgi_hello, wsgi_round
    from tests.evidence.bench.chain import Counts, Heads, asgi_app, flow, wsgi_app

    logging.getLogger("gateway.access").addHandler(logging.NullHandler())
    logging.getLogger("gateway.access").propagate = False
    (folder / "file.txt").write_bytes(b"x" * 4096)

    class Answers(Middleware):
        def on_request(self, request: Request) -> Response:
            return Response(200, [("content-type", "text/plain")], b"answered")

    async def asgi_large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": LARGE})

    def wsgi_large(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [LARGE]

    def preset() -> tuple[Middleware, ...]:
        return behind_load_balancer(hosts=("example.org",), trust=("127.0.0.1",), origins=(ORIGIN,))

    def served(asgi: bool, middleware: tuple[Middleware, ...], app: Any) -> Any:
        gateway = Gateway(app, middleware=middleware)
        return gateway.asgi if asgi else gateway.wsgi

    def group(asgi: bool, middleware: list[Middleware], chunks: int = 1) -> Any:
        if asgi:
            return drivers.build_asgi(middleware, asgi_app(chunks))
        return drivers.build_wsgi(middleware, wsgi_app(chunks))

    def on(asgi: bool, app: Any, path: str = "/") -> Round:
        return asgi_round(app, path) if asgi else wsgi_round(app, path)

    def static(asgi: bool) -> Round:
        files = (AccessLog(), StaticFiles(folders={"/static": folder}))
        return on(asgi, served(asgi, files, asgi_hello if asgi else wsgi_hello), "/static/file.txt")

    found: dict[str, Callable[[], Round]] = {}
    for asgi in (True, False):
        side = "ASGI" if asgi else "WSGI"
        hello: Any = asgi_hello if asgi else wsgi_hello
        large: Any = asgi_large if asgi else wsgi_large
        found |= {
            f"{side} preset, hello": lambda a=asgi, h=hello: on(a, served(a, preset(), h)),
            f"{side} preset, 5 KiB compressed": lambda a=asgi, b=large: on(a, served(a, preset(), b)),
            f"{side} compression alone, 5 KiB": lambda a=asgi, b=large: on(a, served(a, (Compression(),), b)),
            f"{side} access log, static file": lambda a=asgi: static(a),
            f"{side} a middleware responds": lambda a=asgi: on(a, group(a, [Answers()])),
            f"{side} 3 hooks": lambda a=asgi: on(a, group(a, [Heads() for _ in range(3)])),
            f"{side} 10 hooks": lambda a=asgi: on(a, group(a, [Heads() for _ in range(10)])),
            f"{side} 3 with completion": lambda a=asgi: on(a, group(a, [Counts() for _ in range(3)])),
            f"{side} 10 with completion, 100 chunks": lambda a=asgi: on(
                a, group(a, [Counts() for _ in range(10)], 100)
            ),
            f"{side} 10 generators": lambda a=asgi: on(a, group(a, [flow() for _ in range(10)])),
        }
    found["WsgiToAsgi, hello"] = lambda: asgi_round(WsgiToAsgi(wsgi_hello))
    found["AsgiToWsgi, hello, shared"] = lambda: wsgi_round(AsgiToWsgi(asgi_hello, lifespan="off"))
    found["AsgiToWsgi, hello, lend"] = lambda: wsgi_round(AsgiToWsgi(asgi_hello, lifespan="off", loop="lend"))
    return found


def serve() -> int:
    """Be a worker: read "INDEX COUNT" lines, print the CPU seconds of each."""
    with tempfile.TemporaryDirectory() as folder:
        made: dict[int, Round] = {}
        found = cases(Path(folder))
        print(json.dumps([*found]), flush=True)
        for line in sys.stdin:
            index, count = map(int, line.split())
            if index not in made:
                made[index] = [*found.values()][index]()
                made[index](count // 10 + 1)
            print(made[index](count), flush=True)
    return 0


class Worker:
    """A process that measures one tree."""

    def __init__(self, tree: Path) -> None:
        command = [sys.executable, "-m", "tests.evidence.bench", "commits", "--serve"]
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.names: list[str] = json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker has ended; its error stands above")
        return line

    def measure(self, index: int, count: int) -> float:
        """Return microseconds of CPU time a request."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{index} {count}\n")
        self._process.stdin.flush()
        return float(self._line()) / count * 1e6

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """Give a folder with the sources of a commit and the benchmarks of this tree."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkout = folder / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(checkout), commit], check=True)
        try:
            tree = folder / "tree"
            tree.mkdir()
            for name in FOLDERS:
                (tree / name).symlink_to(checkout / name)
            (tree / "tests").symlink_to(ROOT / "tests")
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(checkout)], check=True)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bench commits", description=__doc__)
    parser.add_argument("commit", nargs="?", help="the commit to measure beside this tree")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=300, help="requests in one round (default: 300)")
    parser.add_argument("--only", help="only cases whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        return serve()
    if options.commit is None:
        parser.error("name a commit")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures: list[dict[str, Any]] = []
    with ExitStack() as stack:
        old = Worker(stack.enter_context(tree_of(options.commit)))
        stack.callback(old.close)
        new = Worker(ROOT)
        stack.callback(new.close)
        print(f"Python {sys.version.split()[0]}; microseconds of CPU time a request, and the ratio (quartiles)\n")
        print(f"{'':40} {options.commit[:12]:>12} {'this tree':>12}  ratio")
        for index, name in enumerate(new.names):
            if options.only and options.only not in name:
                continue
            count = max(options.count // 10, 5) if "100 chunks" in name else options.count
            pairs = [(old.measure(index, count), new.measure(index, count)) for _ in range(options.rounds)]
            low, middle, high = quantiles([after / before for before, after in pairs], n=4, method="inclusive")
            before, after = (median(pair[side] for pair in pairs) for side in (0, 1))
            print(f"{name:40} {before:12.2f} {after:12.2f}  {middle:.2f} ({low:.2f} to {high:.2f})", flush=True)
            figures.append({"case": name, "before": before, "after": after, "ratio": [low, middle, high]})
    if options.json is not None:
        options.json.write_text(json.dumps({"python": sys.version, "commit": options.commit, "figures": figures}))
    return 0
