"""A Litestar application: lifespan, sessions, tokens in forms, compression, server-sent events."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from tests.evidence.applications.script import TOKEN, Application, Step, Upload, Volatile

__all__ = ["APPLICATION"]

_PICTURE = bytes(range(256)) * 700
_JSON = (("Content-Type", "application/json"),)


def _prepare(folder: Path) -> None:
    for name in ("pictures", "static", "templates"):
        (folder / name).mkdir()
    (folder / "static" / "style.css").write_text("p { margin: 0 }\n" * 200)
    os.utime(folder / "static" / "style.css", (0, 0))
    with sqlite3.connect(folder / "gallery.db") as database:
        database.execute("CREATE TABLE pictures (id INTEGER PRIMARY KEY, title TEXT, owner TEXT, stars INTEGER)")
        database.executemany("INSERT INTO pictures (title, owner) VALUES (?, 'ada')", [("Das Gewächshaus",), ("Two",)])
    database.close()


def _build(folder: Path) -> object:
    from tests.evidence.applications.programs.gallery import create

    return create(folder)


APPLICATION = Application(
    title="Litestar application",
    packages=("litestar",),
    modules=("litestar", "jinja2", "brotli"),
    interface="asgi",
    prepare=_prepare,
    build=_build,
    token='name="_csrf_token" value="([^"]+)"',
    volatile=(
        Volatile(
            name="token",
            where="body",
            pattern='(?P<keep>name="_csrf_token" value=")[^"]+',
            reason="Litestar creates its CSRF token at random.",
        ),
        Volatile(
            name="cookie",
            where="set-cookie",
            pattern="^(?P<keep>(csrftoken|session)=)[^;]+",
            reason="Litestar creates session ids and tokens at random.",
        ),
    ),
    instead={"range": "Litestar's files ignore the Range header and send the whole file (RFC 9110, 14.2)."},
    steps=(
        Step(name="not logged in", path="/pictures/new", status=401),
        Step(name="login page", path="/login", status=200, shows=b'type="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/login",
            form={"_csrf_token": TOKEN, "user": "ada", "password": "lady"},
            status=401,
        ),
        Step(
            name="login",
            method="POST",
            path="/login",
            form={"_csrf_token": TOKEN, "user": "ada", "password": "countess"},
            status=303,
            duty="login",
        ),
        Step(name="form", path="/pictures/new", status=200, shows=b'type="file"'),
        Step(
            name="upload",
            method="POST",
            path="/pictures",
            form={"_csrf_token": TOKEN, "title": "Émile"},
            files={"file": Upload("ü.bin", "image/x-scan", _PICTURE)},
            status=201,
            shows=f'"bytes":{len(_PICTURE)}'.encode(),
            duty="upload",
        ),
        Step(name="list", path="/pictures", status=200, shows="Émile".encode()),
        Step(name="file", path="/pictures/3", status=200, shows=_PICTURE),
        Step(
            name="range, which Litestar ignores",
            path="/pictures/3",
            headers=(("Range", "bytes=100-299"),),
            status=200,
            duty="range",
        ),
        Step(name="head of a static file", method="HEAD", path="/static/style.css", status=200),
        Step(
            name="static file, compressed",
            path="/static/style.css",
            headers=(("Accept-Encoding", "br"),),
            status=200,
        ),
        Step(name="stream", path="/lines", status=200, shows=b"line 199\n"),
        Step(name="stream, compressed", path="/lines", headers=(("Accept-Encoding", "br"),), status=200),
        Step(name="server-sent events", path="/events", status=200, shows=b"event: picture\r\n"),
        Step(
            name="form without its token",
            method="POST",
            path="/login",
            form={"user": "ada", "password": "countess"},
            status=403,
        ),
        Step(
            name="JSON with the token in a header",
            method="POST",
            path="/ratings",
            headers=(*_JSON, ("x-csrftoken", TOKEN)),
            body=b'{"picture": 1, "stars": 5}',
            status=201,
        ),
        Step(
            name="JSON that is not valid",
            method="POST",
            path="/ratings",
            headers=(*_JSON, ("x-csrftoken", TOKEN)),
            body=b'{"picture": "one"}',
            status=400,
        ),
        Step(name="not found", path="/nowhere/caf%C3%A9", status=404),
        Step(name="method not allowed", method="PUT", path="/pictures", headers=(("x-csrftoken", TOKEN),), status=405),
        Step(name="exception", path="/broken", status=500, duty="error"),
        Step(name="schema", path="/schema/openapi.json", status=200, shows=b'"openapi"'),
    ),
)
