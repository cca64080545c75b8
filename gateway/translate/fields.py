"""Headers in both spellings: ASGI's list of byte pairs, WSGI's CGI variables and its list of text pairs.

One rule gives the CGI variable for a header name. Another rule gives the header name for a CGI variable. They are
inverses. Names are few and recur in every request, so both rules keep a bounded table of their results.

Request headers that a CGI variable cannot tell apart are dropped. A name with an underscore would merge with the name
with a dash (``X_User`` and ``X-User``). ``Proxy`` would become ``HTTP_PROXY``, which HTTP clients obey (CVE-2016-5385).

Sources: PEP 3333 "environ Variables", "The start_response() Callable", "Other HTTP Features"; RFC 9110 sections 5.2,
5.5, 7.6.1, 8.6; RFC 9113 section 8.2.3; ASGI HTTP 2.4 ``headers``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from gateway.errors import ApplicationError, ServerError
from gateway.protocols import Environ
from gateway.translate.paths import latin1_octets

__all__ = [
    "HOP_BY_HOP",
    "TABLE_SIZE",
    "add_request_headers",
    "asgi_response_headers",
    "environ_key",
    "field_name",
    "request_headers",
    "wsgi_response_headers",
]

#: Maximum number of names in a table. Clients choose the names, so the table must be bounded.
TABLE_SIZE = 1024
#: Maximum length of a name in a table, because a client could otherwise fill it with megabytes.
LONGEST_NAME = 128

#: Headers of one connection, not of the message: no application may send them (PEP 3333, RFC 9110 section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
_HOP_BY_HOP_OCTETS = frozenset(name.encode() for name in HOP_BY_HOP)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Types that can be iterated over a second time.
_REPEATABLE = frozenset({list, tuple})

_environ_keys: dict[bytes, str | None] = {}
_field_names: dict[str, bytes | None] = {}
_response_names: dict[str, bytes | None] = {}
_response_texts: dict[bytes, str | None] = {}


def environ_key(name: bytes) -> str | None:
    """Return the CGI variable for a header name in any case, or None if it has no variable.

    >>> environ_key(b"Content-Type"), environ_key(b"x-user"), environ_key(b"x_user"), environ_key(b"proxy")
    ('CONTENT_TYPE', 'HTTP_X_USER', None, None)
    """
    try:
        return _environ_keys[name]
    except KeyError:
        pass
    upper = name.decode("latin-1").upper()
    if "_" in upper or upper == "PROXY" or not upper:
        key = None
    elif upper in ("CONTENT-TYPE", "CONTENT-LENGTH"):
        key = upper.replace("-", "_")
    else:
        key = "HTTP_" + upper.replace("-", "_")
    if len(_environ_keys) < TABLE_SIZE and len(name) <= LONGEST_NAME:
        _environ_keys[name] = key
    return key


def field_name(key: str) -> bytes | None:
    """Return the header name for an environ key, lower-cased, or None if the key does not hold a header.

    >>> field_name("HTTP_X_USER"), field_name("CONTENT_TYPE"), field_name("PATH_INFO"), field_name("HTTP_CONTENT_TYPE")
    (b'x-user', b'content-type', None, None)
    """
    try:
        return _field_names[key]
    except KeyError:
        pass
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        name: bytes | None = key.lower().replace("_", "-").encode()
    elif key.startswith("HTTP_") and key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        # CONTENT_TYPE and CONTENT_LENGTH hold these headers. The HTTP_ spelling would add them a second time.
        name = latin1_octets(key[5:].lower().replace("_", "-"))
    else:
        name = None
    if len(_field_names) < TABLE_SIZE and len(key) <= LONGEST_NAME:
        _field_names[key] = name
    return name


def add_request_headers(environ: Environ, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Set the CGI variables of request headers in an environ that has none of them yet.

    Repeated headers are joined with ",", cookies with "; " (RFC 9113 section 8.2.3: HTTP/2 clients split them).

    Raises:
        ServerError: The Content-Length is given more than once with different values.
    """
    keys = _environ_keys
    repeated: dict[str, list[str]] | None = None
    for name, value in headers:
        key = keys[name] if name in keys else environ_key(name)
        if key is None:
            continue
        text = value.decode("latin-1")
        if key in environ:
            # Joined at the end. To extend the text for each header would copy it each time, which a client could abuse.
            repeated = {} if repeated is None else repeated
            repeated.setdefault(key, [environ[key]]).append(text)
            continue
        if key == "CONTENT_LENGTH" and "," in text:
            text = _same_length(text)
        environ[key] = text
    if repeated is not None:
        for key, texts in repeated.items():
            environ[key] = _joined(key, texts)


def _joined(key: str, texts: list[str]) -> str:
    if key == "HTTP_COOKIE":
        return "; ".join(texts)
    if key == "CONTENT_LENGTH":
        return _same_length(",".join(texts))
    if key == "CONTENT_TYPE":
        return texts[0]  # not a list header: "text/plain,text/html" would be neither type (RFC 9110 section 8.3)
    return ",".join(texts)


def _same_length(values: str) -> str:
    distinct = {value.strip() for value in values.split(",")}
    if len(distinct) != 1:
        error = ServerError(
            f"a request must have only one Content-Length, got {values!r}; the server should have refused it "
            "(RFC 9110 section 8.6)"
        )
        error.status_hint = 400
        raise error
    return distinct.pop()


