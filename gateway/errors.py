"""Errors that this package raises, in families by the party that broke a rule.

The class of an error names that party: the *server* that called this package, the *application* that it called, or the
*configuration* of the composition. A message has four parts: the rule, the value found, the remedy, the source of the
rule.

This module does not import other modules of the package, so that every layer can raise these errors.
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

#: Party of a request that can break a conformance rule.
Side = Literal["application", "server", "middleware", "client"]


class GatewayError(Exception):
    """Base class of every error of this package.

    Attributes:
        status_hint: Best HTTP status of a response, if the error is raised during a request.
    """

    status_hint: int = 500


class ServerError(GatewayError):
    """The server broke its protocol: a scope, an environ or an event is not as the specification requires."""


class ApplicationError(GatewayError):
    """The application broke its protocol: it sent a wrong message, or did not send a required message."""


class ConfigurationError(GatewayError):
    """The composition is wrong: an option, a name or a combination. It is raised when built, never in a request."""


class MissingExtraError(ConfigurationError, ImportError):
    """A feature needs packages that are not installed; the message names the extra that installs them."""

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
    """A side broke a conformance rule.

    Attributes:
        rule: Id of the rule, as `docs/conformance.md` lists it: ``"E12"``, ``"P01"``.
        side: The side that broke the rule.
        must: The requirement of the rule.
        found: The value or event found instead.
        source: Specification and section of the rule.
        severity: ``"error"``, or ``"warning"`` for a *should* or a lesser finding.
        count: How often the request broke the rule, if a validator collected the violation; it reports the first time.
    """

    def __init__(
        self,
        rule: str,
        side: Side,
        must: str,
        found: str,
        source: str,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        super().__init__(f"[{rule}] {side}: {must}; found {found} ({source})")
        self.rule = rule
        self.side: Side = side
        self.must = must
        self.found = found
        self.source = source
        self.severity: Literal["error", "warning"] = severity
        self.count = 1

    def __reduce__(self) -> tuple[object, ...]:
        arguments = (self.rule, self.side, self.must, self.found, self.source, self.severity)
        return (type(self), arguments, {"count": self.count})
