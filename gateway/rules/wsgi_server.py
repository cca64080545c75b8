"""Rules that bind WSGI servers: the environ, the streams, and the use of the application's iterable.

The linters of the field also check the V rules. They do not check the P rules.

(Above 400 lines: one table, with a function for each rule.)

Sources: PEP 3333; RFC 3875; RFC 9110, 9112.
"""

from __future__ import annotations

import re

from gateway.errors import ProtocolViolation
from gateway.protocols import Environ
from gateway.rules._fields import SCHEME, invalid_field
from gateway.rules._narrow import is_tuple, size, strings
from gateway.rules.asgi_state import chunk_framing
from gateway.rules.table import Minor, Table
from gateway.rules.wsgi_application import latin1
from gateway.rules.wsgi_state import Call, Exchange, Input, Started, Wrapped

__all__ = ["RULES"]

RULES = Table("WSGI: servers")
_PEP = "PEP 3333, "
_ENVIRON = _PEP + "environ Variables"
_START = _PEP + "The start_response() Callable"
_STREAMS = _PEP + "Input and Error Streams"
_PROTOCOL = re.compile(r"[A-Za-z]+/\d+(\.\d+)?")
_NOT_ENCODED = re.compile(r"[\x00-\x20\x7f]")


@RULES.rule(
    "P30", "The environ has SERVER_PROTOCOL, because every request has a protocol.", _ENVIRON, "server", "environ"
)
def server_protocol(exchange: Exchange, environ: Environ) -> str | None:
    value: object = environ.get("SERVER_PROTOCOL")
    if not isinstance(value, str) or not value:
        return f"SERVER_PROTOCOL {value!r}"
    return None if _PROTOCOL.fullmatch(value) else Minor(f"SERVER_PROTOCOL {value!r}, which is not like HTTP/1.1")


@RULES.rule("P31", "SERVER_NAME is never empty.", _ENVIRON, "server", "environ")
def server_name(exchange: Exchange, environ: Environ) -> str | None:
    return "an empty SERVER_NAME" if environ.get("SERVER_NAME") == "" else None


@RULES.rule("P32", "SERVER_PORT is never empty.", _ENVIRON, "server", "environ")
def server_port(exchange: Exchange, environ: Environ) -> str | None:
    return "an empty SERVER_PORT" if environ.get("SERVER_PORT") == "" else None


@RULES.rule("P33", "Strings have no characters above U+00FF.", _PEP + "Unicode Issues", "server", "environ")
def environ_is_latin1(exchange: Exchange, environ: Environ) -> str | None:
    for key, value in strings(environ):
        cgi = "." not in key and (key in _CGI or key.startswith("HTTP_"))
        if cgi and isinstance(value, str) and not latin1(value):
            return f"{key} {value!r}"
    return None


#: The variables of RFC 3875, and those that servers add to them.
_CGI = frozenset(
    {
        "AUTH_TYPE",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "DOCUMENT_ROOT",
        "GATEWAY_INTERFACE",
        "HTTPS",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REMOTE_HOST",
        "REMOTE_IDENT",
        "REMOTE_PORT",
        "REMOTE_USER",
        "REQUEST_METHOD",
        "REQUEST_URI",
        "SCRIPT_FILENAME",
        "SCRIPT_NAME",
        "SERVER_ADDR",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "SERVER_SOFTWARE",
    }
)


@RULES.rule("P34", "wsgi.version is (1, 0).", _ENVIRON, "server", "environ")
def wsgi_version(exchange: Exchange, environ: Environ) -> str | None:
    version: object = environ.get("wsgi.version")
    return None if version == (1, 0) or "wsgi.version" not in environ else f"wsgi.version {version!r}"


@RULES.rule(
    "P35",
    "The server handles Transfer-Encoding: it decodes the body, and does not pass CONTENT_LENGTH with it.",
    _PEP + "Other HTTP Features; RFC 9112 6.3",
    "server",
    "environ",
    "input",
)
def transfer_encoding_is_handled(exchange: Exchange, step: Environ | Input) -> str | None:
    coding: object = exchange.environ.get("HTTP_TRANSFER_ENCODING")
    if not coding:
        return None
    if not isinstance(step, Input):
        length: object = step.get("CONTENT_LENGTH")
        return f"HTTP_TRANSFER_ENCODING {coding!r} with CONTENT_LENGTH {length!r}" if length else None
    if exchange.undecoded is None or not isinstance(step.result, bytes) or not step.result:
        return None
    whole = exchange.undecoded + step.result
    return f"chunk framing in the body: {whole[:20]!r}" if chunk_framing(whole) else None


