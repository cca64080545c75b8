"""Whose fault it is: the one family of errors that this package raises.

Three parties meet at the boundary, so an error says first which of them broke the rule: the *server* that called us,
the *application* that we called, or whoever *built* the composition. A message has four parts: what must hold, what
came, what to do, where it is written.

This module imports nothing of the package, so that every layer can raise from it.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "ApplicationError",
    "ConfigurationError",
    "GatewayError",
    "MissingExtraError",
    "ProtocolViolation",
    "ServerError",
    "Side",
]

Side = Literal["application", "server", "middleware", "client"]


class GatewayError(Exception):
    """Base of every error that this package raises by itself.

    Attributes:
        status_hint: The HTTP status that answers the request best, where a request is under way.
    """

    status_hint: int = 500


class ServerError(GatewayError):
    """What called us broke its protocol: a scope, an environ or an event is not as the specification says."""


class ApplicationError(GatewayError):
    """What we called broke its protocol: an application sent a wrong message, or none."""


class ConfigurationError(GatewayError):
    """The composition is wrong: an option, a name or a combination. Raised when built, never in a request."""


class MissingExtraError(ConfigurationError, ImportError):
    """A feature needs packages that are not installed; the message names the extra that brings them."""

    def __init__(self, feature: str, extra: str, *, package: str) -> None:
        super().__init__(
            f'{feature} needs the package {package!r}, which is not installed; run: pip install "anytier[{extra}]"'
        )
        self.feature = feature
        self.extra = extra
        self.package = package

    def __reduce__(self) -> tuple[object, ...]:
        return (_missing_extra, (self.feature, self.extra, self.package))


def _missing_extra(feature: str, extra: str, package: str) -> MissingExtraError:
    return MissingExtraError(feature, extra, package=package)


class ProtocolViolation(GatewayError):
    """A conformance rule was broken, by whichever side.

    Attributes:
        rule: The rule's id, as `docs/conformance.md` lists it: ``"E12"``, ``"P01"``.
        side: Whose fault it is.
        must: What must hold.
        found: What came instead.
        source: Where it is written: specification and section.
    """

    def __init__(self, rule: str, side: Side, must: str, found: str, source: str) -> None:
        super().__init__(f"[{rule}] {side}: {must}; found {found} ({source})")
        self.rule = rule
        self.side: Side = side
        self.must = must
        self.found = found
        self.source = source

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.rule, self.side, self.must, self.found, self.source))
