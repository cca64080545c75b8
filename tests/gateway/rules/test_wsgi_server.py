import gc
import io
import sys
import threading
from typing import Any

import pytest

from gateway.rules import RULES, Validator
from tests.gateway.rules.cases import Case, shows
from tests.gateway.rules.test_wsgi_application import changes_its_mind, lazily
from tests.gateway.rules.wsgi import ABSENT, HELLO, PLAIN, Result, Serve, answers, environ, serve


def env(body: bytes = b"", **changes: Any) -> Any:
    return lambda mode: serve(Serve(HELLO, environ=environ(body, **changes)), mode=mode)


def foreign_key(key: object) -> Any:
    given: dict[Any, Any] = environ()
    given[key] = 1
    return lambda mode: serve(Serve(HELLO, environ=given), mode=mode)


def server(app: Any = lazily, **serving: Any) -> Any:
    return lambda mode: serve(Serve(app, **serving), mode=mode)


def reads(use: Any, stream: Any, **changes: Any) -> Any:
    call = Serve(answers(before=use), environ=environ(b"abc", wsgi__input=stream, **changes))
    return lambda mode: serve(call, mode=mode)


def iterated(*steps: str) -> Any:
    """The case of a server that does these things with the iterable, of an application that has two blocks."""

    def iterate(iterable: Any) -> list[bytes]:
        iterator = iter(iterable)
        for step in steps:
            if step == "next":
                next(iterator, None)
            elif step == "close":
                iterable.close()
            elif step == "forget":
                del iterator, iterable
                gc.collect()
            else:
                getattr(iterable, step)
        return []

    return iterate


class Blocks:
    """An iterable with an attribute of its own."""

    status = "secret"

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = iter(blocks or (b"a", b"b"))

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        return next(self.blocks)

    def close(self) -> None:
        pass


