"""The report of a check, in every format: text, JSON, JUnit, SARIF, Markdown, and a badge.

A finding has a rule; a rule that no request exercised is neither kept nor broken. JUnit calls it skipped, and a profile
needs at least one exercised rule.

Sources: SARIF 2.1.0; JUnit's XML as Jenkins reads it; the endpoint badge of shields.io.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from xml.etree import ElementTree

from gateway._version import __version__
from gateway.errors import ProtocolViolation
from gateway.hazards import HAZARDS
from gateway.hazards.server import RULES as SERVER_RULES
from gateway.rules.tables import RULES

__all__ = ["FORMATS", "TEXTS", "Finding", "Profile", "Report", "write"]

#: Sentence and source of every rule that a report can name.
TEXTS: Mapping[str, tuple[str, str]] = {
    **{rule.id: (rule.sentence, rule.source) for rule in (*RULES.values(), *SERVER_RULES)},
    **{rule.id: (rule.sentence, rule.source) for rule in HAZARDS},
}
#: Rules of each extension, by the name that a scope has.
EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "http.response.trailers": ("X07", "X08", "X09", "E27"),
    "http.response.pathsend": ("X01", "X02", "X03"),
    "http.response.zerocopysend": ("X04", "X05"),
    "http.response.early_hint": ("X06",),
    "http.response.push": ("X10",),
    "http.response.debug": ("X11",),
    "tls": ("X12", "X13", "X14"),
    "websocket.http.response": ("X15", "X17"),
}
_OF_EXTENSIONS = {rule for rules in EXTENSIONS.values() for rule in rules}
#: Rules of a server that do not depend on the interface. They alone claim no protocol.
_SHARED = {"P61", "P62", "P66"}
_PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "WSGI": ("P", "V"),
    "ASGI HTTP": ("C", "H", "E", "X"),
    "ASGI WebSocket": ("W",),
    "lifespan": ("L",),
    "HTTP/1.1": ("N",),
}


@dataclass(frozen=True, order=True)
class Finding:
    """One line of the report.

    Attributes:
        rule: Id of the rule; ``"raised"`` if the application raised.
        severity: ``"error"`` or ``"warning"``.
        side: Side at fault.
        must: The sentence that must hold.
        found: Value or behaviour that the check found instead.
        source: Specification and section of the rule.
        case: Name of the case that found it; empty for a finding of no case.
        output: Output of the server during that case.
    """

    rule: str
    severity: str
    side: str
    must: str
    found: str
    source: str
    case: str = ""
    output: str = ""

    @classmethod
    def of(cls, violation: ProtocolViolation, *, error: bool) -> Finding:
        """Return the line of a violation."""
        severity = "error" if error else "warning"
        return cls(violation.rule, severity, violation.side, violation.must, violation.found, violation.source)


@dataclass(frozen=True)
class Profile:
    """A part of the specifications, and how far the subject keeps it.

    Attributes:
        name: ``"ASGI HTTP"``, or an extension's name.
        result: ``"kept"``; ``"warnings"``: only a *should* is broken; ``"broken"``; ``"not claimed"``: no rule of the
            profile was exercised, or the server does not offer the extension.
        checked: Number of rules that were exercised.
        broken: Ids of the broken rules.
    """

    name: str
    result: Literal["kept", "warnings", "broken", "not claimed"]
    checked: int
    broken: tuple[str, ...]


def _is_of(rule: str, protocol: str, letters: tuple[str, ...]) -> bool:
    if rule in _SHARED:
        return protocol in ("WSGI", "ASGI HTTP")
    return rule[0] in letters and rule not in _OF_EXTENSIONS


@dataclass(frozen=True)
class Report:
    """The findings about one subject.

    Attributes:
        subject: The application or server.
        findings: The findings, sorted.
        checked: Ids of the rules that were exercised; None if it is not known, which counts as all of them.
        offered: The extensions that the server offers.
        output: The end of the server's output, if something was found.
        ignored: Rules that were broken and are ignored, with the reason of each.
    """

    subject: str
    findings: list[Finding]
    checked: frozenset[str] | None = None
    offered: frozenset[str] = frozenset()
    output: str = ""
    ignored: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    def by_rule(self) -> dict[str, list[Finding]]:
        """Return the findings of each broken rule, errors first."""
        groups: dict[str, list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda each: (each.severity != "error", each)):
            groups.setdefault(finding.rule, []).append(finding)
        return groups

    def exercised(self, rule: str) -> bool:
        """Tell whether a rule was exercised."""
        return self.checked is None or rule in self.checked or any(rule == each.rule for each in self.findings)

    def profiles(self) -> list[Profile]:
        """Return the profile of each protocol and each extension."""
        protocols = [
            self._profile(name, [rule for rule in RULES if _is_of(rule, name, letters)])
            for name, letters in _PROTOCOLS.items()
        ]
        return protocols + [
            self._profile(name, rules if self.checked is None or name in self.offered else ())
            for name, rules in EXTENSIONS.items()
        ]

    def _profile(self, name: str, rules: Iterable[str]) -> Profile:
        rules = [rule for rule in rules if self.exercised(rule)]
        if not set(rules) - _SHARED:
            rules = []
        broken = {each.rule: each.severity for each in sorted(self.findings, reverse=True) if each.rule in rules}
        if not rules:
            return Profile(name, "not claimed", 0, ())
        result: Literal["kept", "warnings", "broken"] = "broken" if "error" in broken.values() else "warnings"
        return Profile(name, result if broken else "kept", len(rules), tuple(sorted(broken)))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _summary(report: Report) -> str:
    warnings = len(report.findings) - report.errors
    return f"{report.subject}: {_counted(report.errors, 'error')}, {_counted(warnings, 'warning')}"


def _said(finding: Finding) -> str:
    case = f"in the case {finding.case}: " if finding.case else ""
    return f"{finding.side}: {finding.must}; found {case}{finding.found} ({finding.source})"


def _text(report: Report) -> str:
    lines: list[str] = []
    for rule, findings in report.by_rule().items():
        lines.append(f"{findings[0].severity:7} {rule:4} {_said(findings[0])}")
        lines += [f"{'':13}also {finding.found}" for finding in findings[1:]]
        lines += [f"{'':13}| {line}" for finding in findings for line in finding.output.splitlines()]
    lines += [f"ignored {rule:4} {reason}" for rule, reason in report.ignored.items()]
    if report.output and report.errors:
        lines += ["the end of the server's output:", *(f"    {line}" for line in report.output.splitlines())]
    return "\n".join([*lines, _summary(report)])


def _json(report: Report) -> str:
    content: dict[str, object] = {
        "subject": report.subject,
        "findings": [vars(finding) for finding in report.findings],
        "profiles": [vars(profile) for profile in report.profiles()],
        "ignored": dict(report.ignored),
        "output": report.output if report.errors else "",
    }
    if report.checked is not None:
        content["unexercised"] = [rule for rule in TEXTS if not report.exercised(rule)]
    return json.dumps(content, indent=2)


def _junit(report: Report) -> str:
    """Write a test case for each rule, so that a report shows the checked rules as well as the broken ones."""
    broken = report.by_rule()
    names = [*TEXTS, *(rule for rule in broken if rule not in TEXTS)]
    skipped = [name for name in names if not report.exercised(name) or name in report.ignored]
    failures = sum(any(f.severity == "error" for f in found) for found in broken.values())
    suite = ElementTree.Element(
        "testsuite",
        name=f"gateway check {report.subject}",
        tests=str(len(names)),
        failures=str(failures),
        skipped=str(len(skipped)),
    )
    for name in names:
        case = ElementTree.SubElement(suite, "testcase", classname="gateway.rules", name=name)
        if name in skipped:
            reason = report.ignored.get(name, "no request exercised this rule")
            ElementTree.SubElement(case, "skipped", message=reason)
        for finding in broken.get(name, []):
            tag = "failure" if finding.severity == "error" else "system-out"
            element = ElementTree.SubElement(case, tag)
            element.text = "\n".join([_said(finding), *finding.output.splitlines()])
    if report.output and report.errors:
        ElementTree.SubElement(suite, "system-err").text = report.output
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _sarif(report: Report) -> str:
    rules = [
        {"id": rule, "shortDescription": {"text": sentence}, "help": {"text": source}}
        for rule, (sentence, source) in TEXTS.items()
    ]
    results = [
        {
            "ruleId": finding.rule,
            "level": finding.severity,
            "message": {"text": _said(finding)},
            **({"properties": {"case": finding.case, "output": finding.output}} if finding.case else {}),
            "locations": [{"logicalLocations": [{"fullyQualifiedName": report.subject}]}],
        }
        for finding in report.findings
    ]
    driver = {"name": "gateway check", "version": __version__, "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        },
        indent=2,
    )


_MARKS = {"kept": "✓", "warnings": "✓ with warnings", "broken": "✗", "not claimed": "–"}


def _markdown(report: Report) -> str:
    lines = [f"# Conformance of {report.subject}", "", _summary(report) + ".", ""]
    lines += ["| profile | | rules checked | broken |", "|---|---|---|---|"]
    lines += [
        f"| {profile.name} | {_MARKS[profile.result]} | {profile.checked} | {' '.join(profile.broken) or '–'} |"
        for profile in report.profiles()
    ]
    for rule, findings in report.by_rule().items():
        lines += ["", f"## {rule}: {findings[0].must}", "", f"{findings[0].severity}, {findings[0].source}", ""]
        for finding in findings:
            lines.append(f"- {finding.side}: {finding.found}{f' (case {finding.case})' if finding.case else ''}")
            lines += ["", "```text", finding.output, "```", ""] if finding.output else []
    if report.ignored:
        lines += ["", "## Ignored", ""]
        lines += [f"- {rule}: {reason}" for rule, reason in report.ignored.items()]
    if report.output and report.errors:
        lines += ["", "## The end of the server's output", "", "```text", report.output, "```"]
    return "\n".join(lines)


def _badge(report: Report) -> str:
    """Write the file that an endpoint badge of shields.io reads."""
    kept = [profile.name for profile in report.profiles()[: len(_PROTOCOLS)] if profile.result in ("kept", "warnings")]
    message = _counted(report.errors, "violation") if report.errors else ", ".join(kept) or "nothing checked"
    colour = "red" if report.errors else "brightgreen" if kept else "lightgrey"
    return json.dumps({"schemaVersion": 1, "label": "gateway check", "message": message, "color": colour})


#: The formats, by the name of the option ``--format``.
FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": _text,
    "json": _json,
    "junit": _junit,
    "sarif": _sarif,
    "markdown": _markdown,
    "badge": _badge,
}


def write(report: Report, form: str) -> str:
    """Return a report in a format of `FORMATS`."""
    return FORMATS[form](report)
