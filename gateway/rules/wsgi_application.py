"""Rules that bind WSGI applications and middleware.

The linters of the field also check the V rules. They do not check the P rules.

(Above 400 lines: one table, with a function for each rule.)

Sources: PEP 3333; RFC 9110.
"""

from __future__ import annotations

import re
from collections.abc import Sized
from itertools import islice

from gateway.rules._fields import metadata_in_304, repeated, wrong_etag
from gateway.rules._narrow import exactly, is_iterable, is_list, is_tuple, size, type_name
from gateway.rules.table import Minor, Table
from gateway.rules.wsgi_state import Call, Exchange, Input, Started

__all__ = ["RULES", "latin1"]

RULES = Table("WSGI: applications")
_PEP = "PEP 3333, "
_START = _PEP + "The start_response() Callable"
#: RFC 2616 13.5.1, which PEP 3333 names, and Proxy-Connection; P12 checks transfer-encoding.
_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailers",
        "upgrade",
    }
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STATUS = re.compile(r"[0-9]{3} .*", re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def latin1(text: str) -> bool:
    """Tell whether a native string has only characters up to U+00FF."""
    return text.isascii() or max(text) <= "\xff"


@RULES.rule("P01", "start_response is called once; a second call needs exc_info.", _START, "application", "start")
def start_response_once(exchange: Exchange, call: Call) -> str | None:
    return "a second call without exc_info" if exchange.start_called and not call.exc_info else None


@RULES.rule(
    "P02",
    "If start_response, called with exc_info, raises, the application does not catch the exception.",
    _START,
    "application",
    "block",
    "end",
)
def reraised_error_is_not_trapped(exchange: Exchange, block: object) -> str | None:
    return f"{exchange.raised_back!r} trapped" if exchange.raised_back is not None else None


@RULES.rule(
    "P03",
    "start_response is called even if the iterable is empty.",
    _PEP + "Specification Details",
    "application",
    "end",
)
def start_response_is_called(exchange: Exchange, step: None) -> str | None:
    return None if exchange.start_called else "the iterable ended without a call of start_response"


_LENGTH = _PEP + "Handling the Content-Length Header; RFC 9110 8.6"


def _bodyless(exchange: Exchange) -> bool:
    code = exchange.code
    return exchange.head or (code is not None and (code in (204, 304) or 100 <= code < 200))


@RULES.rule("P04", "The body is not longer than Content-Length.", _LENGTH, "application", "block", "write")
def body_is_not_longer(exchange: Exchange, data: object) -> str | None:
    count = size(data)
    if exchange.length is None or _bodyless(exchange) or not count:
        return None
    total = exchange.bytes_sent + count
    return f"{total} bytes for Content-Length {exchange.length}" if total > exchange.length else None


@RULES.rule("P05", "The body is not shorter than Content-Length.", _LENGTH, "application", "end")
def body_is_not_shorter(exchange: Exchange, step: None) -> str | None:
    if exchange.length is None or _bodyless(exchange) or exchange.bytes_sent >= exchange.length:
        return None
    return f"{exchange.bytes_sent} bytes for Content-Length {exchange.length}"


def _lengths(call: Call) -> list[str]:
    return [value for name, value in call.items if name == "content-length"]


@RULES.rule("P06", "Content-Length has only digits.", "RFC 9110 8.6", "application", "start")
def length_is_a_number(exchange: Exchange, call: Call) -> str | None:
    wrong = [value for value in _lengths(call) if not (value.isascii() and value.isdigit())]
    return f"Content-Length {wrong[0]!r}" if wrong else None


@RULES.rule("P07", "Content-Length comes once.", "RFC 9110 8.6", "application", "start")
def length_comes_once(exchange: Exchange, call: Call) -> str | None:
    count = len(_lengths(call))
    return f"{count} Content-Length headers" if count > 1 else None


def _sized(data: object) -> bool:
    return size(data) > 0


@RULES.rule("P08", "A 1xx or 204 response has no body.", "RFC 9110 15.3.5, 15.2", "application", "block", "write")
def no_body_with_204(exchange: Exchange, data: object) -> str | None:
    code = exchange.code
    return f"a body for {code}" if code is not None and (code == 204 or code < 200) and _sized(data) else None


@RULES.rule("P09", "A 304 response has no body.", "RFC 9110 15.4.5", "application", "block", "write")
def no_body_with_304(exchange: Exchange, data: object) -> str | None:
    return "a body for 304" if exchange.code == 304 and _sized(data) else None


@RULES.rule(
    "P10",
    "A response to HEAD has no body; the server drops it.",
    "RFC 9110 9.3.2",
    "application",
    "block",
    "write",
    severity="warning",
)
def no_body_for_head(exchange: Exchange, data: object) -> str | None:
    return "a body for HEAD" if exchange.head and _sized(data) else None


@RULES.rule(
    "P11",
    "A response has no hop-by-hop headers: Connection, Keep-Alive, Proxy-Authenticate, Proxy-Authorization, "
    "Proxy-Connection, TE, Trailers, Upgrade.",
    _START + "; Other HTTP Features; RFC 2616 13.5.1",
    "application",
    "start",
)
def no_hop_by_hop_header(exchange: Exchange, call: Call) -> str | None:
    found = [name for name, _ in call.items if name in _HOP]
    return f"the header {found[0]}" if found else None


@RULES.rule(
    "P12",
    "An application does not use Transfer-Encoding.",
    _PEP + "Handling the Content-Length Header",
    "application",
    "start",
)
def no_transfer_encoding(exchange: Exchange, call: Call) -> str | None:
    names = [name for name, _ in call.items]
    return "a Transfer-Encoding header" if "transfer-encoding" in names else None


@RULES.rule("P13", "The status has no control characters.", _START, "application", "start")
def status_has_no_controls(exchange: Exchange, call: Call) -> str | None:
    status = call.status
    return f"status {status!r}" if isinstance(status, str) and _CONTROL.search(status) else None


@RULES.rule("P14", "The status has no surrounding whitespace.", _START, "application", "start")
def status_has_no_whitespace(exchange: Exchange, call: Call) -> str | None:
    status = call.status
    return f"status {status!r}" if isinstance(status, str) and status != status.strip(" \t") else None


@RULES.rule("P15", "The status is Latin-1.", _PEP + "Unicode Issues", "application", "start")
def status_is_latin1(exchange: Exchange, call: Call) -> str | None:
    status = call.status
    return f"status {status!r}" if isinstance(status, str) and not latin1(status) else None


@RULES.rule("P16", "Header names and values are Latin-1.", _PEP + "Unicode Issues", "application", "start")
def headers_are_latin1(exchange: Exchange, call: Call) -> str | None:
    for name, value in call.items:
        if not latin1(name + value):
            return f"{name!r}: {value!r}"
    return None


@RULES.rule("P17", "Header values have no control characters.", _START, "application", "start")
def values_have_no_controls(exchange: Exchange, call: Call) -> str | None:
    for name, value in call.items:
        if _CONTROL.search(value):
            return f"{name!r}: {value!r}"
    return None


@RULES.rule(
    "P18",
    "write() is not called from within the iterable, its close() included, or after it.",
    _PEP + "The write() Callable",
    "application",
    "write",
)
def no_write_while_iterating(exchange: Exchange, data: object) -> str | None:
    if exchange.iterating:
        return f"write() called by the iterable's {'close()' if exchange.closed else 'iteration'}"
    return "write() after the end of the iterable" if exchange.exhausted or exchange.closed else None


@RULES.rule("P19", "start_response is called with positional arguments.", _START, "application", "start")
def start_response_is_called_by_position(exchange: Exchange, call: Call) -> str | None:
    if call.kwargs:
        return f"the keyword arguments {sorted(call.kwargs)}"
    return None if len(call.args) in (2, 3) else f"{len(call.args)} arguments"


@RULES.rule(
    "P20",
    "len() of the iterable, if it works, is the number of its blocks.",
    _PEP + "Specification Details",
    "application",
    "end",
)
def length_of_the_iterable(exchange: Exchange, step: None) -> str | None:
    iterable = exchange.iterable
    if not isinstance(iterable, Sized):
        return None
    try:
        declared = len(iterable)
    except Exception:  # "if a call to len(iterable) succeeds"
        return None
    return f"{exchange.blocks} blocks for a len() of {declared}" if declared != exchange.blocks else None


@RULES.rule(
    "P21",
    "Middleware yields at least one block for each block of the application that it wraps; the block may be empty.",
    _PEP + "Middleware Handling of Block Boundaries",
    "middleware",
    "block",
    "end",
)
def middleware_keeps_boundaries(exchange: Exchange, block: object) -> str | None:
    allowed = 0 if isinstance(block, _End) else 1
    if exchange.pulled <= allowed:
        return None
    return f"{exchange.pulled} blocks were read for {'no block' if not allowed else 'one block'} that was yielded"


class _End:
    """The subject of the stage ``end``."""


END = _End()


@RULES.rule(
    "P22",
    "Middleware does not pass the blocks of the application that it wraps to write().",
    _PEP + "Middleware Handling of Block Boundaries",
    "middleware",
    "write",
)
def middleware_does_not_write_blocks(exchange: Exchange, data: object) -> str | None:
    inner = exchange.inner
    if inner is None or inner.writes or not inner.blocks:
        return None
    return "write() of data that the wrapped application yielded"


@RULES.rule(
    "P23",
    "An application does not read beyond CONTENT_LENGTH.",
    _PEP + "Input and Error Streams, note 1",
    "application",
    "input",
    severity="warning",
)
def no_read_beyond_the_length(exchange: Exchange, step: Input) -> str | None:
    count = step.args[0] if step.args else None
    length = exchange.content_length
    if length is None or exchange.environ.get("wsgi.input_terminated") or step.method != "read":
        return None
    if not isinstance(count, int) or count <= 0:
        return None
    got = len(step.result) if isinstance(step.result, bytes) else 0
    asked = exchange.bytes_read + count
    return (
        f"a read of {asked} bytes, with CONTENT_LENGTH {length}"
        if asked > length and (not got or count > length)
        else None
    )


@RULES.rule(
    "P24",
    "An application uses only read, readline, readlines and iteration of wsgi.input, and only write, "
    "writelines and flush of wsgi.errors. It does not close them.",
    _PEP + "Input and Error Streams",
    "application",
    "stream",
)
def streams_are_used_as_specified(exchange: Exchange, attribute: str) -> str | None:
    return f"{attribute} used"


@RULES.rule(
    "P25",
    "The header list belongs to the server after start_response was called.",
    _START,
    "application",
    "block",
    "end",
    severity="warning",
)
def headers_are_not_changed_afterwards(exchange: Exchange, block: object) -> str | None:
    given = exchange.given
    if given is None or given == exchange.given_then:
        return None
    return "the list of headers was changed after start_response returned"


@RULES.rule(
    "P26",
    "start_response does not keep a reference to exc_info.",
    _START,
    "server",
    "started",
    severity="warning",
)
def exc_info_is_not_kept(exchange: Exchange, started: Started) -> str | None:
    return "the exception is still referenced after start_response returned" if started.kept > 0 else None


@RULES.rule(
    "V14",
    "The methods of wsgi.input are called with at most one argument.",
    _PEP + "Input and Error Streams",
    "application",
    "input",
)
def input_methods_take_one_argument(exchange: Exchange, step: Input) -> str | None:
    return f"{step.method}() with {len(step.args)} arguments" if len(step.args) > 1 else None


@RULES.rule("V16", "wsgi.errors is written to with str.", _PEP + "Input and Error Streams", "application", "errors")
def errors_take_str(exchange: Exchange, value: object) -> str | None:
    return None if isinstance(value, str) else f"a {type_name(value)}"


@RULES.rule("V17", "write() is called with bytes.", _PEP + "Unicode Issues", "application", "write")
def write_takes_bytes(exchange: Exchange, data: object) -> str | None:
    return None if type(data) is bytes or isinstance(data, bytes) else f"a {type_name(data)}"


@RULES.rule(
    "V18",
    "The status is a str: three digits of 100 or more, one space, a reason.",
    _START,
    "application",
    "start",
)
def status_has_its_form(exchange: Exchange, call: Call) -> str | None:
    status = call.status
    if type(status) is not str:
        return f"a status of type {type_name(status)}"
    code = call.code
    return f"status {status!r}" if code is None or code < 100 or not _STATUS.fullmatch(status) else None


@RULES.rule("V19", "The headers are a list of (str, str) tuples.", _START, "application", "start")
def headers_are_a_list_of_tuples(exchange: Exchange, call: Call) -> str | None:
    headers = call.headers
    if not is_list(headers) or not exactly(headers, list):
        return f"headers of type {type_name(headers)}"
    for item in headers:
        if (
            not is_tuple(item)
            or not exactly(item, tuple)
            or len(item) != 2
            or type(item[0]) is not str
            or type(item[1]) is not str
        ):
            return f"the header {item!r}"
    return None


@RULES.rule(
    "V20",
    "No header is named Status, because under CGI it would set the status.",
    "RFC 3875 6.3.3",
    "application",
    "start",
    severity="warning",
)
def no_status_header(exchange: Exchange, call: Call) -> str | None:
    return "a Status header" if any(name == "status" for name, _ in call.items) else None


@RULES.rule(
    "V21",
    "A header name is a valid field name without trailing punctuation.",
    _START + "; RFC 9110 5.1",
    "application",
    "start",
)
def names_are_field_names(exchange: Exchange, call: Call) -> str | None:
    for name, _ in call.items:
        if not _TOKEN.fullmatch(name) or not name[-1].isalnum():
            return f"the name {name!r}"
    return None


@RULES.rule("V23", "exc_info is a sys.exc_info() tuple, or None.", _START, "application", "start")
def exc_info_is_a_tuple(exchange: Exchange, call: Call) -> str | None:
    value = call.exc_info
    if value is None:
        return None
    if not is_tuple(value) or len(value) != 3:
        return f"exc_info of type {type_name(value)}"
    if value == (None, None, None):
        return Minor("exc_info without an exception: start_response was not called by an error handler")
    good = isinstance(value[0], type) and isinstance(value[1], value[0])
    return None if good else f"exc_info {value!r}"


@RULES.rule(
    "V24",
    "An application returns an iterable of bytes, not a string.",
    _PEP + "Specification Details",
    "application",
    "returned",
)
def application_returns_an_iterable(exchange: Exchange, iterable: object) -> str | None:
    if exchange.servers_own:
        return None  # P38 is about an object of the server
    if isinstance(iterable, (str, bytes)):
        return f"a {type_name(iterable)}"
    good = is_iterable(iterable) or hasattr(type(iterable), "__getitem__")
    return None if good else f"a {type_name(iterable)}, which is not iterable"


@RULES.rule("V25", "The iterable yields bytes.", _PEP + "Unicode Issues", "application", "block")
def blocks_are_bytes(exchange: Exchange, block: object) -> str | None:
    return None if isinstance(block, bytes) else f"a {type_name(block)}"


@RULES.rule(
    "V26",
    "start_response is called before the first block is yielded or written.",
    _PEP + "Specification Details",
    "application",
    "block",
)
def start_response_precedes_output(exchange: Exchange, block: object) -> str | None:
    return None if exchange.start_called else "a block before start_response was called"


@RULES.rule(
    "V29",
    "A 304 response has no headers about the representation except Cache-Control, Content-Location, Date, "
    "ETag, Expires and Vary.",
    "RFC 9110 15.4.5",
    "application",
    "start",
    severity="warning",
)
def no_metadata_in_304(exchange: Exchange, call: Call) -> str | None:
    return metadata_in_304(name for name, _ in call.items) if call.code == 304 else None


@RULES.rule("V30", "A 1xx or 204 response has no Content-Length.", "RFC 9110 8.6", "application", "start")
def no_length_with_204(exchange: Exchange, call: Call) -> str | None:
    code = call.code
    forbidden = code is not None and (code == 204 or 100 <= code < 200)
    if not forbidden or not _lengths(call):
        return None
    found = f"Content-Length {_lengths(call)[0]} with {code}"
    return Minor(found) if _lengths(call) == ["0"] else found


@RULES.rule(
    "V31",
    "An ETag is quoted; a weak ETag starts with W/.",
    "RFC 9110 8.8.3",
    "application",
    "start",
    severity="warning",
)
def etag_has_its_form(exchange: Exchange, call: Call) -> str | None:
    return next((wrong_etag(value) for name, value in islice(call.items, 1000) if name == "etag"), None)


@RULES.rule(
    "P77",
    "A header that is no list comes once: Content-Type, ETag, Location and others.",
    "RFC 9110 5.3",
    "application",
    "start",
)
def single_headers_come_once(exchange: Exchange, call: Call) -> str | None:
    return repeated(name for name, _ in call.items)
