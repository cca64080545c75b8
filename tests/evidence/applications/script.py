"""What an application of this comparison is: how it is built, and the table of the requests that it is asked.

Sessions are played as a browser would: cookies are kept, a form sends the token of the page that was read before, and
redirects are not followed, because what is compared is each answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module, metadata, util
from pathlib import Path
from pkgutil import iter_modules
from typing import Literal

from gateway.protocols import Interface
from tests.evidence.applications import sites

__all__ = ["DUTIES", "TOKEN", "Application", "Duty", "Step", "Upload", "Volatile", "applications"]

Duty = Literal["login", "upload", "range", "error"]
#: What the requests of each application must hold.
DUTIES: tuple[Duty, ...] = ("login", "upload", "range", "error")
#: In a form: the token of the page that was read last.
TOKEN = "{token}"


@dataclass(frozen=True)
class Upload:
    """A file in a form."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request, and what the native answer must be, so that a script that did not get in proves nothing.

    Attributes:
        name: Unique in its application.
        method: Request method.
        path: Path and query, as sent.
        headers: Further header fields.
        form: Fields of a form; sent as multipart when there are files.
        files: Files of the form.
        body: Body where there is no form.
        chunked: Send the body in chunks, without a length.
        status: Status of the native answer.
        shows: Bytes that the native answer's body holds.
        again: Ask again until the body shows it: what the application does after its answer takes a while.
        whole: The native answer ends; else the connection is cut in the middle of the body.
        duty: What of an application's duties this is.
    """

    name: str
    status: int
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    form: Mapping[str, str] | None = None
    files: Mapping[str, Upload] | None = None
    body: bytes = b""
    chunked: bool = False
    shows: bytes = b""
    again: bool = False
    whole: bool = True
    duty: Duty | None = None


@dataclass(frozen=True, kw_only=True)
class Volatile:
    """A value that differs from run to run of one server; it is replaced before answers are compared.

    Attributes:
        name: What it is.
        where: Name of a header field in lower case, or ``body``.
        pattern: What is replaced; its groups ``keep`` and ``rest`` stay.
        reason: Why it cannot be equal.
        steps: Only in the answers to these; empty is all.
    """

    name: str
    where: str
    pattern: str
    reason: str
    steps: tuple[str, ...] = ()

    def replace(self, text: str) -> str:
        """Replace each occurrence by the name of the rule."""
        return re.sub(self.pattern, self._named, text)

    def _named(self, match: re.Match[str]) -> str:
        kept = match.groupdict()
        return f"{kept.get('keep', '')}<{self.name}>{kept.get('rest', '')}"


@dataclass(frozen=True, kw_only=True)
class Application:
    """One application.

    Attributes:
        title: Its name for readers.
        packages: Distributions whose versions name it; the first is the application, the rest its plug-ins.
        modules: Modules that must be importable.
        interface: What it speaks.
        prepare: Makes database, users and files in an empty folder; runs in a process of its own.
        build: Returns the application that serves what ``prepare`` made; runs in the server.
        steps: The requests, in order, on one connection where the server keeps it.
        token: Pattern of the token against forged requests in a page; group 1 is sent with the next form.
        volatile: What differs from run to run.
        instead: A duty that the application does not have, to the sentence that says what stands for it.
    """

    title: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    interface: Interface
    prepare: Callable[[Path], None]
    build: Callable[[Path], object]
    steps: tuple[Step, ...]
    token: str = ""
    volatile: tuple[Volatile, ...] = ()
    instead: Mapping[Duty, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """Say what must be installed to run this application, or None."""
        absent = [module for module in self.modules if util.find_spec(module) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    def versions(self) -> list[str]:
        """Name and version of each of its packages."""
        return [f"{package} {metadata.version(package)}" for package in self.packages]


def applications() -> dict[str, Application]:
    """Every application, by the name of its module."""
    names = sorted(module.name for module in iter_modules(sites.__path__))
    return {name: import_module(f"{sites.__name__}.{name}").APPLICATION for name in names}
