"""Add security headers: content types, referrers, frames, isolation, and a Content-Security-Policy with nonces.

Headers of the application win, unless ``override`` is set. Constant values are checked and encoded when the chain is
built. A 304 does not get these headers, because a cache would put them on its stored document. A new nonce would break
that document, and so would a default that replaces the document's own header (RFC 9111 section 4.3.4).

Sources: the Fetch standard (nosniff, CORP); HTML standard (COOP, COEP); Referrer Policy; Permissions Policy; CSP
level 3 sections 3 (headers), 6.7.3 (nonces); RFC 7034 (X-Frame-Options); RFC 9111 section 4.3.4 (a 304 updates what is
stored); OWASP Secure Headers.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.headers import Header, HeaderBlock, HeaderError, HeaderNames
from gateway.middleware._options import check_options

if TYPE_CHECKING:
    from gateway.exchange import Request, Response

__all__ = ["PRESETS", "LazyNonce", "SecurityHeaders"]

_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: Headers of each preset. ``api`` is for responses that a browser does not show, ``web`` for pages, ``strict`` for
#: pages that load only from their own origin.
PRESETS: Mapping[str, Mapping[str, str]] = {
    "api": {
        **_COMMON,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    },
    "web": {
        **_COMMON,
        "X-Frame-Options": "SAMEORIGIN",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    },
    "strict": {
        **_COMMON,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Content-Security-Policy": (
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
        ),
    },
}
_CSP = ("content-security-policy", "content-security-policy-report-only")
_PLACE = "{nonce}"
_STATE = "csp_nonce"


class LazyNonce:
    """The nonce of one response, in ``request.state["csp_nonce"]``; made at the first read.

    A page writes ``<script nonce="{{ nonce }}">``. The policy contains the nonce only if the page has read it.
    """

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: str | None = None

    def __str__(self) -> str:
        if self._value is None:
            self._value = secrets.token_urlsafe(16)
        return self._value

    def __bool__(self) -> bool:
        """Return whether the nonce was read."""
        return self._value is not None


@dataclass(frozen=True, kw_only=True)
class SecurityHeaders(Middleware):
    """Add security headers to every response that does not set them itself, except to a 304.

    Args:
        preset: ``"api"``, ``"web"`` or ``"strict"``: the headers to begin with.
        headers: Headers to add or replace; None removes a header of the preset.
        content_security_policy: The policy; ``{nonce}`` in it stands for the nonce of the response, and is
            removed if the application does not read ``request.state["csp_nonce"]``.
        report_only: A second policy that browsers report on and do not enforce.
        paths: Changes below some paths of the mount point, by whole segments; the longest matching path counts:
            ``{"/embed": {"X-Frame-Options": None}}``.
        override: Replace headers that the application set.
        strip: Response headers to remove, because they help attackers to find known vulnerabilities.
    """

    preset: Literal["api", "web", "strict"] = "web"
    headers: Mapping[str, str | None] = field(default_factory=dict)
    content_security_policy: str | None = None
    report_only: str | None = None
    paths: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    override: bool = False
    strip: Sequence[str] = ("server", "x-powered-by")

    def __post_init__(self) -> None:
        check_options(self)
        if self.preset not in PRESETS:
            raise ConfigurationError(
                f"SecurityHeaders(preset=...) must be one of {', '.join(PRESETS)}, got {self.preset!r}"
            )
        for path in self.paths:
            if not path.startswith("/"):
                raise ConfigurationError(f"SecurityHeaders(paths=...) takes paths that begin with '/', got {path!r}")
        try:
            HeaderNames(*self.strip)
            for changes in ({}, *self.paths.values()):
                self._fields(changes)
        except HeaderError as error:
            raise ConfigurationError(f"SecurityHeaders: {error}") from error

    def _fields(self, changes: Mapping[str, str | None]) -> _Fields:
        """Make the headers from the preset, then the options, then the changes of a path."""
        values: dict[str, tuple[str, str]] = {}
        named: dict[str, str | None] = {}
        if self.content_security_policy is not None:
            named["Content-Security-Policy"] = self.content_security_policy
        if self.report_only is not None:
            named["Content-Security-Policy-Report-Only"] = self.report_only
        for source in (PRESETS[self.preset], self.headers, named, changes):
            for name, value in source.items():
                if value is None:
                    values.pop(name.lower(), None)
                else:
                    values[name.lower()] = (name, value)
        for name, value in values.values():
            Header(name, value)
        constant = HeaderBlock(Header(name, value) for name, value in values.values() if _PLACE not in value)
        with_nonce = tuple((name, value) for name, value in values.values() if _PLACE in value)
        return _Fields(constant, with_nonce)

    def build(self, context: BuildContext) -> Hooks:
        # Longest path first, because the first match counts.
        paths = sorted(self.paths.items(), key=lambda item: -len(item[0]))
        parts = tuple((path.rstrip("/"), self._fields(changes)) for path, changes in paths)
        kind = _Adding if not any(part.with_nonce for part in (self._fields({}), *(f for _, f in parts))) else _Noncing
        return kind(self, self._fields({}), parts)


@dataclass(frozen=True, slots=True)
class _Fields:
    constant: HeaderBlock
    with_nonce: tuple[tuple[str, str], ...]


class _Adding(Hooks):
    def __init__(self, options: SecurityHeaders, fields: _Fields, parts: tuple[tuple[str, _Fields], ...]) -> None:
        self._override = options.override
        self._strip = HeaderNames(*options.strip)
        self._fields = fields
        self._parts = parts

    def _for(self, request: Request) -> _Fields:
        if self._parts:
            path = request.local_path
            for prefix, fields in self._parts:
                if path == prefix or path.startswith(prefix + "/"):
                    return fields
        return self._fields

    def on_response(self, request: Request, response: Response) -> None:
        headers = response.headers
        headers.delete_all(self._strip)
        if response.status == 304:
            return
        if self._override:
            for header in self._for(request).constant.headers:
                headers.set(header)
        else:
            headers.setdefaults(self._for(request).constant)


class _Noncing(_Adding):
    def on_request(self, request: Request) -> None:
        request.state.setdefault(_STATE, LazyNonce())

    def on_response(self, request: Request, response: Response) -> None:
        super().on_response(request, response)
        if response.status == 304:
            return
        nonce = request.state.get(_STATE)
        source = f"'nonce-{nonce}'" if nonce else ""
        for name, value in self._for(request).with_nonce:
            if self._override or name not in response.headers:
                response.headers.set(name, _policy(value, source))


def _policy(value: str, source: str) -> str:
    """Put the nonce source into a policy, or remove the placeholder if ``source`` is empty."""
    parts = [" ".join(part.replace(_PLACE, source).split()) for part in value.split(";")]
    return "; ".join(part for part in parts if part)
