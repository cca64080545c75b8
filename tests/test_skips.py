"""``--strict-skips`` fails for what did not run, and for nothing else."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

PASSES = "import pytest\n\ndef test_passes(): pass\n"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest("from tests.conftest import pytest_addoption, pytest_configure\n")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider --import-mode=importlib\nxfail_strict = true\n")
    return pytester


@pytest.mark.parametrize(
    "hole",
    [
        "@pytest.mark.skip('the machine has none')\ndef test_it(): pass",
        "def test_it(): pytest.skip('the machine has none')",
        "pytest.skip('the machine has none', allow_module_level=True)",
        "@pytest.mark.xfail(run=False, reason='it hangs')\ndef test_it(): pass",
    ],
    ids=["mark", "call", "module", "expected-failure-not-run"],
)
def test_what_did_not_run_is_named_and_fails_the_run(project: pytest.Pytester, hole: str) -> None:
    project.makepyfile(test_passes=PASSES, test_hole=f"import pytest\n\n{hole}\n")
    assert project.runpytest().ret == pytest.ExitCode.OK
    result = project.runpytest("--strict-skips")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*skips that allowed_skips.toml does not name*", "test_hole.py*: *"])


def test_a_failure_that_is_expected_is_no_skip(project: pytest.Pytester) -> None:
    expected = "@pytest.mark.xfail(reason='a known fault')\ndef test_it(): assert "
    project.makepyfile(f"{PASSES}\n{expected}0\n")
    result = project.runpytest("--strict-skips")
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    project.makepyfile(f"{PASSES}\n{expected}1\n")
    assert project.runpytest("--strict-skips").ret == pytest.ExitCode.TESTS_FAILED
