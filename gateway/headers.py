"""Headers of a request or a response, stored in the spelling of the interface that they came from.

ASGI spells a header as a pair of bytes with a lower-case name, WSGI as a pair of ``str`` in latin-1. A middleware
reads and writes one object, :class:`Headers`. The pairs are converted only when code needs the other spelling, so a
chain that only appends constants converts nothing. Every *written* header is checked against RFC 9110, because a CR or
LF in a value splits a response. Headers from an application or a client are not checked again here.

A chain looks up the same few headers a dozen times, so the first look-up makes an index by lower-case name. ``_seen``
is the number of indexed pairs. Appended pairs are indexed at the next look-up, so an append alone costs nothing. Rules
for changing it: code that replaces or deletes a pair changes the index too. The index is stale if
``_seen != len(pairs)`` and absent if ``_seen`` is -1. Code that skips ``__init__`` must set ``_seen``.

This module does not interpret headers. (Above 400 lines: three spellings of one interface, read side by side.)

Sources: RFC 9110 sections 5.1 (names), 5.3 (order, combination), 5.5 (values), 12.5.5 (Vary).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import ClassVar, TypeAlias, TypeVar, cast, overload

from gateway.errors import GatewayError

__all__ = [
    "AsgiHeaders",
    "EnvironHeaders",
    "Header",
    "HeaderBlock",
    "HeaderError",
    "HeaderNames",
    "HeaderSource",
    "Headers",
]

_T = TypeVar("_T", str, bytes)
#: Lower-case name to value, or to the list of values if several lines have the name.
_Index: TypeAlias = dict[_T, _T | list[_T]]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")


class HeaderError(GatewayError, ValueError):
    """RFC 9110 forbids a header to be written: its name is not a token, or its value has CR, LF, NUL ..."""


@lru_cache(maxsize=1024)
def _name(name: str | Header) -> tuple[str, bytes]:
    """Check a header name; return it in lower case, as ``str`` and as bytes. Refuse a Header constant."""
    if not isinstance(name, str):
        raise _no_name(name)
    if not _TOKEN.fullmatch(name):
        raise HeaderError(
            f"a header name must be a token of letters, digits and !#$%&'*+-.^_`|~, got {name!r}; it cannot "
            "contain ':', spaces or non-ASCII letters (RFC 9110 section 5.1)"
        )
    lower = name.lower()
    return lower, lower.encode("ascii")


def _checked(name: str | Header, value: str | None) -> str:
    """Return the value of a header, checked."""
    if value is None:
        raise _no_value(name)
    try:
        # Hot path: almost every value passes here, without the regular expression.
        if value.isascii() and value.isprintable() and value == value.strip(" "):
            return value
    except AttributeError:
        raise TypeError(f"the value of header {name!r} must be a str, got {value!r}") from None
    if not _VALUE.fullmatch(value):
        raise HeaderError(
            f"the value of header {name!r} must be Latin-1 text without control characters (except tab) and "
            f"without spaces at its ends, got {value!r}; encode or remove text that came from a client (RFC "
            "9110 section 5.5)"
        )
    return value


class Header:
    """One header that never changes: checked once, encoded once in both spellings.

    Args:
        name: A token; ASGI gets it in lower case, WSGI as it is written here.
        value: The header value, latin-1.

    Raises:
        HeaderError: RFC 9110 forbids the name or the value.

    >>> Header("X-Frame-Options", "DENY").asgi
    (b'x-frame-options', b'DENY')
    """

    __slots__ = ("asgi", "key", "name", "value", "wsgi")

    #: The name as written.
    name: str
    value: str
    #: The name in lower case.
    key: str
    #: The header in ASGI's spelling.
    asgi: tuple[bytes, bytes]
    #: The header in WSGI's spelling.
    wsgi: tuple[str, str]

    def __init__(self, name: str, value: str) -> None:
        key, raw = _name(name)
        _checked(name, value)
        set_once = object.__setattr__
        set_once(self, "name", name)
        set_once(self, "value", value)
        set_once(self, "key", key)
        set_once(self, "asgi", (raw, value.encode("latin-1")))
        set_once(self, "wsgi", (name, value))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Header is immutable, so {name!r} cannot be set; build a new Header")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Header is immutable, so {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Header) and self.asgi == other.asgi

    def __hash__(self) -> int:
        return hash(self.asgi)

    def __repr__(self) -> str:
        return f"Header({self.name!r}, {self.value!r})"

    def __reduce__(self) -> tuple[type[Header], tuple[str, str]]:
        return (Header, (self.name, self.value))


class HeaderBlock:
    """Headers that never change and are written together, each name once.

    Raises:
        HeaderError: Two headers have the same name.
    """

    __slots__ = ("asgi", "asgi_index", "headers", "wsgi", "wsgi_index")

    def __init__(self, headers: Iterable[Header]) -> None:
        self.headers: tuple[Header, ...] = tuple(headers)
        self.asgi: list[tuple[bytes, bytes]] = [header.asgi for header in self.headers]
        self.wsgi: list[tuple[str, str]] = [header.wsgi for header in self.headers]
        self.asgi_index: _Index[bytes] = dict(self.asgi)
        self.wsgi_index: _Index[str] = {header.key: header.value for header in self.headers}
        if len(self.asgi_index) != len(self.headers):
            raise HeaderError(
                f"a HeaderBlock must name each header only once, got {self.headers!r}; remove the duplicates"
            )

    def __repr__(self) -> str:
        return f"HeaderBlock({list(self.headers)!r})"


class HeaderNames:
    """Names that are looked up together, prepared once in each spelling.

    Raises:
        HeaderError: A name is not a token.
    """

    __slots__ = ("asgi", "environ", "names", "wsgi")

    def __init__(self, *names: str) -> None:
        self.names: tuple[str, ...] = tuple(_name(name)[0] for name in names)
        self.asgi: frozenset[bytes] = frozenset(_name(name)[1] for name in names)
        self.wsgi: frozenset[str] = frozenset(self.names)
        self.environ: frozenset[str] = frozenset(_environ_key(name) for name in names)

    def __repr__(self) -> str:
        return f"HeaderNames({', '.join(map(repr, self.names))})"


class Headers:
    """An ordered multi-map of headers; names compare without case, order and duplicates are kept.

    This class stores WSGI's spelling; :class:`AsgiHeaders` stores ASGI's, :class:`EnvironHeaders` reads an environ. All
    three have the same methods.

    Args:
        source: Pairs, :class:`Header` constants, a mapping, or other headers. The constructor checks them.

    Raises:
        HeaderError: RFC 9110 forbids a name or a value.

    >>> headers = Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    >>> headers.get_all("SET-COOKIE")
    ['a=1', 'b=2']
    """

    __slots__ = ("_index", "_pairs", "_seen")

    _index: _Index[str]
    _seen: int

    def __init__(self, source: HeaderSource = ()) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._seen = -1
        self.extend(source)

    @staticmethod
    def over(pairs: list[tuple[str, str]]) -> Headers:
        """Wrap a list in WSGI's spelling, without copy or check. Only this object may edit the list afterwards."""
        headers = Headers.__new__(Headers)
        headers._pairs = pairs
        headers._seen = -1
        return headers

    def _indexed(self) -> _Index[str]:
        """Return the up-to-date index. Hot path: callers look first whether it is."""
        pairs, seen = self._pairs, self._seen
        if seen != len(pairs):
            index = self._index if 0 <= seen < len(pairs) else {}
            _add(index, pairs[seen:] if index else pairs)
            self._index = index
            self._seen = len(pairs)
        return self._index

    # -- reading

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the combined value of a header, or ``default``.

        Lines of the same name are joined with ``", "`` (RFC 9110 section 5.3). So a value is the same under a WSGI
        server, which joins the lines itself. Lines of ``cookie`` are joined with ``"; "``. Lines of ``set-cookie``
        cannot be joined, so the first is returned (see :meth:`get_all`).
        """
        index = self._index if self._seen == len(self._pairs) else self._indexed()
        found = index.get(name.lower())
        if found is None:
            return default
        return found if type(found) is str else _combine(name, cast("list[str]", found))

    def get_all(self, name: str) -> list[str]:
        """Return the values of a header in order, one item per line; an empty list if it is missing."""
        index = self._index if self._seen == len(self._pairs) else self._indexed()
        found = index.get(name.lower())
        if found is None:
            return []
        return [*found] if isinstance(found, list) else [found]

    def has_any(self, names: HeaderNames) -> bool:
        """Return whether one of these headers is there."""
        index = self._index if self._seen == len(self._pairs) else self._indexed()
        return not index.keys().isdisjoint(names.wsgi)

    def items(self) -> list[tuple[str, str]]:
        """Return every line in order: lower-case name and value."""
        return [(name.lower(), value) for name, value in self._pairs]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._indexed()

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items() == other.items()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # mutable: typeshed declares object's

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items()!r})"

    # -- writing

    @overload
    def append(self, name: Header, value: None = None, /) -> None: ...
    @overload
    def append(self, name: str, value: str, /) -> None: ...
    def append(self, name: str | Header, value: str | None = None, /) -> None:
        """Add a line at the end.

        Raises:
            HeaderError: RFC 9110 forbids the name or the value.
        """
        if value is None:  # hot path: most appended headers are constants
            try:
                self._pairs.append(name.wsgi)  # type: ignore[union-attr]  # a str raises; cheaper than a check
            except AttributeError:
                raise _no_value(name) from None
        else:
            _name(name)
            _checked(name, value)
            self._pairs.append((name, value))  # type: ignore[arg-type]  # _name() has refused a constant

    @overload
    def set(self, name: Header, value: None = None, /) -> None: ...
    @overload
    def set(self, name: str, value: str, /) -> None: ...
    def set(self, name: str | Header, value: str | None = None, /) -> None:
        """Leave exactly one line of this name: at the position of the first, or at the end.

        Raises:
            HeaderError: RFC 9110 forbids the name or the value.
        """
        if isinstance(name, Header):
            pair: tuple[str, str] = name.wsgi
        else:
            _name(name)
            pair = (name, _checked(name, value))
        pairs, key = self._pairs, pair[0].lower()
        index = self._index if self._seen == len(self._pairs) else self._indexed()
        if key in index:
            _put(pairs, key, pair)
        else:
            pairs.append(pair)
        index[key] = pair[1]
        self._seen = len(pairs)

    @overload
    def setdefault(self, name: Header, value: None = None, /) -> str: ...
    @overload
    def setdefault(self, name: str, value: str, /) -> str: ...
    def setdefault(self, name: str | Header, value: str | None = None, /) -> str:
        """Append the line unless the name is there; return the resulting value."""
        constant = name if isinstance(name, Header) else Header(name, _checked(name, value))
        present = self.get(constant.key)
        if present is not None:
            return present
        self.append(constant)
        return constant.value

    def delete(self, name: str) -> bool:
        """Delete every line of this name; return whether there was one."""
        index = self._index if self._seen == len(self._pairs) else self._indexed()
        found = _drop(self._pairs, index, name.lower())
        self._seen = len(self._pairs)
        return found

    def delete_all(self, names: HeaderNames) -> None:
        """Delete every line of these names."""
        index = self._index if self._seen == len(self._pairs) else self._indexed()
        for name in index.keys() & names.wsgi:
            self.delete(name)

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        if not self.delete(name):
            raise KeyError(name)

    def extend(self, source: HeaderSource) -> None:
        """Append every header of ``source``.

        Raises:
            HeaderError: RFC 9110 forbids a name or a value.
        """
        for item in _each(source):
            if isinstance(item, Header):
                self.append(item)
            else:
                self.append(item[0], item[1])

    def append_constants(self, constants: Iterable[Header]) -> None:
        """Append many constants at once."""
        self._pairs.extend([constant.wsgi for constant in constants])

    def setdefaults(self, block: HeaderBlock) -> None:
        """Append each header of the block whose name is not there."""
        index = self._indexed()
        if index.keys().isdisjoint(block.wsgi_index):
            self._pairs.extend(block.wsgi)
            index.update(block.wsgi_index)
            self._seen = len(self._pairs)
        else:
            for header in block.headers:
                self.setdefault(header)

    def add_vary(self, *names: str) -> None:
        """Add the names of request headers that the response depends on to ``Vary``, each once.

        ``*`` means all of them: it replaces the other names, and no name is added to it (RFC 9110 section 12.5.5).
        """
        present = self.get("vary") or ""
        changed = (_vary if len(present) < _LONG else _vary.__wrapped__)(present, names)
        if changed is not None:
            self.set(changed)

    # -- the two spellings

    def asgi(self) -> list[tuple[bytes, bytes]]:
        """Return the lines in ASGI's spelling; the stored list itself if this object stores that spelling."""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self._pairs]

    def wsgi(self) -> list[tuple[str, str]]:
        """Return the lines in WSGI's spelling; the stored list itself if this object stores that spelling."""
        return self._pairs

    def copy(self) -> Headers:
        """Return headers of the same spelling with a copy of the list."""
        return Headers.over(list(self._pairs))


