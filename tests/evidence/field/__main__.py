"""The field report: ``python -m tests.evidence.field [--pages] [CASE ...]``.

Without arguments, run every program and the conformance suite, and write `found.json` and the pages (some minutes).
With names of cases, run their programs and print the results. With ``--pages``, only write the pages again.
"""

from __future__ import annotations

import argparse
import sys

from tests.evidence.field.case import Case
from tests.evidence.field.cases import CASES
from tests.evidence.field.findings import explanation
from tests.evidence.field.packages import PACKAGES
from tests.evidence.field.page import FOLDER, pages
from tests.evidence.field.record import Record, Shown, examine, load, save, take

__all__ = ["main", "unexpected", "write"]


def unexpected(case: Case, name: str, shown: Shown) -> str | None:
    """Say what is not as the case claims: a violation that is gone, or a new one; None if it is as claimed."""
    kept = case.kept(shown.line)
    if kept == (name in case.keepers):
        return None
    if kept:
        return f"{case.id}: {PACKAGES[name].title} {shown.version} keeps the sentence now; move it to `keepers`"
    return f"{case.id}: {PACKAGES[name].title} {shown.version} breaks it, too: {shown.line}"


def write(record: Record) -> None:
    """Write every page, and remove the pages of projects that have no violation any more."""
    texts = pages(record)
    FOLDER.mkdir(exist_ok=True)
    for path in set(FOLDER.glob("*.md")) - set(texts):
        path.unlink()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


def main(argv: list[str]) -> int:
    """Run the given cases, or everything; return 1 if somebody must judge a result."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.field", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*(case.id for case in CASES), []], metavar="CASE")
    parser.add_argument("--pages", action="store_true", help="write the pages from the record, and run nothing")
    options = parser.parse_args(argv)
    if options.pages:
        write(load())
        return 0
    if options.cases:
        for case, name, shown in examine(tuple(case for case in CASES if case.id in options.cases)):
            state = "kept" if case.kept(shown.line) else "broken"
            print(f"{case.id} {PACKAGES[name].title} {shown.version} {state}: {shown.line}", flush=True)
        return 0
    record = take()
    told = [
        message
        for case in CASES
        for name, shown in record.programs[case.id].items()
        if (message := unexpected(case, name, shown))
    ]
    told += [
        f"{row.name}: nobody has judged {what}: {text}"
        for row in record.survey
        for what, text in row.result.found.items()
        if not explanation(row.name, what)
    ]
    print("\n".join(told), file=sys.stderr)
    save(record)
    write(record)
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