def blocks(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    return Blocks()


def too_long(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [*PLAIN, ("Content-Length", "1")])
    return Blocks(b"ab", b"c")


class Subclass(dict[str, Any]):
    pass


class StrictInput:
    """An input that wants a size."""

    def __init__(self, body: bytes = b"abc") -> None:
        self._file = io.BytesIO(body)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def readline(self) -> bytes:
        return self._file.readline()

    def readlines(self, hint: int = -1) -> list[bytes]:
        return self._file.readlines()

    def __iter__(self) -> Any:
        return iter(self._file)


class TextInput(StrictInput):
    def read(self, size: int = -1) -> Any:
        return "abc"


class Exploding(StrictInput):
    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionError("nothing left")
        return data


class NoReadline:
    def read(self, size: int = -1) -> bytes:
        return b""


def again(fresh: bool) -> Any:
    """The case of a server that gives one environ to two requests."""

    def run(mode: str) -> Any:
        first = environ()
        second = environ() if fresh else first
        return serve(Serve(HELLO, environ=first, same=True), Serve(HELLO, environ=second, same=True), mode=mode)

    return run


def overlapping(multithread: bool) -> Any:
    """The case of a server that calls the application from two threads at once."""

    def run(mode: str) -> Any:
        both = threading.Barrier(2, timeout=30)

        def app(environ: Any, start_response: Any) -> Any:
            both.wait()
            start_response("200 OK", list(PLAIN))
            both.wait()
            return [b"ok"]

        validator = Validator(app, "wsgi", mode)  # type: ignore[call-overload]
        results: list[Result] = []

        def request() -> None:
            call = Serve(app, environ=environ(wsgi__multithread=multithread))
            results.append(serve(call, validator=validator))

        threads = [threading.Thread(target=request) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Result(validator, errors=[error for result in results for error in result.errors])

    return run


def sends_early(status: str, headers: Any, exc_info: Any) -> Any:
    """A start_response that has sent the head already."""
    if exc_info:
        raise exc_info[1]
    return lambda data: None


class NoClose:
    """A file wrapper that forgets close()."""

    def __init__(self, file: Any, size: int = 8192) -> None:
        self.file = file

    def __iter__(self) -> Any:
        return iter([b"file"])


def sends_file(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))


def three_only(app: Any, environ: Any, start_response: Any) -> Any:
    return app(environ, lambda status, headers, exc_info: None)


def four_only(app: Any, environ: Any, start_response: Any) -> Any:
    return app(environ, lambda status, headers, exc_info, extra: None)


def by_keyword(app: Any, environ: Any, start_response: Any) -> Any:
    return app(environ=environ, start_response=start_response)


def with_three(app: Any, environ: Any, start_response: Any) -> Any:
    return app(environ, start_response, 1)


def _tries(call: Any, *args: Any) -> Any:
    try:
        return call(*args)
    except Exception:
        return []


def _both(environ: Any) -> None:
    environ["wsgi.input"].read(3)
    environ["wsgi.input"].read()


class NotIterable:
    def __init__(self, file: Any, size: int = 8192) -> None:
        self.close = file.close


class Once(StrictInput):
    """An input that ends properly once."""

    ended = False

    def read(self, size: int = -1) -> bytes:
        if self.ended:
            raise ConnectionError("nothing left")
        self.ended = True
        return b""


class Generous(StrictInput):
    """An input that gives more than it is asked for."""

    def read(self, size: int = -1) -> bytes:
        return b"abc"

    def readline(self, size: int = -1) -> bytes:
        return b"a\nbc"

    def __iter__(self) -> Any:
        return iter([b"a\nbc"])


class BytesErrors:
    """wsgi.errors that is a binary file."""

    def write(self, data: Any) -> None:
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required")

    def writelines(self, lines: Any) -> None: ...

    def flush(self) -> None: ...


def logs(text: str, errors: Any) -> Any:
    def write(environ: Any) -> None:
        _tries(environ["wsgi.errors"].write, text)

    return lambda mode: serve(Serve(answers(before=write), environ=environ(wsgi__errors=errors)), mode=mode)


class Refusing:
    """The result of a server that refuses headers, as it should: only the application is at fault."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.found = [violation for violation in result.found if violation.side != "application"]


def refuses(name: str) -> Any:
    def start_response(status: str, headers: Any, exc_info: Any) -> Any:
        raise ValueError(f"{name} is not for applications")

    app = answers(headers=[(name, "1")])
    return lambda mode: Refusing(serve(Serve(app, start_response=start_response), mode=mode))


def fails_late(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(PLAIN))
    yield b"begun"
    try:
        raise ValueError("late")
    except ValueError:
        start_response("500 Error", list(PLAIN), sys.exc_info())
    yield b"error"


def accepts(status: str, headers: Any, exc_info: Any) -> Any:
    return lambda data: None


def raises_another() -> Any:
    def start_response(status: str, headers: Any, exc_info: Any) -> Any:
        if exc_info:
            raise RuntimeError("headers already sent")
        return lambda data: None

    return start_response


def writes_too_much(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [*PLAIN, ("Content-Length", "1")])(b"ab")
    return []


def writes_enough(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [*PLAIN, ("Content-Length", "1")])(b"a")
    return []


NO_LENGTH = {"CONTENT_LENGTH": ABSENT}
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ABSENT}
good = env()
read = server(answers(before=lambda environ: environ["wsgi.input"].read()), environ=environ(b"abc"))

CASES = [
    Case("P30", env(SERVER_PROTOCOL=ABSENT), env(SERVER_PROTOCOL="HTTP/1.0")),
    Case("P31", env(SERVER_NAME=""), env(SERVER_NAME="::1")),
    Case("P32", env(SERVER_PORT=""), env(SERVER_PORT="0")),
    Case("P33", env(PATH_INFO="/é€"), env(PATH_INFO="/\xc3\xa9"), "path"),
    Case("P33", env(HTTP_X_NAME="Ω"), env(LANG_NAME="Ω"), "header"),
    Case("P34", env(wsgi__version=(1, 1)), env(wsgi__version=(1, 0)), "1.1"),
    Case("P34", env(wsgi__version=[1, 0]), good, "list"),
    Case("P35", env(b"abc", HTTP_TRANSFER_ENCODING="chunked"), env(**CHUNKED), "with-length"),
    Case(
        "P35",
        reads(lambda environ: environ["wsgi.input"].read(), io.BytesIO(b"3\r\nabc\r\n0\r\n\r\n"), **CHUNKED),
        reads(lambda environ: environ["wsgi.input"].read(), io.BytesIO(b"abc"), **CHUNKED),
        "not-decoded",
    ),
    Case("P36", env(HTTP_x_name="1"), env(http_proxy="http://proxy"), "lower-case"),
    Case("P36", env(**{"HTTP_X-NAME": "1"}), env(HTTP_X_NAME="1"), "dash"),
    Case(
        "P37",
        env(QUERY_STRING="?x=1", REQUEST_URI="/?x=1"),
        env(QUERY_STRING="?x=1", RAW_URI="/??x=1"),
    ),
    Case("P38", env(wsgi__file_wrapper="sendfile"), env(wsgi__file_wrapper=ABSENT), "not-callable"),
    Case("P38", server(sends_file, environ=environ(wsgi__file_wrapper=NoClose)), server(sends_file), "no-close"),
    Case("P38", server(sends_file, environ=environ(wsgi__file_wrapper=NotIterable)), server(sends_file), "no-iterable"),
    Case(
        "P38",
        server(sends_file, environ=environ(wsgi__file_wrapper=lambda file, size=8192: [file.read()])),
        server(sends_file, environ=environ(wsgi__file_wrapper=lambda file, size=8192: file)),
        "function-without-close",
    ),
    Case("P39", server(start_response=lambda *args: None), server()),
    Case("P40", server(iterate=iterated("next", "next", "close", "close")), server(iterate=iterated("next", "close"))),
    Case("P41", again(fresh=False), again(fresh=True)),
    Case("P42", server(changes_its_mind, start_response=sends_early), server(changes_its_mind)),
    Case(
        "P44",
        server(too_long, iterate=iterated("next", "next", "close")),
        server(blocks, iterate=iterated("next", "next", "next", "close")),
    ),
    Case("P45", server(blocks, iterate=iterated("status", "close")), server(blocks, iterate=iterated("close"))),
    Case("P46", reads(lambda environ: _tries(environ["wsgi.input"].read), StrictInput()), read),
    Case("P47", env(REQUEST_METHOD=""), env(REQUEST_METHOD="PROPFIND")),
    Case(
        "P48",
        reads(lambda environ: environ["wsgi.input"].read(), io.BytesIO(b"abcGET / HTTP/1.1")),
        read,
        "more-than-the-body",
    ),
    Case("P48", reads(lambda environ: _tries(_both, environ), Exploding()), read, "error"),
    Case(
        "P48",
        reads(lambda environ: _tries(_both, environ), Once(), **NO_LENGTH),
        reads(_both, io.BytesIO(b""), **NO_LENGTH),
        "error-without-a-length",
    ),
    Case("P49", overlapping(multithread=False), overlapping(multithread=True)),
    Case("P50", server(HELLO, call=four_only), server(HELLO), "four"),
    Case("P50", server(HELLO, call=three_only), good, "three"),
    Case("P51", env(REMOTE_USER=""), env(REMOTE_USER="me")),
    Case("P52", logs("é", io.TextIOWrapper(io.BytesIO(), "ascii")), logs("e", io.StringIO()), "unicode", minor=True),
    Case("P52", logs("e", BytesErrors()), logs("é", io.StringIO()), "bytes"),
    Case("P53", reads(lambda environ: environ["wsgi.input"].read(2), Generous()), read, "read"),
    Case("P53", reads(lambda environ: environ["wsgi.input"].readline(), Generous()), read, "line"),
    Case(
        "P53",
        reads(lambda environ: list(environ["wsgi.input"]), Generous()),
        reads(lambda environ: list(environ["wsgi.input"]), io.BytesIO(b"a\nb")),
        "iteration",
    ),
    Case(
        "P54",
        reads(lambda environ: _tries(environ["wsgi.input"].readline, 2), StrictInput()),
        reads(lambda environ: environ["wsgi.input"].readline(2), io.BytesIO(b"abc")),
    ),
    Case("P55", env(**{"Server.socket": 1}), env(**{"server.socket_2": 1, "HTTP_X.Y": "1"})),
    Case("P56", server(answers(headers=[("Connection", "close")])), refuses("Connection"), "hop-by-hop"),
    Case("P56", server(answers("200 OK\n")), refuses("Content-Type\n"), "control"),
    Case("P57", server(fails_late, start_response=accepts), server(fails_late)),
    Case("P58", server(fails_late, start_response=raises_another()), server(fails_late)),
    Case("P59", server(writes_too_much), server(writes_enough)),
    Case("V01", server(HELLO, call=by_keyword), good, "keywords"),
    Case("V01", server(HELLO, call=with_three), good, "three"),
    Case("V02", server(environ=Subclass(environ())), good, "subclass"),
    Case("V03", env(SERVER_NAME=ABSENT), env(QUERY_STRING=ABSENT, SCRIPT_NAME=ABSENT), "server-name"),
    Case("V03", env(wsgi__url_scheme=ABSENT), env(CONTENT_TYPE=""), "url-scheme"),
    Case("V03", env(wsgi__run_once=ABSENT), good, "run-once"),
    Case("V04", env(HTTP_CONTENT_LENGTH="3"), env(b"abc")),
    Case("P30", env(SERVER_PROTOCOL="1.1"), env(SERVER_PROTOCOL="HTTP/2"), "form", minor=True),
    Case("P36", env(http_x="1"), env(HTTP_X="1"), "all-lower-case"),
    Case("P37", env(QUERY_STRING="x=a b"), env(QUERY_STRING="x=a%20b"), "decoded"),
    Case("P37", env(QUERY_STRING="x=1", PATH_INFO="/a?x=1"), env(QUERY_STRING="x=1", PATH_INFO="/a?"), "in-the-path"),
    Case("P78", env(HTTP_X="1\r\ny: 2"), env(HTTP_X="1\t\xe9")),
    Case("V05", foreign_key(5), foreign_key("five"), "key"),
    Case("V06", env(wsgi__url_scheme="http://"), env(wsgi__url_scheme="https"), "url"),
    Case("V05", env(SERVER_PORT=80), env(SERVER_PORT="80"), "int"),
    Case("V05", env(REMOTE_PORT=50000), env(REMOTE_PORT="50000"), "remote-port"),
    Case("V05", env(HTTP_HOST=b"testserver"), env(uwsgi__version=b"2.0"), "bytes"),
    Case("V06", env(wsgi__url_scheme=""), env(wsgi__url_scheme="coap")),
    Case("V07", env(wsgi__input=NoReadline()), env(wsgi__input=StrictInput())),
    Case("V08", env(wsgi__errors=object()), good),
    Case("V09", env(PATH_INFO="a"), env(PATH_INFO="*", REQUEST_METHOD="OPTIONS"), "path"),
    Case("V09", env(SCRIPT_NAME="app"), env(SCRIPT_NAME="/app", PATH_INFO=""), "script"),
    Case("V10", env(SCRIPT_NAME="/", PATH_INFO=""), env(PATH_INFO=""), "slash"),
    Case("V10", env(SCRIPT_NAME="/app/"), env(SCRIPT_NAME="/app"), "slashes"),
    Case("V12", env(CONTENT_LENGTH="-1"), env(CONTENT_LENGTH=""), "negative"),
    Case("V12", env(CONTENT_LENGTH="ten"), env(b"abc"), "text"),
    Case("V13", reads(lambda environ: environ["wsgi.input"].read(3), TextInput()), read),
    Case("V27", server(iterate=iterated("next", "close", "next")), server(iterate=iterated("next", "close"))),
    Case("V28", server(iterate=iterated("next", "forget")), server(answers(body=[b"ok"]), iterate=lambda it: list(it))),
]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_wsgi_servers_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


_RULES = {rule.id for rule in RULES.values() if rule.at == ("environ",) and rule.severity == "error"}
#: P49 needs a second thread, which it would leave waiting.
BEFORE_THE_CALL = [case for case in CASES if case.rule in _RULES - {"P49"} and not case.minor]


@pytest.mark.parametrize("case", BEFORE_THE_CALL, ids=lambda case: case.id)
def test_a_wrong_environ_is_raised_to_the_server_and_the_application_not_called(case: Case) -> None:
    result = case.bad("raise")
    assert [error.rule for error in result.errors] == [case.rule]
    if case.rule != "P41":
        assert result.heads == []


def test_an_iterable_that_is_dropped_warns_where_nothing_can_be_raised() -> None:
    with pytest.warns(ResourceWarning, match=r"\[V28\] server"):
        server(iterate=iterated("next", "forget"))("raise")


def test_a_request_inside_a_request_with_a_copied_environ_is_no_reuse() -> None:
    validator: Any = None

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            return validator({**environ, "PATH_INFO": "/error"}, start_response)
        return HELLO(environ, start_response)

    validator = Validator(app, "wsgi", "raise")  # type: ignore[call-overload]
    result = serve(Serve(app), validator=validator)
    assert (result.errors, result.found) == ([], [])


def test_a_file_of_the_servers_wrapper_is_only_the_servers_fault() -> None:
    result = server(sends_file, environ=environ(wsgi__file_wrapper=NotIterable))("collect")
    assert {(found.rule, found.side) for found in result.found} == {("P38", "server")}
