"""What the WSGI linters of the field assert is a rule here, or a named false alarm; nothing is left out."""

import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.rules import RULES
from tests.gateway.rules.linters import LINTERS, assertions
from tests.gateway.rules.wsgi import PLAIN, Serve, answers, environ, serve

_STREAMS = {
    "InputWrapper.close: input.close() must not be called": "P24",
    "ErrorWrapper.close: errors.close() must not be called": "P24",
}
#: What wsgiref.validate and webtest.lint, which have one ancestor, say in the same words.
_ANCESTOR = {
    **_STREAMS,
    "check_environ: Environment is not of the right type: %r (en": "V02",
    "check_environ: Environment missing required key: %r": "V03",
    "check_environ: Environment should not have the key: %s (use": "V04",
    "check_environ: QUERY_STRING is not in the WSGI environment;": "query-string-absent",
    "check_environ: Environmental variable %s is not a string: %": "V05",
    "check_environ: wsgi.version should be a tuple (%r)": "P34",
    "check_environ: wsgi.url_scheme unknown: %r": "V06 scheme-unknown",
    "check_environ: Unknown REQUEST_METHOD: %r": "method-unknown",
    "check_environ: SCRIPT_NAME doesn't start with /: %r": "V09",
    "check_environ: PATH_INFO doesn't start with /: %r": "V09 asterisk-form",
    "check_environ: Invalid CONTENT_LENGTH: %r": "V12",
    "check_environ: One of SCRIPT_NAME or PATH_INFO are required": "path-info-absent",
    "check_environ: SCRIPT_NAME cannot be '/'; it should instead": "V10",
    "check_input: wsgi.input (%r) doesn't have the attribute %": "V07",
    "check_errors: wsgi.errors (%r) doesn't have the attribute": "V08",
    "check_status: The status string (%r) should be a three-dig": "V18",
    "check_headers: Individual headers (%r) must be of type tupl": "V19",
    "check_headers: The Status header cannot be used; it conflic": "V20",
    "check_headers: Header names may not contain ':' or '\\n': %r": "V21",
    "check_headers: Bad header name: %r": "V21 header-name-token",
    "check_headers: Names may not end in '-' or '_': %r": "V21",
    "check_headers: Bad header value: %r (bad char: %r)": "P17",
    "check_content_type: Content-Type header found in a %s response,": "V29 content-type-with-204",
    "check_content_type: No Content-Type header found in headers (%s)": "content-type-absent",
}
MAPPING: dict[str, dict[str, str]] = {
    "wsgiref.validate": {
        **_ANCESTOR,
        "validator.lint_app: Two arguments required": "V01",
        "validator.lint_app: No keyword arguments allowed": "V01",
        "validator.lint_app.start_response_wrapper: Invalid number of arguments: %s": "P19",
        "validator.lint_app.start_response_wrapper: No keyword arguments allowed": "P19",
        "validator.lint_app: The application must return an iterator, if": "V24",
        "InputWrapper.read: assert_(len(args) == 1)": "V14 read-without-size",
        "InputWrapper.read: assert_(type(v) is bytes)": "V13",
        "InputWrapper.readline: assert_(len(args) <= 1)": "V14",
        "InputWrapper.readline: assert_(type(v) is bytes)": "V13",
        "InputWrapper.readlines: assert_(len(args) <= 1)": "V14",
        "InputWrapper.readlines: assert_(type(lines) is list)": "V13",
        "InputWrapper.readlines: assert_(type(line) is bytes)": "V13",
        "ErrorWrapper.write: assert_(type(s) is str)": "V16",
        "WriteWrapper.__call__: assert_(type(s) is bytes)": "V17",
        "IteratorWrapper.__next__: Iterator read after closed": "V27",
        "IteratorWrapper.__next__: Iterator yielded non-bytestring (%r)": "V25",
        "IteratorWrapper.__next__: The application returns and we started itera": "V26",
        "IteratorWrapper.__del__: Iterator garbage collected without being clo": "V28",
        "check_status: check_string_type(status, 'Status')": "V18",
        "check_status: Status codes must be three characters: %r": "V18",
        "check_status: Status code is invalid: %r": "V18",
        "check_headers: Headers (%r) must be of type list: %r": "V19",
        "check_headers: assert_(len(item) == 2)": "V19",
        "check_headers: Header name": "V19",
        "check_headers: Header value": "V19",
        "check_content_type: check_string_type(status, 'Status')": "V18",
        "check_content_type: Header name": "V19",
        "check_exc_info: exc_info (%r) is not a tuple: %r": "V23",
        "check_iterator: You should not return a string as your appli": "V24",
    },
    "webtest.lint": {
        **_ANCESTOR,
        "middleware.lint_app: Two arguments required": "V01",
        "middleware.lint_app: No keyword arguments allowed": "V01",
        "middleware.lint_app.start_response_wrapper: Invalid number of arguments: %s": "P19",
        "middleware.lint_app.start_response_wrapper: No keyword arguments allowed": "P19",
        "middleware.lint_app: The application must return an iterator, if": "V24",
        "InputWrapper.read: len(args) <= 1": "V14",
        "InputWrapper.read: type(v) is bytes": "V13",
        "InputWrapper.readlines: len(args) <= 1": "V14",
        "InputWrapper.readline: type(v) is bytes": "V13",
        "InputWrapper.readlines: type(line) is bytes": "V13",
        "InputWrapper.readlines: isinstance(lines, list)": "V13",
        "WriteWrapper.__call__: type(s) is bytes": "V17",
        "IteratorWrapper.next: Iterator read after closed": "V27",
        "IteratorWrapper.next: The application returns and we started itera": "V26",
        "IteratorWrapper.next: Iterator %r returned a non-%r object: %r": "V25",
        "IteratorWrapper.__del__: Iterator garbage collected without being clo": "V28",
        "check_status: Status must be a": "V18",
        "check_status: The status string (%r) should start with thr": "V18",
        "check_status: The status code must be greater or equal tha": "V18",
        "check_status: The status string (%r) should start with thr #2": "V18",
        "check_headers: Headers (": "V19",
        "check_headers: len(item) == 2": "V19",
        "check_headers: Header names must be latin1 string (not Py2": "V19 P16",
        "check_headers: Header values must be latin1 string (not Py2": "V19 P16",
        "check_content_type: Content-Type header found in a %s response, #2": "V29 content-type-with-204",
        "check_exc_info: exc_info (": "V23",
        "check_iterator: You should not return a bytes as your applic": "V24",
    },
    "werkzeug.middleware.lint": {
        "InputStream.read: WSGI does not guarantee an EOF marker on the": "read-without-size",
        "InputStream.read: Too many parameters passed to 'wsgi.input.re": "V14",
        "InputStream.readline: Calls to 'wsgi.input.readline()' without arg": "readline-without-size",
        "InputStream.readline: 'wsgi.input.readline()' was called with a si": "readline-with-size",
        "InputStream.readline: Too many arguments passed to 'wsgi.input.rea": "V14",
        "InputStream.__iter__: 'wsgi.input' is not iterable.": "V07",
        "InputStream.close: The application closed the input stream!": "P24",
        "ErrorStream.write: check_type('wsgi.error.write()', s, str)": "V16",
        "ErrorStream.close: The application closed the error stream!": "P24",
        "GuardedWrite.__call__: check_type('write()', s, bytes)": "V17",
        "GuardedIterator.__next__: Iterated over closed 'app_iter'.": "V27",
        "GuardedIterator.__next__: The application returned before it started t": "V26",
        "GuardedIterator.__next__: application iterator items": "V25",
        "GuardedIterator.close: Entity header": "V29",
        "GuardedIterator.close: 304 responses must not have a body.": "P09",
        "GuardedIterator.close: responses must have an empty content length.": "V30 length-absent-with-204",
        "GuardedIterator.close: responses must not have a body.": "P08",
        "GuardedIterator.close: Content-Length and the number of bytes sent": "P04 P05",
        "GuardedIterator.__del__: Iterator was garbage collected before it was": "V28",
        "LintMiddleware.check_environ: WSGI environment is not a standard Python di": "V02",
        "LintMiddleware.check_environ: Required environment key": "V03",
        "LintMiddleware.check_environ: Environ is not a WSGI 1.0 environ.": "P34",
        "LintMiddleware.check_environ: 'SCRIPT_NAME' does not start with a slash:": "V09",
        "LintMiddleware.check_environ: 'PATH_INFO' does not start with a slash:": "V09 asterisk-form",
        "LintMiddleware.check_start_response: check_type('status', status, str)": "V18",
        "LintMiddleware.check_start_response: Status code must be three digits.": "V18",
        "LintMiddleware.check_start_response: Invalid value for status": "V18",
        "LintMiddleware.check_start_response: Status code < 100 detected.": "V18",
        "LintMiddleware.check_start_response: Header list is not a list.": "V19",
        "LintMiddleware.check_start_response: Header items must be 2-item tuples.": "V19",
        "LintMiddleware.check_start_response: Header keys and values must be strings.": "V19",
        "LintMiddleware.check_start_response: The status header is not supported due to co": "V20",
        "LintMiddleware.check_start_response: Invalid value for exc_info.": "V23",
        "LintMiddleware.check_headers: Weak etag indicator should be upper case.": "V31",
        "LintMiddleware.check_headers: Unquoted etag emitted.": "V31",
        "LintMiddleware.check_headers: Absolute URLs required for location header.": "location-relative",
        "LintMiddleware.check_iterator: The application returned a string. The respo": "V24",
        "LintMiddleware.__call__: A WSGI app takes two arguments.": "V01",
        "LintMiddleware.__call__: A WSGI app does not take keyword arguments.": "V01",
        "LintMiddleware.__call__.checking_start_response: Invalid number of arguments:": "P19",
        "LintMiddleware.__call__.checking_start_response: 'start_response' does not take keyword argum": "P19",
    },
}


