"""Start each server with each application, play its requests, and compare with the first native server's answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.servers import Bind, Launch, get, start
from tests.evidence.applications import served
from tests.evidence.applications.client import Answer, Session
from tests.evidence.applications.comparison import differences, settled
from tests.evidence.applications.expected import EXPECTED, Expected
from tests.evidence.applications.script import Application

__all__ = ["CROSSED", "NATIVE", "Result", "Run", "Seat", "compare", "counted", "run", "seats"]

ROOT = Path(__file__).resolve().parents[3]
#: By an application's interface: the servers that call it as it is. The first gives the reference; the other shows
#: what two servers do differently to one application, without an adapter between.
NATIVE = {"wsgi": ("gunicorn-gthread", "waitress"), "asgi": ("uvicorn", "hypercorn-asyncio")}
#: And those that call it across.
CROSSED = {"wsgi": ("uvicorn", "hypercorn-asyncio", "granian-rsgi"), "asgi": ("gunicorn-gthread", "waitress")}
_SECONDS = 120.0

Way = Literal["native", "crossed"]


@dataclass(frozen=True)
class Seat:
    """A server, and whether it calls the application natively or across."""

    server: str
    way: Way

    def __str__(self) -> str:
        return f"{self.server}, {self.way}"


@dataclass
class Result:
    """What came of one application in one seat.

    Attributes:
        seat: Where it was served.
        answers: One for each request, as compared.
        differences: A sentence for each unexpected difference.
        used: The expected differences that were seen, with the requests in which.
    """

    seat: Seat
    answers: list[Answer] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    used: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Run:
    """What came of one application.

    Attributes:
        name: Name of its module.
        application: The application.
        results: One for each seat, the reference first.
        skipped: Why it was not run.
    """

    name: str
    application: Application
    results: list[Result] = field(default_factory=list)
    skipped: str = ""

    @property
    def differences(self) -> list[str]:
        """Every unexpected difference, with its seat."""
        return [f"{result.seat}: {said}" for result in self.results for said in result.differences]


def seats(application: Application, only: Sequence[str] = ()) -> list[Seat]:
    """Return where an application is served: the reference first; ``only`` names servers to compare it with."""
    native, crossed = NATIVE[application.interface], CROSSED[application.interface]
    found = [Seat(native[0], "native")]
    if only:
        for name in only:
            way: Way = "native" if get(name).interface == application.interface else "crossed"
            found.append(Seat(name, way))
    else:
        found += [*(Seat(name, "native") for name in native[1:]), *(Seat(name, "crossed") for name in crossed)]
    return list(dict.fromkeys(found))


def run(
    name: str,
    application: Application,
    *,
    servers: Sequence[str] = (),
    report: Callable[[str], None] = lambda said: None,
) -> Run:
    """Serve an application in each of its seats, and compare."""
    done = Run(name, application)
    if reason := application.missing():
        done.skipped = reason
        return done
    with _prepared(name) as restore:
        for seat in seats(application, servers):
            result = Result(seat, *_play(name, application, seat, restore()))
            if not done.results:
                result.differences += _unfulfilled(application, result.answers)
            else:
                compare(name, application, done.results[0].answers, result)
            done.results.append(result)
            report(f"{seat}: {len(result.differences)} unexpected differences in {len(result.answers)} answers")
    return done


def compare(
    name: str,
    application: Application,
    reference: Sequence[Answer],
    result: Result,
    expected: Sequence[Expected] = EXPECTED,
) -> None:
    """Note in ``result`` what is different from the reference, and which expected differences explain the rest."""
    known = [
        entry
        for entry in expected
        if result.seat.server in entry.servers and (not entry.applications or name in entry.applications)
    ]
    for step, native, found in zip(application.steps, reference, result.answers, strict=True):
        wanted, used = native, list[str]()
        if list(differences(wanted, found)):
            for entry in known:
                if entry.steps and step.name not in entry.steps:
                    continue
                changed = entry.apply(wanted, found)
                if changed != wanted:
                    wanted = changed
                    used.append(entry.name)
        said = list(differences(wanted, found))
        result.differences += [f"{step.name}: {difference}" for difference in said]
        if not said:
            for entry_name in used:
                result.used.setdefault(entry_name, []).append(step.name)


def _unfulfilled(application: Application, answers: Sequence[Answer]) -> Iterator[str]:
    """Say where the native application did not do what its script says: then nothing is compared that counts."""
    for step, answer in zip(application.steps, answers, strict=True):
        if answer.status != step.status:
            yield f"{step.name}: status {answer.status}, and the script says {step.status}: {answer.body[:2000]!r}"
        if step.shows not in answer.body:
            yield f"{step.name}: the body does not show {step.shows[:100]!r}: {answer.body[:2000]!r}"
        if answer.whole != step.whole:
            yield f"{step.name}: the body is {'whole' if answer.whole else 'cut off'}, and the script says otherwise"


def _play(name: str, application: Application, seat: Seat, folder: Path) -> tuple[list[Answer], list[str]]:
    launch = Launch(
        target=f"tests.evidence.applications.served:{seat.way}",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        environment=_environment(name, folder),
    )
    broken: list[str] = []
    server = get(seat.server)
    with start(server, launch, ready="/-/is-it-there", timeout=_SECONDS) as running:
        with Session(running.bind, application.token, keep_alive=server.capabilities.keep_alive) as session:
            played = [(step, session.play(step)) for step in application.steps]
        if running.process.poll() is not None:
            broken.append(f"the server ended: {running.output()[-2000:]}")
    for rule in application.volatile:
        if all(settled(step, answer, [rule]) == settled(step, answer, []) for step, answer in played):
            broken.append(f"no answer holds the {rule.name} in {rule.where} that varies, {rule.pattern}: delete it")
    return [settled(step, answer, application.volatile) for step, answer in played], broken


@contextmanager
def _prepared(name: str) -> Iterator[Callable[[], Path]]:
    """Prepare an application, and give what restores its folder: at one path for all servers, times of files too."""
    with tempfile.TemporaryDirectory(prefix="application-") as base:
        folder, kept = Path(base, "site"), Path(base, "kept")
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", served.__name__],
            env={**os.environ, **_environment(name, folder)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name} could not be prepared:\n{done.stdout}{done.stderr}")
        shutil.copytree(folder, kept)

        def restore() -> Path:
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
            return folder

        yield restore


def _environment(name: str, folder: Path) -> dict[str, str]:
    # The seed: applications write sets into their pages.
    return {served.NAME: name, served.FOLDER: str(folder), "PYTHONHASHSEED": "0"}


def counted(runs: Sequence[Run]) -> dict[str, int]:
    """Count the answers of these runs that each expected difference of their servers explains."""
    results = [result for run in runs for result in run.results]
    served = {result.seat.server for result in results}
    return {
        entry.name: sum(len(result.used.get(entry.name, ())) for result in results)
        for entry in EXPECTED
        if served & set(entry.servers)
    }