class AsgiHeaders(Headers):
    """Headers over a list of pairs of bytes, as in an ASGI message or scope."""

    __slots__ = ("_raw", "_raw_index")

    _raw_index: _Index[bytes]

    def __init__(self, source: HeaderSource = ()) -> None:
        self._raw: list[tuple[bytes, bytes]] = []
        self._seen = -1
        self.extend(source)

    @staticmethod
    def over_raw(pairs: list[tuple[bytes, bytes]]) -> AsgiHeaders:
        """Wrap a list in ASGI's spelling, without copy or check. Only this object may edit the list afterwards."""
        headers = AsgiHeaders.__new__(AsgiHeaders)
        headers._raw = pairs
        headers._seen = -1
        return headers

    def _indexed_raw(self) -> _Index[bytes]:
        """Return the up-to-date index. Hot path: callers look first whether it is."""
        raw, seen = self._raw, self._seen
        if seen != len(raw):
            if 0 <= seen < len(raw):
                _add(self._raw_index, raw[seen:])
            else:
                # Hot path: one `dict()` call is right if every name is unique and lower-case, as ASGI requires. One
                # `islower()` on the joined names checks the case.
                index: _Index[bytes] = dict(raw)
                if len(index) != len(raw) or not b"".join(index).islower():
                    _add(index := {}, raw)
                self._raw_index = index
            self._seen = len(raw)
        return self._raw_index

    def __len__(self) -> int:
        return len(self._raw)

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        index = self._raw_index if self._seen == len(self._raw) else self._indexed_raw()
        found = index.get(_raw_name(name))
        if found is None:
            return default
        return _combine(name, self.get_all(name)) if isinstance(found, list) else found.decode("latin-1")

    def get_all(self, name: str) -> list[str]:
        index = self._raw_index if self._seen == len(self._raw) else self._indexed_raw()
        found = index.get(_raw_name(name))
        if found is None:
            return []
        return [value.decode("latin-1") for value in found] if isinstance(found, list) else [found.decode("latin-1")]

    def has_any(self, names: HeaderNames) -> bool:
        index = self._raw_index if self._seen == len(self._raw) else self._indexed_raw()
        return not index.keys().isdisjoint(names.asgi)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _raw_name(name) in self._indexed_raw()

    def items(self) -> list[tuple[str, str]]:
        return [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in self._raw]

    @overload
    def append(self, name: Header, value: None = None, /) -> None: ...
    @overload
    def append(self, name: str, value: str, /) -> None: ...
    def append(self, name: str | Header, value: str | None = None, /) -> None:
        if value is None:  # hot path: most appended headers are constants
            try:
                self._raw.append(name.asgi)  # type: ignore[union-attr]  # a str raises; cheaper than a check
            except AttributeError:
                raise _no_value(name) from None
        else:
            raw = _name(name)[1]
            _checked(name, value)
            self._raw.append((raw, value.encode("latin-1")))

    @overload
    def set(self, name: Header, value: None = None, /) -> None: ...
    @overload
    def set(self, name: str, value: str, /) -> None: ...
    def set(self, name: str | Header, value: str | None = None, /) -> None:
        if isinstance(name, Header):
            pair: tuple[bytes, bytes] = name.asgi
        else:
            pair = (_name(name)[1], _checked(name, value).encode("latin-1"))
        raw, key = self._raw, pair[0]
        index = self._raw_index if self._seen == len(self._raw) else self._indexed_raw()
        if key in index:
            _put(raw, key, pair)
        else:
            raw.append(pair)
        index[key] = pair[1]
        self._seen = len(raw)

    def delete(self, name: str) -> bool:
        index = self._raw_index if self._seen == len(self._raw) else self._indexed_raw()
        found = _drop(self._raw, index, _raw_name(name))
        self._seen = len(self._raw)
        return found

    def delete_all(self, names: HeaderNames) -> None:
        index = self._raw_index if self._seen == len(self._raw) else self._indexed_raw()
        for name in index.keys() & names.asgi:
            self.delete(name.decode("latin-1"))

    def append_constants(self, constants: Iterable[Header]) -> None:
        self._raw.extend([constant.asgi for constant in constants])

    def setdefaults(self, block: HeaderBlock) -> None:
        index = self._indexed_raw()
        if index.keys().isdisjoint(block.asgi_index):
            self._raw.extend(block.asgi)
            index.update(block.asgi_index)
            self._seen = len(self._raw)
        else:
            for header in block.headers:
                self.setdefault(header)

    def asgi(self) -> list[tuple[bytes, bytes]]:
        return self._raw

    def wsgi(self) -> list[tuple[str, str]]:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._raw]

    def copy(self) -> Headers:
        return AsgiHeaders.over_raw(list(self._raw))


