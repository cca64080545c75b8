"""``python -m tests.evidence.applications [NAME…] [--servers NAME…] [--json FILE]``: compare, and write the page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.evidence.applications.page import PAGE, page
from tests.evidence.applications.runner import Run, counted, run
from tests.evidence.applications.script import applications

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run the applications; the page is written when all of them were run under all of their servers."""
    known = applications()
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.applications", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all, if none is given")
    parser.add_argument("--servers", nargs="+", default=[], metavar="NAME", help="compare these with the reference")
    parser.add_argument("--json", type=Path, help="write every result to this file")
    parser.add_argument("--output", type=Path, default=PAGE, help="where the page goes")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(known):
        parser.error(f"no application {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    runs: list[Run] = []
    for name in options.names or known:
        print(f"{known[name].title}", flush=True)
        runs.append(run(name, known[name], servers=options.servers, report=lambda said: print(f"  {said}", flush=True)))
        for said in [runs[-1].skipped] if runs[-1].skipped else runs[-1].differences:
            print(f"    {said}", flush=True)
    whole = not options.names and not options.servers and not any(done.skipped for done in runs)
    unused = [name for name, seen in counted(runs).items() if not seen] if whole else []
    for name in unused:
        print(f"the expected difference {name!r} explains nothing: delete it")
    if options.json:
        options.json.write_text(json.dumps([_as_data(done) for done in runs], indent=1), encoding="utf-8")
    if whole:
        options.output.write_text(page(runs), encoding="utf-8")
        print(f"written: {options.output}")
    else:
        print("no page is written: not every application was run under all of its servers")
    return int(bool(unused) or any(done.differences for done in runs))


def _as_data(done: Run) -> dict[str, object]:
    return {
        "name": done.name,
        "versions": [] if done.skipped else done.application.versions(),
        "skipped": done.skipped,
        "results": [
            {
                "server": result.seat.server,
                "way": result.seat.way,
                "answers": [
                    {"step": step.name, "status": answer.status, "bytes": len(answer.body)}
                    for step, answer in zip(done.application.steps, result.answers, strict=True)
                ],
                "differences": result.differences,
                "expected": result.used,
            }
            for result in done.results
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