@RULES.rule(
    "P36", "HTTP_ variables are upper-case, with underscores.", _ENVIRON + "; RFC 3875 4.1.18", "server", "environ"
)
def http_variables_are_upper_case(exchange: Exchange, environ: Environ) -> str | None:
    for key, _ in strings(environ):
        # CGI servers pass the environment of the operating system on, http_proxy with it.
        ours = key.startswith("HTTP_") or (key.upper().startswith("HTTP_") and key.lower() != "http_proxy")
        if ours and (key != key.upper() or "-" in key):
            return f"the key {key!r}"
    return None


@RULES.rule("P37", "QUERY_STRING is the part of the URL after the '?'.", _ENVIRON, "server", "environ")
def query_string_has_no_question_mark(exchange: Exchange, environ: Environ) -> str | None:
    query: object = environ.get("QUERY_STRING", "")
    path: object = environ.get("PATH_INFO", "")
    if not isinstance(query, str) or not query:
        return None
    if _NOT_ENCODED.search(query):
        return f"QUERY_STRING {query!r}, which is not percent-encoded"
    if isinstance(path, str) and path.endswith(f"?{query}"):
        return f"PATH_INFO {path!r} with QUERY_STRING {query!r}"
    if not query.startswith("?"):
        return None
    for key in ("REQUEST_URI", "RAW_URI"):
        uri: object = environ.get(key)
        if isinstance(uri, str):
            return None if "??" in uri else f"QUERY_STRING {query!r} for {key} {uri!r}"
    return None


@RULES.rule(
    "P38",
    "wsgi.file_wrapper is callable. It returns an iterable, with a close() if the file has one.",
    _PEP + "Optional Platform-Specific File Handling",
    "server",
    "environ",
    "returned",
    "wrapped",
)
def file_wrapper(exchange: Exchange, step: object) -> str | None:
    wrapper: object = exchange.environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return None
    if not callable(wrapper):
        return f"wsgi.file_wrapper {wrapper!r}"
    if isinstance(step, Wrapped):
        made, closes = step.result, hasattr(step.file, "close")
    elif step is not exchange.environ and _made_by(wrapper, step):
        made, closes = step, True
    else:
        return None
    kind: type[object] = type(made)
    if not hasattr(kind, "__iter__") and not hasattr(kind, "__getitem__"):
        return f"a {kind.__name__}, which is not iterable"
    return f"a {kind.__name__} without close()" if closes and not hasattr(made, "close") else None


def _made_by(wrapper: object, value: object) -> bool:
    return isinstance(wrapper, type) and isinstance(value, wrapper)


@RULES.rule("P39", "start_response returns a write callable.", _START, "server", "started")
def start_response_returns_write(exchange: Exchange, started: Started) -> str | None:
    return None if started.error is not None or callable(started.write) else f"{started.write!r}"


@RULES.rule(
    "P40",
    "close() is called once, when the request ends.",
    _PEP + "Specification Details",
    "server",
    "close",
    severity="warning",
)
def close_comes_once(exchange: Exchange, step: object) -> str | None:
    return "a second close()" if exchange.closed else None


@RULES.rule(
    "P41",
    "Every request has its own environ.",
    _PEP + "Specification Details",
    "server",
    "environ",
    severity="warning",
)
def environ_is_new(exchange: Exchange, environ: Environ) -> str | None:
    return "the environ of an earlier request" if exchange.reused else None


@RULES.rule(
    "P42",
    "The status and headers are not sent before the first non-empty block, the first write(), or the end.",
    _START,
    "server",
    "started",
)
def head_waits_for_the_body(exchange: Exchange, started: Started) -> str | None:
    if started.error is None or started.refused or not started.call.exc_info or exchange.declares_nothing:
        return None
    if exchange.non_empty or exchange.writes or exchange.start_failed:
        return None
    return f"{type(started.error).__name__} from start_response with exc_info, before any output"


@RULES.rule(
    "P43",
    "A block is sent before the next one is asked for.",
    _PEP + "Buffering and Streaming",
    "server",
    "flushed",
    seen="client",
)
def blocks_are_not_withheld(sent: int, seen: int) -> str | None:
    return f"the client has {seen} of {sent} bytes while the application makes its next block" if seen < sent else None


@RULES.rule(
    "P44",
    "A server stops iterating when it has sent Content-Length bytes and the application yields more.",
    _PEP + "Handling the Content-Length Header",
    "server",
    "next",
    severity="warning",
)
def iteration_stops_at_content_length(exchange: Exchange, step: object) -> str | None:
    if exchange.length is None or exchange.bytes_sent <= exchange.length or exchange.head:
        return None
    return f"another block was requested after {exchange.bytes_sent} of {exchange.length} bytes"


