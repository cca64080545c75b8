"""The comparison of real applications: its tables agree, and it sees each difference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.servers import get, names
from tests.evidence.applications.client import Answer
from tests.evidence.applications.comparison import differences, settled
from tests.evidence.applications.expected import EXPECTED, Expected
from tests.evidence.applications.runner import Result, Seat, compare, run, seats
from tests.evidence.applications.script import DUTIES, Step, Volatile, applications

APPLICATIONS = applications()
#: Those whose packages the extra ``test`` installs; the others run with ``python -m tests.evidence.applications``.
IN_THE_SUITE = ("django_admin", "fastapi", "litestar")

ANSWER = Answer(200, (("content-length", "4"), ("set-cookie", "a=1"), ("set-cookie", "b=2")), b"body")
STEP = Step(name="one", status=200)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_asked_ten_requests_that_differ_and_do_their_duties(name: str) -> None:
    application = APPLICATIONS[name]
    names = [step.name for step in application.steps]
    assert len(names) >= 10
    assert len(set(names)) == len(names)
    duties = [step.duty for step in application.steps if step.duty]
    assert sorted(duties) == sorted(DUTIES)
    assert set(application.instead) <= set(DUTIES)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_what_varies_is_named_for_requests_that_there_are(name: str) -> None:
    application = APPLICATIONS[name]
    assert {step for rule in application.volatile for step in rule.steps} <= {step.name for step in application.steps}


@pytest.mark.parametrize("entry", EXPECTED, ids=lambda entry: entry.name)
def test_an_expected_difference_names_servers_and_applications_that_there_are(entry: Expected) -> None:
    assert set(entry.servers) <= set(names())
    assert set(entry.applications) <= set(APPLICATIONS)
    named = [APPLICATIONS[name] for name in entry.applications] or APPLICATIONS.values()
    assert set(entry.steps) <= {step.name for application in named for step in application.steps}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_crossed_under_two_servers(name: str) -> None:
    ways = [seat.way for seat in seats(APPLICATIONS[name])]
    assert ways[0] == "native"
    assert ways.count("crossed") >= 2


def test_the_servers_to_compare_with_can_be_chosen() -> None:
    only = seats(APPLICATIONS["fastapi"], ["wsgiref", "uvicorn", "daphne"])
    assert [str(seat) for seat in only] == ["uvicorn, native", "wsgiref, crossed", "daphne, native"]
    assert all(get(seat.server) for seat in only)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(ANSWER, status=500), "status 500 instead of 200"),
        (replace(ANSWER, headers=ANSWER.headers[:2]), "header 3 is missing instead of 'set-cookie: b=2'"),
        (replace(ANSWER, headers=ANSWER.headers[::-1]), "header 1 is 'set-cookie: b=2' instead of 'content-length: 4'"),
        (replace(ANSWER, headers=(*ANSWER.headers, ("x", "y"))), "header 4 is 'x: y' instead of missing"),
        (
            replace(ANSWER, body=b"boxy"),
            "the body of 4 bytes instead of 4 differs from byte 2: b'boxy' instead of b'body'",
        ),
        (replace(ANSWER, body=b"body."), "the body of 5 bytes instead of 4 differs from byte 4"),
        (replace(ANSWER, whole=False), "the body is cut off, the native one is not"),
    ],
    ids=["status", "duplicate", "order", "more", "body", "longer", "cut"],
)
def test_a_difference_is_seen_and_named(found: Answer, said: str) -> None:
    (difference,) = differences(ANSWER, found)
    assert difference.startswith(said)
    assert list(differences(ANSWER, ANSWER)) == []


def test_a_value_that_varies_is_replaced_in_its_place_and_the_length_with_it() -> None:
    volatile = (
        Volatile(name="token", where="body", pattern='(?P<keep>t=")[^"]+', reason=""),
        Volatile(name="cookie", where="set-cookie", pattern="^(?P<keep>id=)[^;]+", reason="", steps=("one",)),
    )
    answer = Answer(200, (("date", "now"), ("content-length", "9"), ("set-cookie", "id=7; Path=/")), b't="abcde"')
    wanted = Answer(200, (("content-length", "11"), ("set-cookie", "id=<cookie>; Path=/")), b't="<token>"')
    assert settled(STEP, answer, volatile) == wanted
    wrong = replace(answer, headers=(("content-length", "8"),))
    assert settled(STEP, wrong, volatile).headers == (("content-length", "8"),)
    assert ("set-cookie", "id=7; Path=/") in settled(replace(STEP, name="two"), answer, volatile).headers


def test_an_expected_difference_is_used_only_where_it_explains_all_of_it() -> None:
    application = replace(APPLICATIONS["fastapi"], steps=(STEP,))
    entry = Expected(name="x", servers=("waitress",), reason="", apply=lambda wanted, found: replace(wanted, body=b"x"))

    def compared(found: Answer, server: str = "waitress") -> Result:
        result = Result(Seat(server, "crossed"), [found])
        compare("fastapi", application, [ANSWER], result, [entry])
        return result

    assert (compared(ANSWER).used, compared(ANSWER).differences) == ({}, [])
    assert compared(replace(ANSWER, body=b"x")).used == {"x": ["one"]}
    assert compared(replace(ANSWER, body=b"y")).differences
    assert compared(replace(ANSWER, body=b"x"), "gunicorn-gthread").differences


def test_a_script_that_the_native_application_does_not_fulfil_is_an_error() -> None:
    application = APPLICATIONS["fastapi"]
    wrong = replace(application.steps[0], status=404, shows=b"nowhere")
    idle = Volatile(name="token", where="body", pattern="never there", reason="")
    done = run("fastapi", replace(application, steps=(wrong,), volatile=(idle,)), servers=["uvicorn"])
    of_the_rule, of_the_status, of_the_body = done.differences
    assert of_the_rule.startswith("uvicorn, native: no answer holds the token in body")
    assert "status 200, and the script says 404" in of_the_status
    assert "does not show b'nowhere'" in of_the_body


def test_an_application_that_is_not_installed_is_skipped_with_what_is_missing() -> None:
    absent = replace(APPLICATIONS["fastapi"], modules=("fastapi", "a_module_that_is_nowhere"))
    assert run("fastapi", absent).skipped == "not installed: a_module_that_is_nowhere"


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_THE_SUITE)
def test_the_answers_from_across_are_the_native_ones(name: str) -> None:
    done = run(name, APPLICATIONS[name])
    assert not done.skipped
    assert [len(result.answers) for result in done.results] == [len(done.application.steps)] * len(done.results)
    assert done.differences == []
