"""The peer of a connection as each WSGI server spells it, for the view of a request and for the adapter alike."""

from __future__ import annotations

from typing import Any

import pytest

from gateway._requests import WsgiRequest
from gateway.adapters.translation import environ_to_scope
from gateway.translate.endpoints import connection_scheme, peer

#: What each server gives an application, as it was seen over a real connection.
PEERS = [
    ("gunicorn-unix", {"REMOTE_ADDR": "", "gunicorn.socket": object()}, None),
    ("granian-unix", {"REMOTE_ADDR": ""}, None),
    ("cheroot-unix", {"REMOTE_ADDR": "", "REMOTE_PORT": ""}, None),
    ("gevent-unix", {}, None),
    ("waitress-unix", {"REMOTE_ADDR": "localhost", "REMOTE_PORT": "None", "REMOTE_HOST": "localhost"}, None),
    ("werkzeug-unix", {"REMOTE_ADDR": "<local>", "REMOTE_PORT": 0, "werkzeug.socket": object()}, None),
    ("pyuwsgi-unix", {"REMOTE_ADDR": "0.0.0.0", "uwsgi.version": b"2.0.30"}, None),
    ("path", {"REMOTE_ADDR": "/run/client.sock"}, None),
    ("gunicorn-tcp", {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "37966"}, ("127.0.0.1", 37966)),
    ("werkzeug-tcp", {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": 38864, "werkzeug.socket": 1}, ("127.0.0.1", 38864)),
    ("pyuwsgi-tcp", {"REMOTE_ADDR": "127.0.0.1", "uwsgi.version": b"2.0.30"}, ("127.0.0.1", 0)),
    ("ipv6", {"REMOTE_ADDR": "::1", "REMOTE_PORT": "1"}, ("::1", 1)),
    # A middleware further out may have put there what a client wrote: that peer is not on a unix socket.
    ("copied-localhost", {"REMOTE_ADDR": "localhost", "REMOTE_PORT": "4711"}, ("localhost", 4711)),
    ("copied-local", {"REMOTE_ADDR": "<local>", "REMOTE_PORT": "4711"}, ("<local>", 4711)),
    ("copied-nothing", {"REMOTE_ADDR": "0.0.0.0", "REMOTE_PORT": "4711"}, ("0.0.0.0", 4711)),
]


@pytest.mark.parametrize(("environ", "expected"), [case[1:] for case in PEERS], ids=[case[0] for case in PEERS])
def test_the_peer_is_read_alike_in_both_interfaces(environ: dict[str, Any], expected: tuple[str, int] | None) -> None:
    assert peer(environ) == expected
    assert WsgiRequest(environ).client == expected
    assert environ_to_scope({"REQUEST_METHOD": "GET", **environ})["client"] == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"wsgi.url_scheme": "https"}, "https"),
        ({}, "http"),
        ({"wsgi.url_scheme": "https", "uwsgi.version": b"2.0.30"}, "http"),
        ({"wsgi.url_scheme": "gopher", "uwsgi.version": b"2.0.30"}, "http"),
        ({"wsgi.url_scheme": "http", "uwsgi.version": b"2.0.30", "HTTPS": "on"}, "https"),
        ({"wsgi.url_scheme": "http", "uwsgi.version": b"2.0.30", "UWSGI_SCHEME": "https"}, "https"),
    ],
)
def test_the_scheme_of_a_connection_is_not_what_a_header_says(environ: dict[str, Any], expected: str) -> None:
    assert connection_scheme(environ) == expected
