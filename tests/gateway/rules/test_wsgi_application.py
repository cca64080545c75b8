import contextlib
import io
import sys
from typing import Any

import pytest

from gateway.rules import RULES
from tests.gateway.rules.cases import Case, shows
from tests.gateway.rules.wsgi import HELLO, PLAIN, FileWrapper, Serve, answers, environ, nested, serve


def app(application: Any, **serving: Any) -> Any:
    return lambda mode: serve(Serve(application, **serving), mode=mode)


def responds(*args: Any, method: str = "GET", **kwargs: Any) -> Any:
    return app(answers(*args, **kwargs), environ=environ(REQUEST_METHOD=method))


def headers(*items: Any) -> Any:
    return responds(headers=[*PLAIN, *items])


def through(middleware: Any, application: Any = None) -> Any:
    return lambda mode: nested(Serve(application or answers(body=(b"a", b"b"))), middleware, mode)


def reads(use: Any, body: bytes = b"abc", **changes: Any) -> Any:
    return app(answers(before=use), environ=environ(body, **changes))


def uses(name: str, *args: Any) -> Any:
    """The case of an application that calls a method of a stream."""
    stream, _, method = name.partition(".")
    return reads(lambda environ: _tries(getattr(environ[f"wsgi.{stream}"], method), *args))