def reads(method: str, *args: Any) -> Callable[[Any], Any]:
    return lambda environ: getattr(environ["wsgi.input"], method)(*args)


@dataclass(frozen=True)
class FalseAlarm:
    """Conformant traffic that a linter complains of, and what the specification says of it."""

    name: str
    linter: str
    why: str
    serve: Serve


LOCATION = [*PLAIN, ("Location", "/elsewhere")]
FALSE_ALARMS = [
    FalseAlarm(
        "read-without-size",
        "wsgiref.validate",
        "PEP 3333, Input and Error Streams, note 1: servers should allow it",
        Serve(answers(before=reads("read")), environ=environ(b"abc")),
    ),
    FalseAlarm(
        "readline-without-size",
        "werkzeug.middleware.lint",
        "PEP 3333, Input and Error Streams: that is how readline() is specified",
        Serve(answers(before=reads("readline")), environ=environ(b"abc")),
    ),
    FalseAlarm(
        "readline-with-size",
        "werkzeug.middleware.lint",
        "PEP 3333, Input and Error Streams, note 2: servers should support it",
        Serve(answers(before=reads("readline", 2)), environ=environ(b"abc")),
    ),
    FalseAlarm(
        "query-string-absent",
        "wsgiref.validate",
        "PEP 3333, environ Variables: may be empty or absent",
        Serve(answers(), environ={k: v for k, v in environ().items() if k != "QUERY_STRING"}),
    ),
    FalseAlarm(
        "path-info-absent",
        "wsgiref.validate",
        "PEP 3333, environ Variables: what would be empty may be omitted",
        Serve(answers(), environ={k: v for k, v in environ().items() if k not in ("PATH_INFO", "SCRIPT_NAME")}),
    ),
    FalseAlarm(
        "method-unknown",
        "wsgiref.validate",
        "RFC 9110 9.1: a method is any token",
        Serve(answers(), environ=environ(REQUEST_METHOD="PROPFIND")),
    ),
    FalseAlarm(
        "scheme-unknown",
        "wsgiref.validate",
        "PEP 3333, environ Variables: normally http or https, so not always",
        Serve(answers(), environ=environ(wsgi__url_scheme="coap")),
    ),
    FalseAlarm(
        "asterisk-form",
        "wsgiref.validate",
        "RFC 9112 3.2.4: the target of OPTIONS may be *",
        Serve(answers(), environ=environ(REQUEST_METHOD="OPTIONS", PATH_INFO="*")),
    ),
    FalseAlarm(
        "header-name-token",
        "wsgiref.validate",
        "RFC 9110 5.6.2: a token may begin with a digit",
        Serve(answers(headers=[*PLAIN, ("1X", "1")])),
    ),
    FalseAlarm(
        "content-type-absent",
        "wsgiref.validate",
        "RFC 9110 8.3: should be sent where there is content; a redirect has none",
        Serve(answers("302 Found", [("Location", "http://testserver/")], ())),
    ),
    FalseAlarm(
        "content-type-with-204",
        "wsgiref.validate",
        "RFC 9110 15.3.5: 204 may have metadata of the target",
        Serve(answers("204 No Content", PLAIN, ())),
    ),
    FalseAlarm(
        "length-absent-with-204",
        "werkzeug.middleware.lint",
        "RFC 9110 8.6: 204 must not have a Content-Length",
        Serve(answers("204 No Content", [], ())),
    ),
    FalseAlarm(
        "location-relative",
        "werkzeug.middleware.lint",
        "RFC 9110 10.2.2: a Location may be relative",
        Serve(answers("302 Found", LOCATION, ())),
    ),
]
NAMES = {alarm.name for alarm in FALSE_ALARMS}


