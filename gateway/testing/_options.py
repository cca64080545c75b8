"""The options of the clients, in one object.

`takes` keeps the call syntax: callers pass the fields of `StageOptions` as keywords to a class that is built from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, Literal, ParamSpec, TypeVar

from gateway.protocols import Application, Interface
from gateway.testing._concurrency import Backend
from gateway.testing._request import ServerSettings
from gateway.testing._verbs import HeaderItems
from gateway.testing.faults import Fault
from gateway.testing.tiers import Tier

__all__ = ["ClientOptions", "StageOptions", "Validate", "takes"]

P = ParamSpec("P")
S = TypeVar("S")
Given = TypeVar("Given")

Validate = Literal["raise", "collect", "off"]


@dataclass(frozen=True, kw_only=True)
class StageOptions(ServerSettings):
    """An application, and how to drive it. `Client` documents each option."""

    app: Application = field(kw_only=False)
    interface: Interface | Literal["auto"] = "auto"
    tier: Tier = "direct"
    validate: Validate = "raise"
    ignore: Mapping[str, str] = field(default_factory=dict[str, str])
    lifespan: bool = True
    raise_app_exceptions: bool = True
    base_url: str = "http://testserver"
    extensions: Sequence[str] = ("trailers", "early_hint", "pathsend", "zerocopysend", "debug")
    timeout: float | None = 10.0
    follow_redirects: bool = False
    cookies: dict[str, str] | None = None
    headers: HeaderItems | None = None
    hosts: Sequence[str] = ()
    environ: Mapping[str, object] | None = None
    scope: Mapping[str, object] | None = None
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class ClientOptions(StageOptions):
    """The options of `Client`, which also chooses its event loop."""

    backend: Backend = "asyncio"


def takes(options: Callable[P, Given]) -> Callable[[Callable[[S, Given], None]], Callable[Concatenate[S, P], None]]:
    """Let callers pass the arguments of an options object to an ``__init__`` that takes this object."""

    def decorate(init: Callable[[S, Given], None]) -> Callable[Concatenate[S, P], None]:
        def __init__(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            init(self, options(*args, **kwargs))

        # inspect.signature() and help() then show the arguments.
        __init__.__dict__["__wrapped__"] = vars(options)["__init__"]
        return __init__

    return decorate
