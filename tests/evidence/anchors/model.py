"""A case, its peers, and how one is run: the same requests, the same application, the same judge for all."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.middleware.stacks import Answer, Call, Script, Stack

Side = Literal["wsgi", "asgi"]
#: A request, or how it is made of the answer before it.
Step = Call | Callable[[Answer], Call]


@dataclass(frozen=True)
class Peer:
    """One peer in one case.

    Attributes:
        distribution: The package in the registry.
        configured: How it is built, as a reader would write it.
        build: Puts it around an application.
        side: The interface it speaks.
        named: Whether the case was written for a fault of this peer; else it is asked for comparison.
    """

    distribution: str
    configured: str
    build: Callable[[Any], Any]
    side: Side = "asgi"
    named: bool = True

    @property
    def version(self) -> str | None:
        """The installed version, None where it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Found:
    """What came of a run: as it is printed, and the judge's word."""

    said: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question to several middleware.

    Attributes:
        id: Names it in tests.
        part: The middleware of ours that it is about.
        asks: The situation, in words.
        rule: What is right.
        source: Where that is written.
        peers: Who is asked.
        ours: Our chain.
        shows: Writes what is judged, short and exact.
        judge: Whether an answer is right; pure.
        steps: The requests; the last answer is judged.
        script: The application.
        handshake: The last request opens a WebSocket.
        state: What the lifespan left in the ASGI scope's ``state``.
        around: Put around everything, theirs and ours, to see what a client cannot.
        mounted: Puts ours around the application, where it is no chain of middleware.
        refusal_is_right: An error when the chain is built is right too: the mistake is told before the first request.
    """

    id: str
    part: str
    asks: str
    rule: str
    source: str
    peers: Sequence[Peer]
    shows: Callable[[Answer], str]
    judge: Callable[[Answer], bool]
    ours: Callable[[], Sequence[Any]] = tuple
    steps: Sequence[Step] = (Call(),)
    script: Script = field(default_factory=Script)
    handshake: bool = False
    state: Mapping[str, object] | None = None
    around: Callable[[Any], Any] | None = None
    mounted: Callable[[Any, Side], Any] | None = None
    refusal_is_right: bool = False

    @property
    def sides(self) -> list[Side]:
        """The interfaces that its peers speak."""
        return sorted({peer.side for peer in self.peers})

    def run(self, side: Side, peer: Peer | None = None) -> Found:
        """Run it: ours, or a peer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                stack = Stack(side, () if peer else self.ours(), self.script)
                app = stack._wsgi if side == "wsgi" else stack._asgi
                if peer is not None:
                    stack.application = peer.build(app)
                elif self.mounted is not None:
                    stack.application = self.mounted(app, side)
                if self.around is not None:
                    stack.application = self.around(stack.application)
            except ImportError:  # a fault of the case, not of the peer
                raise
            except Exception as error:
                return Found(f"error when built: {type(error).__name__}", self.refusal_is_right)
            if self.state is not None:
                scope = stack.scope
                state = dict(self.state)
                stack.scope = lambda *args: {**scope(*args), "state": state}  # type: ignore[method-assign]
            with closing(stack):
                answer = self._ask(stack)
        if answer.error is not None and not answer.status:
            return Found(f"raises {type(answer.error).__name__}", False)
        return Found(self.shows(answer), self.judge(answer))

    def _ask(self, stack: Stack) -> Answer:
        answer = Answer()
        for number, step in enumerate(self.steps, 1):
            call = step if isinstance(step, Call) else step(answer)
            last = number == len(self.steps)
            answer = stack.handshake(call) if self.handshake and last else stack.request(call)
        return answer


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A question that the harness cannot ask: to a real server, or to a folder of files.

    Attributes:
        measure: Does it, for ``"ours"`` or for a peer's package, and says what came.
        judge: Whether that is right; pure.
    """

    id: str
    part: str
    asks: str
    rule: str
    source: str
    peers: Sequence[Peer]
    measure: Callable[[str], str]
    judge: Callable[[str], bool]

    @property
    def sides(self) -> list[Side]:
        """The interfaces that its peers speak."""
        return sorted({peer.side for peer in self.peers})

    def run(self, side: Side, peer: Peer | None = None) -> Found:
        """Run it: ours, or a peer."""
        said = self.measure(peer.distribution if peer else "ours")
        return Found(said, self.judge(said))


def status(answer: Answer) -> str:
    """Show the status alone."""
    return str(answer.status)


def shown(*names: str) -> Callable[[Answer], str]:
    """Show the status and some fields."""

    def show(answer: Answer) -> str:
        fields = [f"{name}: {value}" for name in names for value in answer.all(name)]
        return " · ".join([str(answer.status), *(fields or [f"no {name}" for name in names])])

    return show


def is_status(*codes: int) -> Callable[[Answer], bool]:
    """Judge by the status alone."""
    return lambda answer: answer.status in codes
