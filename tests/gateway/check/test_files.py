"""Files of a deployment: right ones in several styles are silent, and each planted fault is found with both places."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from pathlib import Path

import pytest

from gateway.check.files.gunicorn_conf import read_gunicorn_conf
from gateway.check.files.read import kind_of, read_files, texts_of
from gateway.errors import ConfigurationError
from gateway.hazards import HAZARDS, judge
from gateway.hazards.facts import Finding
from tests.gateway.check.faults import FAULTS, Fault
from tests.gateway.check.more_faults import MORE_FAULTS

SETS = Path(__file__).parent / "sets"
NAMES = sorted(path.name for path in SETS.iterdir())
#: Sets whose proxy belongs to the platform.
NO_PROXY = ("dyno", "helm", "heroku", "hyper", "kustomize", "paas", "run", "stages")


def texts(name: str) -> dict[str, str]:
    folder = SETS / name
    return {str(Path(path).relative_to(folder)): text for path, text in texts_of([folder]).items()}


def findings(files: dict[str, str]) -> list[Finding]:
    return judge(read_files(files))


@pytest.mark.parametrize("name", NAMES)
def test_right_files_are_silent(name: str) -> None:
    assert findings(texts(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_of_right_files_are_seen(name: str) -> None:
    read = read_files(texts(name))
    assert read.servers
    assert read.fronts or name in NO_PROXY
    assert read.stops or name in ("h5bp", "nodes")


@pytest.mark.parametrize(
    "fault", [*FAULTS, *MORE_FAULTS], ids=lambda fault: f"{fault.rule}-{fault.set}-{fault.new[:30]!r}"
)
def test_a_planted_fault_is_found_with_both_places(fault: Fault) -> None:
    files = texts(fault.set)
    old = files[fault.file]
    assert fault.old in old
    files[fault.file] = old.replace(fault.old, fault.new, 1)
    found = [each for each in findings(files) if each.rule == fault.rule]
    assert found, findings(files)
    assert all(len(each.places) >= 2 for each in found), found
    assert all(each.remedy and each.found for each in found)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.rule}-{fault.set}-{fault.new[:30]!r}")
def test_a_planted_fault_breaks_no_other_part_of_the_deployment(fault: Fault) -> None:
    files = texts(fault.set)
    files[fault.file] = files[fault.file].replace(fault.old, fault.new, 1)
    others = Counter(each.rule for each in findings(files) if each.rule != fault.rule)
    assert len(others) <= 4, others


def test_every_rule_that_files_can_show_has_a_planted_fault() -> None:
    judged = {rule.id for rule in HAZARDS if rule.judge is not None}
    assert judged - {fault.rule for fault in FAULTS} == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_line_is_an_error_of_the_configuration_or_a_finding_and_nothing_else(name: str) -> None:
    files = texts(name)
    for path, text in files.items():
        lines = text.splitlines(keepends=True)
        step = max(3, len(lines) // 15)  # not every one, to be quick
        for at in range(0, len(lines), step):
            line = lines[at]
            for broken in (line.partition("=")[0] + "\n", line.replace("=", "= x"), re.sub(r"\d+", "x", line)):
                with contextlib.suppress(ConfigurationError):
                    findings({**files, path: "".join([*lines[:at], broken, *lines[at + 1 :]])})


def test_a_template_of_helm_is_not_read_and_no_error() -> None:
    template = "kind: Deployment\nspec:\n  replicas: {{ .Values.replicas }}\n"
    assert kind_of("templates/deployment.yaml", template) is None
    assert findings({**texts("rpm"), "templates/deployment.yaml": template}) == []


def test_a_value_of_a_patch_is_found_in_the_file_of_the_patch() -> None:
    files = texts("kustomize")
    patch = "overlays/prod/replicas.yaml"
    files[patch] = files[patch].replace("terminationGracePeriodSeconds: 90", "terminationGracePeriodSeconds: 40")
    [found] = [each for each in findings(files) if each.rule == "R6"]
    assert patch in [place.file for place in found.places]


def test_the_replicas_of_a_kustomization_count() -> None:
    files = texts("kustomize")
    del files["overlays/prod/hpa.yaml"]
    files["overlays/prod/kustomization.yaml"] += "replicas: [{name: billing, count: 1}]\n"
    assert {each.rule for each in findings(files)} == {"R35"}


@pytest.mark.parametrize(
    ("line", "workers"),
    [
        ("workers, threads = 3, 8", 3.0),
        ("def count(n):\n    'Of this machine.'\n    return int(os.getenv('N', n))\nworkers = count(5)", 5.0),
        ("def count(default=4):\n    return default * 2\nworkers = count()", 8.0),
        ("from os import environ as env\nworkers = int(env.get('N', 7))", 7.0),
        ("def count():\n    return count()\nworkers = count()", None),
        ("def count():\n    import app\n    return app.N\nworkers = count()", None),
    ],
)
def test_a_gunicorn_conf_is_read_without_running_it(line: str, workers: float | None) -> None:
    server = read_gunicorn_conf(f"import os\n{line}\n", "gunicorn.conf.py")
    found = server.number("workers")
    assert (None if found is None else found.value) == workers


def test_a_section_of_haproxy_names_its_defaults() -> None:
    files = texts("tables")
    files["haproxy.cfg"] = files["haproxy.cfg"].replace("frontend public from web", "frontend public from base")
    read = read_files(files)
    assert not list(read.routes)  # `base` has no mode http


def test_a_file_of_hypercorn_that_is_not_toml_is_an_error() -> None:
    files = texts("hyper")
    with pytest.raises(ConfigurationError, match=r"hypercorn\.toml"):
        findings({**files, "hypercorn.toml": "bind = \n"})