def twice(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    start_response("500 Error", list(PLAIN))
    return []


def changes_its_mind(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    try:
        raise ValueError("early")
    except ValueError:
        start_response("500 Error", list(PLAIN), sys.exc_info())
    return [b"error"]


def traps(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    yield b"begun"
    try:
        raise ValueError("late")
    except ValueError:
        with contextlib.suppress(ValueError):
            start_response("500 Error", list(PLAIN), sys.exc_info())
    yield b"error"


def lets_go(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    yield b"begun"
    try:
        raise ValueError("late")
    except ValueError:
        start_response("500 Error", list(PLAIN), sys.exc_info())
    yield b"error"


def lazily(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    yield b"ok"


def writes(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))(b"written")
    return []


def writes_lazily(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", list(PLAIN))
    yield b"a"
    write(b"b")


class _WritesInClose:
    def __init__(self, write: Any) -> None:
        self.write = write

    def __iter__(self) -> Any:
        return iter([b"a"])

    def close(self) -> None:
        self.write(b"b")


def writes_in_close(environ: Any, start_response: Any) -> Any:
    return _WritesInClose(start_response("200 OK", list(PLAIN)))


def writes_afterwards(environ: Any, start_response: Any) -> Any:
    environ["late"] = start_response("200 OK", list(PLAIN))
    WRITES.append(environ["late"])
    return [b"a"]


WRITES: list[Any] = []


def asks_after_the_end(iterable: Any) -> list[bytes]:
    blocks = list(iterable)
    iterable.close()
    WRITES.pop()(b"late")
    return blocks


def writes_text(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))("text")
    return []


def by_keyword(environ: Any, start_response: Any) -> Any:
    start_response(status="200 OK", headers=list(PLAIN))
    return [b"ok"]


def with_one_argument(environ: Any, start_response: Any) -> Any:
    try:
        start_response("200 OK")
    except TypeError:
        start_response("200 OK", list(PLAIN))
    return [b"ok"]


class Sized:
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Any:
        return iter([b"a", b"b"])


def joins(inner: Any) -> Any:
    """A middleware that takes the whole body and yields it as one block."""

    def middleware(environ: Any, start_response: Any) -> Any:
        blocks = inner(environ, start_response)
        try:
            yield b"".join(blocks)
        finally:
            blocks.close()

    return middleware


def doubles(inner: Any) -> Any:
    """A middleware that keeps the boundaries, and yields more than it takes."""

    def middleware(environ: Any, start_response: Any) -> Any:
        blocks = inner(environ, start_response)
        try:
            for block in blocks:
                yield b""
                yield block
        finally:
            blocks.close()

    return middleware


def swallows_blocks(inner: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        blocks = inner(environ, start_response)
        try:
            for block in blocks:
                if block != b"b":
                    yield block
        finally:
            blocks.close()

    return middleware


def streams(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", PLAIN)
    yield from (b"a", b"b", b"c")


def begins_late(inner: Any) -> Any:
    """A middleware that looks at two blocks before it decides on the head."""

    def middleware(environ: Any, start_response: Any) -> Any:
        given: list[Any] = []
        blocks = inner(environ, lambda *head: given.append(head) or print)
        try:
            first, second = next(blocks), next(blocks)
            start_response(*given[0])
            yield from (first, second)
            yield from blocks
        finally:
            blocks.close()

    return middleware


def writes_blocks(inner: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        written = []

        def start(*args: Any) -> Any:
            written.append(start_response(*args))
            return written[0]

        blocks = inner(environ, start)
        try:
            for block in blocks:
                written[0](block)
        finally:
            blocks.close()
        return []

    return middleware


def passes_on(inner: Any) -> Any:
    return lambda environ, start_response: inner(environ, start_response)


def with_statement(environ: Any) -> None:
    with environ["wsgi.input"] as stream:
        READ.append(stream.read())


def text_of(environ: Any) -> None:
    READ.append(io.TextIOWrapper(environ["wsgi.input"], encoding="ascii").read())


READ: list[Any] = []


@pytest.mark.parametrize(("use", "expected"), [(with_statement, b"abc"), (text_of, "abc")])
def test_collect_mode_lets_an_application_use_the_servers_stream(use: Any, expected: object) -> None:
    result = reads(use)("collect")
    assert (result.errors, READ.pop()) == ([], expected)
    assert result.ids == {"P24"}


def test_a_request_reports_a_rule_once_and_counts_it() -> None:
    result = reads(lambda environ: [environ["wsgi.input"].fileno for _ in range(3)] and _seeks(environ))("collect")
    assert [(violation.rule, violation.count) for violation in result.found] == [("P24", 3)]


def _seeks(environ: Any) -> None:
    for _ in range(3):
        environ["wsgi.input"].seek(0)


def mutating(environ: Any, start_response: Any) -> Any:
    headers = list(PLAIN)
    start_response("200 OK", headers)
    headers.append(("X-Late", "1"))
    return [b"ok"]


KEPT: list[Any] = []


def keeps(status: str, headers: Any, exc_info: Any) -> Any:
    KEPT.append(exc_info)
    return lambda data: None


def prints(environ: Any) -> None:
    print("oops", file=environ["wsgi.errors"], flush=True)


hello = app(HELLO)
LONG = [("Content-Length", "3")]

CASES = [
    Case("P01", app(twice), app(changes_its_mind)),
    Case("P02", app(traps), app(changes_its_mind)),
    Case("P03", app(lambda environ, start_response: []), app(answers("204 No Content", [], ()))),
    Case("P04", responds(headers=[*PLAIN, ("Content-Length", "1")]), headers(("Content-Length", "2"))),
    Case("P05", headers(*LONG), responds(headers=[*PLAIN, *LONG], body=(), method="HEAD")),
    Case("P06", headers(("Content-Length", "two")), headers(("content-length", "2"))),
    Case("P07", headers(*[("Content-Length", "2")] * 2), headers(("Content-Length", "2"))),
    Case("P08", responds("204 No Content", []), responds("204 No Content", [], (b"",))),
    Case("P09", responds("304 Not Modified", []), responds("304 Not Modified", [("Content-Length", "9")], ())),
    Case("P10", responds(method="HEAD"), responds(method="HEAD", body=(b"",))),
    Case("P11", headers(("Connection", "close")), headers(("Content-Language", "de"))),
    Case("P11", headers(("keep-alive", "timeout=5")), headers(("WWW-Authenticate", "Basic")), "keep-alive"),
    Case("P11", headers(("Proxy-Authenticate", "Basic")), headers(("Trailer", "Expires")), "proxy-authenticate"),
    Case("P12", headers(("Transfer-Encoding", "chunked")), headers(("Content-Encoding", "identity"))),
    Case("P13", responds("200 OK\r\nX-Evil: 1"), responds("299 Odd but fine"), "crlf"),
    Case("P13", responds("200 O\x7fK"), responds("200 Ça va"), "del"),
    Case("P14", responds("200 OK "), responds("200 All  is well")),
    Case("P15", responds("200 Ω"), responds("200 é")),
    Case("P16", headers(("X-A", "Ω")), headers(("X-A", "é"))),
    Case("P17", headers(("X-A", "1\r\nSet-Cookie: a=b")), headers(("X-A", "")), "crlf"),
    Case("P17", headers(("X-A", "1\x7f")), headers(("X-A", "~")), "del"),
    Case("P18", app(writes_lazily), app(writes)),
    Case("P18", app(writes_in_close), app(writes), "in-close"),
    Case("P18", app(writes_afterwards, iterate=asks_after_the_end), app(writes), "after-the-end"),
    Case("P19", app(by_keyword, start_response=lambda *args: None), hello, "keywords"),
    Case("P19", app(with_one_argument), hello, "one-argument"),
    Case("P20", responds(body=Sized(3)), responds(body=Sized(2))),
    Case("P21", through(joins, streams), through(doubles, streams), "joined"),
    Case("P21", through(swallows_blocks, streams), through(passes_on, streams), "swallowed"),
    Case("P21", through(joins, streams), through(joins), "a-list-is-not-waited-for"),
    Case("P21", through(joins, streams), through(begins_late, streams), "nothing-can-come-before-the-head"),
    Case("P22", through(writes_blocks), through(passes_on, writes)),
    Case("P23", uses("input.read", 4), uses("input.read", 3)),
    Case(
        "P23",
        reads(lambda environ: [environ["wsgi.input"].read(3), environ["wsgi.input"].read(3)]),
        reads(lambda environ: [environ["wsgi.input"].read(9) for _ in range(2)], wsgi__input_terminated=True),
        "at-the-end",
    ),
    Case(
        "P24",
        reads(lambda environ: environ["wsgi.input"].close()),
        reads(lambda environ: list(environ["wsgi.input"])),
        "close",
    ),
    Case("P24", reads(lambda environ: environ["wsgi.input"].seek(0)), uses("input.readlines"), "seek"),
    Case(
        "P24",
        reads(lambda environ: environ["wsgi.input"].readinto(bytearray(3))),
        reads(lambda environ: hasattr(environ["wsgi.input"], "readinto")),
        "asked-for",
    ),
    Case(
        "P24",
        reads(lambda environ: environ["wsgi.input"].closed),
        reads(lambda environ: getattr(environ["wsgi.input"], "closed", None)),
        "no-method",
    ),
    Case("P24", reads(with_statement), reads(lambda environ: iter(environ["wsgi.input"])), "with"),
    Case("P24", reads(text_of), reads(lambda environ: environ["wsgi.input"].read().decode()), "text-wrapper"),
    Case("P24", reads(lambda environ: environ["wsgi.errors"].close()), reads(prints), "errors"),
    Case("P25", app(mutating), hello),
    Case("P26", app(changes_its_mind, start_response=keeps), app(changes_its_mind)),
    Case("V14", uses("input.readline", 1, 2), uses("input.readline", 2)),
    Case("V16", uses("errors.write", b"oops"), uses("errors.writelines", ["oops"])),
    Case("V17", app(writes_text), app(writes)),
    Case("V18", responds(b"200 OK"), responds("200 OK"), "bytes"),
    Case("V18", responds("200"), responds("404 Not Found"), "no-reason"),
    Case("V18", responds("099 Low"), responds("599 High"), "below-100"),
    Case("V18", responds("OK"), hello, "no-code"),
    Case("V18", responds("200-OK"), hello, "no-space"),
    Case("V19", responds(headers=tuple(PLAIN)), responds(headers=[]), "tuple"),
    Case("V19", responds(headers=[["A", "b"]]), hello, "list-item"),
    Case("V19", responds(headers=[("A", "b", "c")]), hello, "three"),
    Case("V19", responds(headers=[("A", b"b")]), hello, "bytes"),
    Case("V20", headers(("Status", "200 OK")), headers(("X-Status", "200 OK"))),
    Case("V21", headers(("X Y", "1")), headers(("X-Y", "1")), "space"),
    Case("V21", headers(("X-Y:", "1")), headers(("1X", "1")), "colon"),
    Case("V21", headers(("X-Y-", "1")), headers(("X.Y!z", "1")), "trailing-dash"),
    Case("V23", app(lambda e, start: [start("200 OK", list(PLAIN), ValueError()), b"ok"][1:]), app(changes_its_mind)),
    Case(
        "V23",
        app(lambda e, start: [start("200 OK", list(PLAIN), sys.exc_info()), b"ok"][1:]),
        app(changes_its_mind),
        "without-an-exception",
        minor=True,
    ),
    Case("V24", responds(body=b"text"), responds(body=iter([b"text"])), "bytes"),
    Case("V24", responds(body="text"), hello, "str"),
    Case("V24", responds(body=None), responds(body=[]), "none"),
    Case("V25", responds(body=["text"]), responds(body=[b"", b"text"])),
    Case("V26", app(lambda environ, start_response: [b"ok"]), app(lazily)),
    Case("V29", responds("304 Not Modified", PLAIN, ()), responds("304 Not Modified", [("ETag", '"1"')], ())),
    Case("V30", responds("204 No Content", LONG, ()), responds("204 No Content", [], ())),
    Case("V30", responds("204 No Content", [("Content-Length", "0")], ()), hello, "zero", minor=True),
    Case("P77", headers(*[("Content-Type", "text/plain")] * 2), headers(*[("Set-Cookie", "a=1")] * 2)),
    Case("P77", headers(("Location", "/a"), ("location", "/b")), headers(("Location", "/a")), "capital"),
    Case("V31", headers(("ETag", "1")), headers(("ETag", 'W/"1"')), "unquoted"),
    Case("V31", headers(("ETag", 'w/"1"')), headers(("ETag", '""')), "lower-case"),
]


def _tries(call: Any, *args: Any) -> None:
    with contextlib.suppress(TypeError):
        call(*args)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_wsgi_applications_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_a_wsgi_application_does_wrong_reaches_the_server(case: Case) -> None:
    if RULES[case.rule].severity == "error" and not case.minor:
        result = case.bad("raise")
        rules = [getattr(error, "rule", None) for error in result.errors]
        assert case.rule in rules or rules[0] in {v.rule for v in result.validator.violations}
        assert not any(rule is None for rule in rules[:1])


def test_a_violation_in_start_response_is_raised_into_the_application() -> None:
    seen = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            start_response("200 OK\n", list(PLAIN))
        except Exception as error:
            seen.append(error)
        start_response("500 Error", list(PLAIN))
        return [b"error"]

    result = serve(Serve(app), mode="raise")
    assert seen[0].rule == "P13"
    assert result.errors == seen
    assert result.heads == [("500 Error", PLAIN)]


def test_the_first_error_of_a_late_failure_goes_to_the_server() -> None:
    result = serve(Serve(lets_go), mode="raise")
    assert [type(error) for error in result.errors] == [ValueError]
    assert result.found == []


def test_a_file_of_the_servers_wrapper_is_handed_back_as_it_is() -> None:
    import io

    made = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(PLAIN))
        made.append(environ["wsgi.file_wrapper"](io.BytesIO(b"file")))
        return made[0]

    returned = []

    def iterate(iterable: Any) -> list[bytes]:
        returned.append(iterable)
        return list(iterable)

    result = serve(Serve(app, iterate=iterate), mode="raise")
    assert returned[0] is made[0]
    assert isinstance(returned[0], FileWrapper)
    assert (result.found, result.body) == ([], [b"file"])


def test_a_file_of_a_wrapper_that_is_a_function_is_handed_back_as_it_is() -> None:
    made = []

    def wrapper(file: Any, size: int = 8192) -> Any:
        made.append(iter([b"file"]))
        return made[0]

    returned = []

    def iterate(iterable: Any) -> list[bytes]:
        returned.append(iterable)
        return list(iterable)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(PLAIN))
        return environ["wsgi.file_wrapper"](object())

    serve(Serve(app, environ=environ(wsgi__file_wrapper=wrapper), iterate=iterate), mode="raise")
    assert returned[0] is made[0]


def test_len_is_there_only_where_the_application_gave_it() -> None:
    lengths = []

    def iterate(iterable: Any) -> list[bytes]:
        lengths.append(len(iterable) if hasattr(iterable, "__len__") else None)
        blocks = list(iterable)
        iterable.close()
        return blocks

    serve(Serve(HELLO, iterate=iterate), Serve(lazily, iterate=iterate), mode="raise")
    assert lengths == [1, None]