@RULES.rule(
    "P45",
    "A server uses only iteration, len() and close() of the iterable.",
    _PEP + "Specification Details",
    "server",
    "after",
)
def iterable_is_only_iterated(exchange: Exchange, attribute: str) -> str | None:
    return None if attribute == "next" else f"{attribute} used"


@RULES.rule(
    "P46",
    "wsgi.input.read() works without a size.",
    _STREAMS + ", note 1",
    "server",
    "input",
    severity="warning",
)
def read_without_size(exchange: Exchange, step: Input) -> str | None:
    if step.method != "read" or step.args or not isinstance(step.error, TypeError):
        return None
    return f"TypeError: {step.error}"


@RULES.rule("P47", "REQUEST_METHOD is never empty.", _ENVIRON, "server", "environ")
def request_method(exchange: Exchange, environ: Environ) -> str | None:
    return "an empty REQUEST_METHOD" if environ.get("REQUEST_METHOD") == "" else None


@RULES.rule(
    "P48",
    "Reading past the end of the input returns b'': no error, and no bytes that do not belong to the body.",
    _STREAMS + ", note 1",
    "server",
    "input",
    severity="warning",
)
def input_ends(exchange: Exchange, step: Input) -> str | None:
    length = exchange.content_length
    if exchange.input_ended and isinstance(step.error, Exception):
        return f"{type(step.error).__name__} at the end"
    if length is None:
        return None
    got = len(step.result) if isinstance(step.result, bytes) else 0
    if exchange.bytes_read + got > length:
        return f"{exchange.bytes_read + got} bytes for CONTENT_LENGTH {length}"
    at_end = exchange.bytes_read >= length
    return f"{type(step.error).__name__} at the end" if at_end and isinstance(step.error, Exception) else None


@RULES.rule(
    "P49",
    "wsgi.multithread is true if two threads may call the application at once.",
    _ENVIRON,
    "server",
    "environ",
    severity="warning",
)
def multithread_is_told(exchange: Exchange, environ: Environ) -> str | None:
    false = "wsgi.multithread" in environ and not environ["wsgi.multithread"]
    return (
        "a second thread in the application, although wsgi.multithread is false"
        if exchange.overlaps and false
        else None
    )


@RULES.rule(
    "P50",
    "start_response takes two positional arguments and an optional third one, exc_info.",
    _START,
    "server",
    "started",
)
def start_response_takes_its_arguments(exchange: Exchange, started: Started) -> str | None:
    good = not started.call.kwargs and len(started.call.args) in (2, 3)
    return f"{started.error!r} for {len(started.call.args)} arguments" if started.refused and good else None


@RULES.rule(
    "P51",
    "A CGI variable without a value is left out: REMOTE_USER or AUTH_TYPE of a request without authentication.",
    _ENVIRON,
    "server",
    "environ",
    severity="warning",
)
def missing_variables_are_left_out(exchange: Exchange, environ: Environ) -> str | None:
    empty = [key for key in ("AUTH_TYPE", "REMOTE_IDENT", "REMOTE_USER") if environ.get(key) == ""]
    return f"an empty {empty[0]}" if empty else None


@RULES.rule("P52", "wsgi.errors accepts every str.", _ENVIRON + "; Input and Error Streams", "server", "logged")
def errors_accept_text(exchange: Exchange, error: Exception) -> str | None:
    found = f"{type(error).__name__}: {error}"
    return Minor(found) if isinstance(error, UnicodeError) else found


@RULES.rule(
    "P53",
    "read(size) and readline(size) return at most size bytes; readline() and iteration give one line at a time.",
    _STREAMS,
    "server",
    "input",
)
def reads_are_limited(exchange: Exchange, step: Input) -> str | None:
    data = step.result
    if step.method not in ("read", "readline", "__iter__") or not isinstance(data, bytes):
        return None
    limit = step.args[0] if step.args else None
    if type(limit) is int and 0 <= limit < len(data):
        return f"{len(data)} bytes from {step.method}({limit})"
    line = step.method != "read" and b"\n" in data[:-1]
    return f"more than one line from {step.method}: {data[:40]!r}" if line else None


@RULES.rule(
    "P54",
    "wsgi.input.readline() takes a size.",
    _STREAMS + ", note 2",
    "server",
    "input",
    severity="warning",
)
def readline_takes_a_size(exchange: Exchange, step: Input) -> str | None:
    refused = step.method == "readline" and len(step.args) == 1 and isinstance(step.error, TypeError)
    return f"TypeError: {step.error}" if refused else None