@pytest.mark.parametrize("linter", LINTERS)
def test_every_assertion_of_a_linter_is_a_rule_or_a_named_false_alarm(linter: str) -> None:
    mapping = MAPPING[linter]
    assert sorted(assertions(linter)) == sorted(mapping)
    for text, meaning in mapping.items():
        for word in meaning.split():
            assert word in RULES or word in NAMES, (text, word)


def test_every_false_alarm_is_in_the_mapping() -> None:
    named = {word for mapping in MAPPING.values() for meaning in mapping.values() for word in meaning.split()}
    assert named - set(RULES) == NAMES


@pytest.mark.parametrize("alarm", FALSE_ALARMS, ids=lambda alarm: alarm.name)
def test_a_false_alarm_of_a_linter_is_silent_here(alarm: FalseAlarm) -> None:
    result = serve(alarm.serve, mode="raise")
    assert (result.errors, result.found) == ([], [])


def _wrapped(linter: str, app: Any) -> Any:
    module = importlib.import_module(linter)
    if linter == "wsgiref.validate":
        return module.validator(app)
    return module.LintMiddleware(app)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("alarm", FALSE_ALARMS, ids=lambda alarm: alarm.name)
def test_a_false_alarm_is_still_raised_by_its_linter(alarm: FalseAlarm) -> None:
    given = dict(alarm.serve.environ)
    given["wsgi.input"] = io.BytesIO(b"abc")
    complaints = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            iterable = _wrapped(alarm.linter, alarm.serve.app)(given, lambda *args: lambda data: None)
            list(iterable)
            iterable.close()
        except (AssertionError, KeyError) as error:
            complaints.append(str(error))
    assert complaints or warned