def request_headers(environ: Environ) -> list[tuple[bytes, bytes]]:
    """Return the request headers of an environ, the inverse of `add_request_headers`.

    An empty CONTENT_TYPE or CONTENT_LENGTH means that the header is absent (PEP 3333 "environ Variables").
    """
    names = _field_names
    if environ.get("CONTENT_TYPE") != "" and environ.get("CONTENT_LENGTH") != "":
        try:  # fast path for requests whose names are all in the table, as nearly always
            return [(name, environ[key].encode("latin-1")) for key in environ if (name := names[key]) is not None]
        except (KeyError, UnicodeEncodeError):
            pass
    headers: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        name = field_name(key)
        if name is None or (not value and not key.startswith("HTTP_")):
            continue
        headers.append((name, latin1_octets(value)))
    return headers


def asgi_response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return WSGI response headers in ASGI's form: bytes, lower-case names, without hop-by-hop headers.

    Whitespace around a value does not belong to it (RFC 9110 section 5.5) and is removed. WSGI servers accept it, and
    Django's cookies have it; h11, and so uvicorn and hypercorn, refuse it.

    Raises:
        ApplicationError: A name or value is not a native string, is not latin-1, or holds a control character.
    """
    result: list[tuple[bytes, bytes]] = []
    names = _response_names
    for name, value in _pairs(headers, "start_response"):
        try:
            octets = names[name] if name in names else _response_name(name)
            if octets is None:
                continue
            if not (value.isascii() and value.isprintable()) and _CONTROL.search(value):
                raise ApplicationError(_bad_header("a header value must not contain control characters", name, value))
            result.append((octets, value.encode("latin-1").strip(b" \t")))
        except (TypeError, AttributeError) as error:
            raise ApplicationError(_bad_header("header names and values must be str", name, value)) from error
        except UnicodeEncodeError as error:
            raise ApplicationError(_bad_header("a header value must be Latin-1 text", name, value)) from error
    return result


def _response_name(name: str) -> bytes | None:
    if not _TOKEN.fullmatch(name):
        raise ApplicationError(
            f"a header name must be a token of ASCII letters, digits and dashes, got {name!r}; check what "
            "calls start_response (PEP 3333, RFC 9110 section 5.1)"
        )
    lower = name.lower()
    octets = None if lower in HOP_BY_HOP else lower.encode("ascii")
    if len(_response_names) < TABLE_SIZE:
        _response_names[name] = octets
    return octets


def _bad_header(rule: str, name: object, value: object) -> str:
    return f"{rule}, got {name!r}: {value!r}; check what calls start_response (PEP 3333, RFC 9110 section 5.5)"


def wsgi_response_headers(
    headers: Iterable[Iterable[bytes]], event: str = "http.response.start"
) -> list[tuple[str, str]]:
    """Return ASGI response headers in WSGI's form: native strings, without hop-by-hop headers.

    Args:
        headers: The application's headers.
        event: Type of the message that holds them, for error texts.

    Raises:
        ApplicationError: A name or value is not a byte string, a name is not a token, or a value holds a control
            character. ASGI servers refuse these too; not every WSGI server does.
    """
    texts = _response_texts
    if type(headers) in _REPEATABLE:  # a fast path, as in `request_headers`; if it fails, iterate again below
        try:
            return [
                (text, printed)
                for name, value in headers
                if (text := texts[name]) is not None
                and ((printed := value.decode("latin-1")).isprintable() or _without_controls(printed))
            ]
        except (KeyError, AttributeError, TypeError, ValueError):
            pass
    result: list[tuple[str, str]] = []
    for name, value in _pairs(headers, event):
        try:
            octets = memoryview(name).tobytes()
            text = texts[octets] if octets in texts else _response_text(octets)
            if text is not None:
                result.append((text, _without_controls(memoryview(value).tobytes().decode("latin-1"))))
        except TypeError as error:
            raise ApplicationError(
                f"headers of {event} must be byte strings, got {name!r}: {value!r}; encode them (ASGI specification)"
            ) from error
        except ValueError as error:
            raise ApplicationError(
                f"{error}, got {name!r}: {value!r}; check the headers of {event} (RFC 9110 section 5.5)"
            ) from error
    return result


def _pairs(headers: object, where: str) -> Iterator[tuple[Any, Any]]:
    """Iterate over an application's headers.

    Raises:
        ApplicationError: They are not an iterable of pairs.
    """
    try:
        for pair in cast("Iterable[Any]", headers):  # an application's value; the handler below checks it
            name, value = pair
            yield name, value
    except (TypeError, ValueError) as error:
        raise ApplicationError(
            f"the headers of {where} must be a list of (name, value) pairs, got {headers!r:.200}"
        ) from error


def _without_controls(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("a header value must not contain control characters")
    return text


def _response_text(octets: bytes) -> str | None:
    if not _TOKEN.fullmatch(octets.decode("latin-1")):
        raise ValueError("a header name must be a token of ASCII letters, digits and dashes")
    text = None if octets.lower() in _HOP_BY_HOP_OCTETS else octets.decode("latin-1")
    if len(_response_texts) < TABLE_SIZE:
        _response_texts[octets] = text
    return text