@RULES.rule(
    "P55",
    "The name of a server's own variable has only lower-case letters, digits, dots and underscores.",
    _ENVIRON,
    "server",
    "environ",
    severity="warning",
)
def own_variables_are_lower_case(exchange: Exchange, environ: Environ) -> str | None:
    for key, _ in strings(environ):
        # A name without a dot can be an environment variable of the operating system.
        if "." in key and not key.startswith("HTTP_") and not _OWN_NAME.fullmatch(key):
            return f"the key {key!r}"
    return None


_OWN_NAME = re.compile(r"[a-z0-9._]+")
#: What a server should check when start_response is called.
_CHECKED = ("P11", "P12", "P13", "P15", "P16", "P17", "V18", "V19", "V21")


@RULES.rule(
    "P56",
    "A server raises from start_response if a header is wrong or a hop-by-hop header.",
    _START,
    "server",
    "started",
    severity="warning",
)
def wrong_headers_are_refused(exchange: Exchange, started: Started) -> str | None:
    wrong = [rule for rule in started.broken if rule in _CHECKED]
    return f"no error for headers that break {', '.join(wrong)}" if wrong and started.error is None else None


@RULES.rule(
    "P57",
    "If the headers have been sent, start_response raises when it is called with exc_info.",
    _START,
    "server",
    "started",
)
def late_error_is_raised(exchange: Exchange, started: Started) -> str | None:
    # Middleware may return without an exception, to capture the error output (Error Handling).
    if not started.call.exc_info or started.error is not None or not exchange.non_empty or exchange.outer is not None:
        return None
    return f"no error after {exchange.bytes_sent} bytes of the body"


@RULES.rule(
    "P58",
    "A start_response that raises because the headers have been sent re-raises the exception of exc_info.",
    _START,
    "server",
    "started",
    severity="warning",
)
def late_error_is_the_same(exchange: Exchange, started: Started) -> str | None:
    exc_info = started.call.exc_info
    error = started.error
    if error is None or started.refused or not exchange.non_empty or not is_tuple(exc_info) or len(exc_info) != 3:
        return None
    same = error is exc_info[1] or exchange.outer is not None or isinstance(error, ProtocolViolation)
    return None if same else f"{type(error).__name__} instead of {type(exc_info[1]).__name__}"


@RULES.rule(
    "P59",
    "write() raises if the application writes more than Content-Length bytes.",
    _PEP + "Handling the Content-Length Header",
    "server",
    "written",
    severity="warning",
)
def write_stops_at_content_length(exchange: Exchange, data: object) -> str | None:
    if exchange.length is None or exchange.bytes_sent <= exchange.length or exchange.head or not size(data):
        return None
    return f"no error for {exchange.bytes_sent} bytes written, with Content-Length {exchange.length}"


@RULES.rule(
    "V01", "An application is called with two positional arguments.", _PEP + "Specification Details", "server", "call"
)
def application_is_called_by_position(exchange: Exchange, call: Call) -> str | None:
    if call.kwargs:
        return f"the keyword arguments {sorted(call.kwargs)}"
    return None if len(call.args) == 2 else f"{len(call.args)} arguments"


@RULES.rule(
    "V02", "The environ is a dict, not an instance of a subclass.", _PEP + "Specification Details", "server", "environ"
)
def environ_is_a_dict(exchange: Exchange, environ: object) -> str | None:
    return None if type(environ) is dict else f"a {type(environ).__name__}"


_REQUIRED = (
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.version",
    "wsgi.url_scheme",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
)


@RULES.rule("V03", "The environ has every variable that PEP 3333 requires.", _ENVIRON, "server", "environ")
def environ_is_complete(exchange: Exchange, environ: Environ) -> str | None:
    missing = [key for key in _REQUIRED if key not in environ]
    return f"no {', '.join(missing)}" if missing else None


