"""Status lines in both spellings."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from gateway.errors import ApplicationError
from gateway.translate import status as _status
from gateway.translate.status import has_content, status_code, status_line


@pytest.mark.parametrize("status", [status for status in HTTPStatus if status >= 200], ids=str)
def test_status_code_undoes_status_line(status: HTTPStatus) -> None:
    assert status_code(status_line(status.value)) == status.value


@pytest.mark.parametrize(("line", "code"), [("204", 204), ("200 Fine", 200), ("299 ", 299), ("599 x y", 599)])
def test_any_reason_phrase_or_none_is_accepted(line: str, code: int) -> None:
    assert status_code(line) == code
    assert status_code(line) == code


@pytest.mark.parametrize(
    "line",
    [
        "",
        "OK",
        "20 OK",
        "2000 OK",
        "099 x",
        "100 Continue",
        "103 Early Hints",
        "199 x",
        "²00 x",
        b"200 OK",
        200,
        None,
        [],
        " 200",
    ],
)
def test_a_line_without_a_final_status_is_the_applications_fault(line: Any) -> None:
    with pytest.raises(ApplicationError, match="start_response needs a"):
        status_code(line)


def test_an_unregistered_code_has_a_line_that_validators_accept() -> None:
    assert status_line(299) == "299 Unknown"


def test_reason_phrases_made_per_request_fill_no_memory() -> None:
    for number in range(3000):
        assert status_code(f"200 {number}") == 200
    assert len(_status.status_lines) <= _status._TABLE_SIZE


@pytest.mark.parametrize(("code", "expected"), [(200, True), (404, True), (103, False), (204, False), (304, False)])
def test_has_content_knows_the_statuses_without_content(code: int, expected: bool) -> None:
    assert has_content(code) is expected
