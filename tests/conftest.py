"""What holds for the whole suite: the hypothesis profile, and that every skip is known by name.

``pytest --strict-skips`` fails when a test was skipped that ``tests/allowed_skips.toml`` does not name with a fact
about the machine. A skip is a hole in a proof; this keeps the holes counted. A test that ran and failed as expected is
none: ``xfail_strict`` fails it when it passes.
"""

from __future__ import annotations

import fnmatch
import tomllib
from pathlib import Path

import hypothesis
import pytest

from tests.fresh import build, clone

pytest_plugins = ["gateway.testing.pytest_plugin"]

#: Programs about other software, speed and endurance. Their tests run only if `tests/evidence` is named.
collect_ignore = ["evidence"]

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.toml")
MOST_ALLOWED_SKIPS = 5

# A loaded machine makes single examples slow; a deadline would report the machine, not the code.
hypothesis.settings.register_profile("suite", deadline=None, max_examples=60, database=None, derandomize=True)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=5_000, database=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clone, built once; the sdist lies beside it."""
    return build(clone(tmp_path_factory.mktemp("clone") / "anytier"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--strict-skips", action="store_true", help="fail on a skip that allowed_skips.toml does not name")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Skips(strict=config.getoption("--strict-skips")), "suite-skips")


class Skips:
    """Collects what was skipped, and compares it with the list at the end."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.unknown: list[tuple[str, str]] = []
        entries = tomllib.loads(ALLOWED_SKIPS.read_text(encoding="utf-8"))["skip"]
        if len(entries) > MOST_ALLOWED_SKIPS:
            raise pytest.UsageError(f"{ALLOWED_SKIPS.name} holds {len(entries)} entries, at most {MOST_ALLOWED_SKIPS}")
        self.allowed = [entry["id"] for entry in entries if entry["fact"]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # pytest calls an expected failure skipped; only one that was not run is.
        ran = not getattr(report, "wasxfail", "[NOTRUN]").startswith("[NOTRUN]")
        if not report.skipped or ran or any(fnmatch.fnmatchcase(report.nodeid, pattern) for pattern in self.allowed):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self.unknown.append((report.nodeid, reason))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.strict and self.unknown and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.strict and self.unknown:
            terminalreporter.section("skips that allowed_skips.toml does not name", red=True)
            for nodeid, reason in self.unknown:
                terminalreporter.write_line(f"{nodeid}: {reason}")