@RULES.rule(
    "V04",
    "The request's Content-Type and Content-Length are CONTENT_TYPE and CONTENT_LENGTH, without HTTP_.",
    "RFC 3875 4.1.18",
    "server",
    "environ",
    severity="warning",
)
def content_headers_have_no_prefix(exchange: Exchange, environ: Environ) -> str | None:
    found = [key for key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH") if key in environ]
    return f"the key {found[0]}" if found else None


@RULES.rule("V05", "CGI variables are str, and so is each key.", _ENVIRON, "server", "environ")
def cgi_variables_are_str(exchange: Exchange, environ: Environ) -> str | None:
    for other in environ:
        if type(other) is not str:
            return f"the key {other!r}"
    for key, value in environ.items():
        if "." not in key and (key in _CGI or key.startswith("HTTP_")) and type(value) is not str:
            return f"{key} of type {type(value).__name__}"
    return None


@RULES.rule(
    "V06", "wsgi.url_scheme is a str, not empty, without '://'.", _ENVIRON + "; RFC 3986 3.1", "server", "environ"
)
def url_scheme(exchange: Exchange, environ: Environ) -> str | None:
    value: object = environ.get("wsgi.url_scheme", "http")
    return None if isinstance(value, str) and SCHEME.fullmatch(value) else f"wsgi.url_scheme {value!r}"


@RULES.rule("P78", "The value of an HTTP_ variable has no CR, LF and NUL.", "RFC 9110 5.5", "server", "environ")
def request_headers_are_valid(exchange: Exchange, environ: Environ) -> str | None:
    for key, value in strings(environ):
        if key.startswith("HTTP_") and isinstance(value, str) and invalid_field("name", value) is not None:
            return f"{key} {value!r}"
    return None


@RULES.rule("V07", "wsgi.input has read, readline, readlines and __iter__.", _STREAMS, "server", "environ")
def input_has_its_methods(exchange: Exchange, environ: Environ) -> str | None:
    missing = [
        name for name in ("read", "readline", "readlines", "__iter__") if not hasattr(environ.get("wsgi.input"), name)
    ]
    return f"no {', '.join(missing)}" if missing and "wsgi.input" in environ else None


@RULES.rule("V08", "wsgi.errors has write, writelines and flush.", _STREAMS, "server", "environ")
def errors_has_its_methods(exchange: Exchange, environ: Environ) -> str | None:
    missing = [name for name in ("write", "writelines", "flush") if not hasattr(environ.get("wsgi.errors"), name)]
    return f"no {', '.join(missing)}" if missing and "wsgi.errors" in environ else None


@RULES.rule(
    "V09",
    "SCRIPT_NAME and PATH_INFO are empty or start with '/'.",
    "RFC 3875 4.1.5, 4.1.13",
    "server",
    "environ",
)
def paths_start_with_a_slash(exchange: Exchange, environ: Environ) -> str | None:
    for key in ("SCRIPT_NAME", "PATH_INFO"):
        value: object = environ.get(key, "")
        asterisk = value == "*" and environ.get("REQUEST_METHOD") == "OPTIONS"  # RFC 9112 3.2.4
        if isinstance(value, str) and value and not value.startswith("/") and not asterisk:
            return f"{key} {value!r}"
    return None


@RULES.rule(
    "V10",
    "SCRIPT_NAME does not end with '/', because the slash belongs to PATH_INFO.",
    _PEP + "URL Reconstruction",
    "server",
    "environ",
    severity="warning",
)
def script_name_has_no_final_slash(exchange: Exchange, environ: Environ) -> str | None:
    name: object = environ.get("SCRIPT_NAME", "")
    path: object = environ.get("PATH_INFO", "")
    both = isinstance(name, str) and isinstance(path, str) and name.endswith("/") and path.startswith("/")
    return f"SCRIPT_NAME {name!r}, PATH_INFO {path!r}" if both or name == "/" else None


@RULES.rule("V12", "CONTENT_LENGTH is empty, absent or digits.", "RFC 3875 4.1.2", "server", "environ")
def content_length_is_a_number(exchange: Exchange, environ: Environ) -> str | None:
    value: object = environ.get("CONTENT_LENGTH", "")
    good = not isinstance(value, str) or not value or (value.isascii() and value.isdigit())
    return None if good else f"CONTENT_LENGTH {value!r}"


@RULES.rule(
    "V13", "Reading wsgi.input returns bytes; readlines() returns a list of bytes.", _STREAMS, "server", "input"
)
def input_gives_bytes(exchange: Exchange, step: Input) -> str | None:
    if step.error is not None:
        return None
    if step.method != "readlines":
        return None if isinstance(step.result, bytes) else f"{step.method}() returned a {type(step.result).__name__}"
    lines = step.result
    good = isinstance(lines, list) and all(isinstance(line, bytes) for line in lines)  # pyright: ignore[reportUnknownVariableType]
    return None if good else f"readlines() gave {lines!r}"


@RULES.rule(
    "V27",
    "The iterable is not used after close().",
    _PEP + "Specification Details",
    "server",
    "after",
    severity="warning",
)
def no_iteration_after_close(exchange: Exchange, attribute: str) -> str | None:
    return "a block was requested after close()" if attribute == "next" and exchange.closed else None


@RULES.rule("V28", "The iterable's close() is called.", _PEP + "Specification Details", "server", "forgotten")
def iterable_is_closed(exchange: Exchange, step: object) -> str | None:
    return "the iterable was dropped without close()"
