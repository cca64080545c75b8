"""From what was found, kept in ``found.json``, to the page: ``docs/explanation/compared-with-others.md``."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from tests.evidence.anchors import addresses, codings, cors, limits, live, names, static
from tests.evidence.anchors.model import Case, Peer, Probe
from tests.evidence.summary import bar, numbers

ROOT = Path(__file__).resolve().parent.parent.parent.parent
FOUND = Path(__file__).with_name("found.json")
PAGE = ROOT / "docs" / "explanation" / "compared-with-others.md"
PARTS = (
    "ProxyHeaders",
    "RequestId",
    "AccessLog",
    "Errors",
    "Health",
    "TrustedHost",
    "HttpsRedirect",
    "SecurityHeaders",
    "Cors",
    "Compression",
    "StaticFiles",
    "RateLimit",
    "BodyLimit",
    "ConditionalGet",
    "Metrics",
    "Mount",
)
CASES: list[Case | Probe] = [
    *addresses.CASES,
    *names.CASES,
    *cors.CASES,
    *codings.CASES,
    *static.CASES,
    *limits.CASES,
    *live.CASES,
]

#: What is written by hand before and behind the tables.
HEAD, TAIL = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("head.md", "tail.md"))


class PeerFound(TypedDict):
    """What a peer said in a case."""

    configured: str
    version: str
    side: str
    named: bool
    said: str
    right: bool


class CaseFound(TypedDict):
    """What was said in a case: ours by interface, and each peer by its key."""

    ours: dict[str, str]
    peers: dict[str, PeerFound]


class Everything(TypedDict):
    """All of it, and where it was found."""

    date: str
    python: str
    system: str
    cases: dict[str, CaseFound]


def key(peer: Peer) -> str:
    """Name a peer within a case: a package can be in it by either interface."""
    return f"{peer.distribution} ({peer.side})"


def find() -> Everything:
    """Run everything; every peer must be installed."""
    missing = sorted({peer.distribution for case in CASES for peer in case.peers if peer.version is None})
    if missing:
        sys.exit(f'not installed: {", ".join(missing)}; pip install "anytier[test,anchors]"')
    cases: dict[str, CaseFound] = {}
    for case in CASES:
        ours = {side: case.run(side) for side in case.sides}
        wrong = [side for side, found in ours.items() if not found.right]
        if wrong:
            sys.exit(f"{case.id}: ours is wrong on {wrong}: {ours}")
        peers: dict[str, PeerFound] = {}
        for peer in case.peers:
            found = case.run(peer.side, peer)
            peers[key(peer)] = PeerFound(
                configured=peer.configured,
                version=peer.version or "",
                side=peer.side,
                named=peer.named,
                said=found.said,
                right=found.right,
            )
        cases[case.id] = CaseFound(ours={side: found.said for side, found in ours.items()}, peers=peers)
    return Everything(
        date=datetime.now(UTC).date().isoformat(),
        python=platform.python_version(),
        system=platform.system(),
        cases=cases,
    )


def load() -> Everything:
    """Read what was found last."""
    everything: Everything = json.loads(FOUND.read_text(encoding="utf-8"))
    return everything


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _versions(everything: Everything) -> Iterator[str]:
    counts: dict[str, list[int]] = {}
    versions: dict[str, str] = {}
    for found in everything["cases"].values():
        for name, peer in found["peers"].items():
            package = name.partition(" ")[0]
            versions[package] = peer["version"]
            count = counts.setdefault(package, [0, 0])
            count[0] += 1
            count[1] += peer["right"]
    yield "| package | version | cases | right | |"
    yield "|---|---|---|---|---|"
    for package in sorted(counts):
        asked, right = counts[package]
        yield f"| {package} | {versions[package]} | {asked} | {right} | {bar(right, asked)} |"
    total = len(everything["cases"])
    yield f"| ours | | {total} | {total} | {bar(total, total)} |"


def _part(part: str, everything: Everything) -> Iterator[str]:
    yield f"## {part}"
    yield ""
    yield "| case | rule | ours | others |"
    yield "|---|---|---|---|"
    configured: dict[str, list[str]] = {}
    for case in CASES:
        if case.part != part:
            continue
        found = everything["cases"][case.id]
        ours = dict.fromkeys(found["ours"].values())
        others = []
        for name, peer in found["peers"].items():
            package = name if sum(each.startswith(name.partition(" ")[0] + " ") for each in found["peers"]) > 1 else ""
            package = package or name.partition(" ")[0]
            others.append(f"{'✓' if peer['right'] else '✗'} {package}: {_code(peer['said'])}")
            configured.setdefault(name.partition(" ")[0], []).append(peer["configured"])
        yield (
            f"| {_cell(case.asks)} | {_cell(case.rule)} ({_cell(case.source)}) "
            f"| ✓ {' or '.join(_code(said) for said in ours)} | {'<br>'.join(others)} |"
        )
    yield ""
    yield (
        "As configured: "
        + "; ".join(f"{package} {', '.join(dict.fromkeys(each))}" for package, each in configured.items())
        + "."
    )
    yield ""


def _settled(everything: Everything) -> Iterator[str]:
    """List the faults that a case was written for and that are no more."""
    for case in CASES:
        for name, peer in everything["cases"][case.id]["peers"].items():
            if peer["named"] and peer["right"]:
                yield f"- {name.partition(' ')[0]}: right in {peer['version']}: {case.part}, {_cell(case.asks)}."


def render(everything: Everything) -> str:
    """Write the page."""
    settled = list(_settled(everything))
    cases = everything["cases"].values()
    lines = [
        HEAD,
        numbers(
            (len(cases), "cases, all right with this package"),
            (sum(len(found["peers"]) for found in cases), "results of other packages"),
            (sum(peer["right"] for found in cases for peer in found["peers"].values()), "of them right"),
        ),
        f"Last run on {everything['date']} with Python {everything['python']} on {everything['system']}.",
        "",
        *_versions(everything),
        "",
        *(line for part in PARTS for line in _part(part, everything)),
        "## Fixed faults",
        "",
        "Some cases were written for an older or reported fault. These versions do not have it:",
        "",
        *(settled or ["None."]),
        "",
        TAIL,
    ]
    return "\n".join(lines).rstrip("\n") + "\n"
