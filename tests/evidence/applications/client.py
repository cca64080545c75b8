"""A client that plays the requests of an application, keeps its cookies, and returns each answer as it came."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, IncompleteRead
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from gateway.servers import Bind
from tests.evidence.applications.script import TOKEN, Step

__all__ = ["Answer", "Session"]

#: The host that every server is asked for, so that no port of one run shows in a page.
HOST = "application.example"
_BOUNDARY = "----------a-boundary-of-the-comparison"
_CHUNK_BYTES = 1000
_SECONDS = 60.0
_AGAIN_SECONDS = 20.0
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        status: Status code; 0 where none came.
        headers: Fields in the order in which they came, names in lower case.
        body: The body without its framing.
        whole: The body was received to its end.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool = True


class Session:
    """One user with one browser. A context manager: leaving it closes the connection.

    Args:
        bind: Where the server listens.
        token: Pattern of the token in pages.
        keep_alive: The server keeps a connection; without, each request has its own.
    """

    def __init__(self, bind: Bind, token: str = "", *, keep_alive: bool = True) -> None:
        self._keep_alive = keep_alive
        self._connection = HTTPConnection(bind.host, bind.port, timeout=_SECONDS)
        self._cookies: dict[str, str] = {}
        self._pattern = token
        self._token = ""

    def play(self, step: Step) -> Answer:
        """Send one request; one that gets no answer is status 0, with what went wrong as its body."""
        try:
            answer = self._ask(step)
            deadline = time.monotonic() + _AGAIN_SECONDS
            while step.again and step.shows not in answer.body and time.monotonic() < deadline:
                time.sleep(0.05)
                if not self._keep_alive:
                    self._connection.close()
                answer = self._ask(step)
        except (OSError, HTTPException) as error:
            self._connection.close()
            return Answer(0, (), f"no answer, {type(error).__name__}: {error}".encode(), whole=False)
        if not self._keep_alive:
            self._connection.close()
        self._remember(answer)
        return answer

    def _ask(self, step: Step) -> Answer:
        kept = self._connection.sock is not None
        try:
            return self._exchange(step)
        except ConnectionError:  # among them http.client's RemoteDisconnected
            # A server may close a connection that was kept, and says so by nothing else: RFC 9112, 9.3.1.
            if not kept or step.method not in _IDEMPOTENT:
                raise
            self._connection.close()
            return self._exchange(step)

    def _exchange(self, step: Step) -> Answer:
        body, media_type = _body(step, self._token)
        connection = self._connection
        connection.putrequest(step.method, step.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", HOST)
        for name, value in step.headers:
            connection.putheader(name, value.replace(TOKEN, self._token))
        if self._cookies:
            connection.putheader("Cookie", "; ".join(f"{name}={value}" for name, value in self._cookies.items()))
        if media_type:
            connection.putheader("Content-Type", media_type)
        if step.chunked:
            connection.putheader("Transfer-Encoding", "chunked")
            parts = [body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
        elif body or step.method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(body)))
        # A server that reads no body may answer and close while it is sent: its answer is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body or None)
        with connection.getresponse() as response:
            headers = tuple((name.lower(), value) for name, value in response.getheaders())
            try:
                return Answer(response.status, headers, response.read())
            except IncompleteRead as error:
                connection.close()
                return Answer(response.status, headers, error.partial, whole=False)

    def _remember(self, answer: Answer) -> None:
        for name, value in answer.headers:
            if name == "set-cookie":
                pair, _, attributes = value.partition(";")
                cookie, _, content = pair.partition("=")
                self._cookies[cookie] = content
                if not content.strip('"') or "max-age=0" in attributes.lower():
                    del self._cookies[cookie]
        if self._pattern and (found := re.search(self._pattern, answer.body.decode("utf-8", "replace"))):
            self._token = found[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()


def _body(step: Step, token: str) -> tuple[bytes, str]:
    """Return the body of a request and its media type."""
    if step.form is None and step.files is None:
        return step.body, ""
    fields = {name: value.replace(TOKEN, token) for name, value in (step.form or {}).items()}
    if step.files is None:
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    for name, file in step.files.items():
        head = (
            f'Content-Disposition: form-data; name="{name}"; filename="{file.name}"\r\nContent-Type: {file.media_type}'
        )
        parts.append(f"{head}\r\n\r\n".encode() + file.content)
    body = b"".join(b"--%b\r\n%b\r\n" % (_BOUNDARY.encode(), part) for part in parts)
    return body + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"