class EnvironHeaders(Headers):
    """The request headers in a WSGI environ: ``HTTP_*``, ``CONTENT_TYPE`` and ``CONTENT_LENGTH``, edited in place.

    The server has joined repeated lines already, so a name has at most one line, and an append extends its value. An
    environ does not distinguish underscores from dashes in a name, so every name reads with dashes. An empty
    ``CONTENT_TYPE`` or ``CONTENT_LENGTH`` counts as missing (PEP 3333 "environ Variables").
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: MutableMapping[str, object]) -> None:
        self._environ = environ

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        key = _environ_key(name)
        value = self._environ.get(key)
        if not isinstance(value, str) or (not value and key[:8] == "CONTENT_"):
            return default
        return value

    def get_all(self, name: str) -> list[str]:
        value = self.get(name)
        return [] if value is None else [value]

    def has_any(self, names: HeaderNames) -> bool:
        # The key view is quick and excludes missing names; `in self` also excludes an empty CONTENT_TYPE.
        return not self._environ.keys().isdisjoint(names.environ) and any(name in self for name in names.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def items(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for key, value in self._environ.items():
            if not isinstance(value, str):
                continue
            if key.startswith("HTTP_") and key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
                found.append((key[5:].replace("_", "-").lower(), value))
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
                found.append((key.replace("_", "-").lower(), value))
        return found

    def __len__(self) -> int:
        return len(self.items())

    @overload
    def append(self, name: Header, value: None = None, /) -> None: ...
    @overload
    def append(self, name: str, value: str, /) -> None: ...
    def append(self, name: str | Header, value: str | None = None, /) -> None:
        field = name if isinstance(name, Header) else Header(name, _checked(name, value))
        present = self.get_all(field.key)
        self._environ[_environ_key(field.key)] = _combine(field.key, [*present, field.value], every=True)

    @overload
    def set(self, name: Header, value: None = None, /) -> None: ...
    @overload
    def set(self, name: str, value: str, /) -> None: ...
    def set(self, name: str | Header, value: str | None = None, /) -> None:
        field = name if isinstance(name, Header) else Header(name, _checked(name, value))
        self._environ[_environ_key(field.key)] = field.value

    def append_constants(self, constants: Iterable[Header]) -> None:
        for constant in constants:
            self.append(constant)

    def setdefaults(self, block: HeaderBlock) -> None:
        for header in block.headers:
            self.setdefault(header)

    def delete(self, name: str) -> bool:
        return self._environ.pop(_environ_key(name), None) is not None

    def delete_all(self, names: HeaderNames) -> None:
        for name in names.names:
            self.delete(name)

    def asgi(self) -> list[tuple[bytes, bytes]]:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.items()]

    def wsgi(self) -> list[tuple[str, str]]:
        return self.items()

    def copy(self) -> Headers:
        return Headers.over(self.items())


#: Types that a constructor accepts as headers.
HeaderSource: TypeAlias = Headers | Mapping[str, str] | Iterable[Header | tuple[str, str]]


def _each(source: HeaderSource) -> Iterable[Header | tuple[str, str]]:
    if isinstance(source, Headers):
        return source.items()
    if isinstance(source, Mapping):
        # An iterable of constants is never a mapping too, but the union type cannot express that.
        return cast("Mapping[str, str]", source).items()
    return source


def _no_name(name: object) -> TypeError:
    if isinstance(name, Header):
        return TypeError(f"a Header constant already has its value, got {name!r} and a second value")
    return TypeError(f"a header name must be a str, got {name!r}")


def _no_value(name: object) -> TypeError:
    return TypeError(f"header {name!r} needs a value: pass a str, or one Header constant alone")


def _combine(name: str, values: list[str], *, every: bool = False) -> str:
    key = name.lower()
    if key == "set-cookie" and not every:
        return values[0]
    return ("; " if key == "cookie" else ", ").join(values)


def _add(index: _Index[_T], pairs: Iterable[tuple[_T, _T]]) -> None:
    """Add lines to an index."""
    for name, value in pairs:
        key = name.lower()
        present = index.get(key)
        if present is None:
            index[key] = value
        elif isinstance(present, list):
            present.append(value)
        else:
            index[key] = [present, value]


def _put(pairs: list[tuple[_T, _T]], key: _T, pair: tuple[_T, _T]) -> None:
    """Replace the first line of this name, which must exist, with ``pair``, and drop the other lines of the name."""
    at = next(at for at, present in enumerate(pairs) if present[0].lower() == key)
    rest = [present for present in pairs[at:] if present[0].lower() != key]
    pairs[at:] = [pair]
    pairs += rest


def _drop(pairs: list[tuple[_T, _T]], index: _Index[_T], key: _T) -> bool:
    """Drop every line of a name, in place; return whether there was one."""
    if index.pop(key, None) is None:
        return False
    pairs[:] = [present for present in pairs if present[0].lower() != key]
    return True


@lru_cache(maxsize=1024)
def _raw_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


@lru_cache(maxsize=1024)
def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


#: Longer values of Vary are not cached, because clients could fill the cache through an application.
_LONG = 256


@lru_cache(maxsize=256)
def _vary(present: str, names: tuple[str, ...]) -> Header | None:
    """Return a ``Vary`` header that includes these names; ``None`` if the present header includes them."""
    members = [part for part in map(str.strip, present.split(",")) if part]
    known = {part.lower() for part in members}
    if "*" in known:
        return None
    before = len(members)
    for name in names:
        if name == "*":
            return Header("vary", "*")
        key, _ = _name(name)
        if key not in known:
            known.add(key)
            members.append(name)
    return Header("vary", ", ".join(members)) if len(members) != before else None
