"""A FastAPI application: lifespan with a database, OAuth2 login, uploads, files with ranges, server-sent events."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.evidence.applications.script import TOKEN, Application, Step, Upload, Volatile

__all__ = ["APPLICATION"]

_SCAN = bytes(range(256)) * 800
_BEARER = (("Authorization", f"Bearer {TOKEN}"),)


def _prepare(folder: Path) -> None:
    (folder / "scans").mkdir()
    with sqlite3.connect(folder / "notes.db") as database:
        database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL)")
        database.execute("CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT NOT NULL)")
        database.execute("INSERT INTO users VALUES ('ada', 'countess')")
        database.executemany("INSERT INTO notes (author, text) VALUES ('ada', ?)", [("Bernoulli",), ("café ☕",)])
    database.close()


def _build(folder: Path) -> object:
    from tests.evidence.applications.programs.notes import create

    return create(folder)


APPLICATION = Application(
    title="FastAPI application with lifespan and server-sent events",
    packages=("fastapi", "starlette"),
    modules=("fastapi", "python_multipart"),
    interface="asgi",
    prepare=_prepare,
    build=_build,
    volatile=tuple(
        Volatile(
            name="boundary",
            where=where,
            pattern=pattern,
            reason="Starlette creates the boundary between several ranges at random.",
            steps=("several ranges",),
        )
        for where, pattern in (("content-type", "(?P<keep>boundary=).+"), ("body", "(?P<keep>--)[0-9a-f]{26}"))
    ),
    token='"access_token":"([^"]+)"',
    steps=(
        Step(name="documentation", path="/docs", status=200, shows=b"swagger-ui"),
        Step(name="login page", path="/login", status=200, shows=b'type="password"'),
        Step(
            name="login form",
            method="POST",
            path="/login",
            form={"username": "ada", "password": "countess"},
            status=303,
        ),
        Step(
            name="wrong password",
            method="POST",
            path="/token",
            form={"username": "ada", "password": "lady"},
            status=400,
        ),
        Step(
            name="login",
            method="POST",
            path="/token",
            form={"username": "ada", "password": "countess"},
            status=200,
            shows=b"of ada",
            duty="login",
        ),
        Step(name="list", path="/notes", status=200, shows="café ☕".encode()),
        Step(
            name="add as JSON",
            method="POST",
            path="/notes",
            headers=(*_BEARER, ("Content-Type", "application/json")),
            body=b'{"text": "Note G"}',
            status=201,
            shows=b'"id":3',
        ),
        Step(
            name="add without a token",
            method="POST",
            path="/notes",
            headers=(("Content-Type", "application/json"),),
            body=b'{"text": "forged"}',
            status=401,
        ),
        Step(
            name="add what is not valid",
            method="POST",
            path="/notes",
            headers=(*_BEARER, ("Content-Type", "application/json")),
            body=b'{"text": ""}',
            status=422,
        ),
        Step(
            name="upload",
            method="POST",
            path="/scans",
            headers=_BEARER,
            form={},
            files={"file": Upload("café.bin", "image/x-scan", _SCAN)},
            status=201,
            shows=f'"bytes":{len(_SCAN)}'.encode(),
            duty="upload",
        ),
        Step(name="upload in chunks", method="POST", path="/count", body=_SCAN, chunked=True, status=200),
        Step(name="file", path="/scans/scan.bin", status=200, shows=_SCAN),
        Step(
            name="range",
            path="/scans/scan.bin",
            headers=(("Range", "bytes=100-299"),),
            status=206,
            duty="range",
        ),
        Step(name="several ranges", path="/scans/scan.bin", headers=(("Range", "bytes=0-9,500-509"),), status=206),
        Step(name="range past the end", path="/scans/scan.bin", headers=(("Range", "bytes=999999-"),), status=416),
        Step(name="server-sent events", path="/events", status=200, shows=b"event: note\n"),
        Step(
            name="preflight",
            method="OPTIONS",
            path="/notes",
            headers=(("Origin", "https://notes.example"), ("Access-Control-Request-Method", "POST")),
            status=200,
        ),
        Step(name="method not allowed", method="DELETE", path="/notes", status=405),
        Step(name="exception", path="/broken", status=500, shows=b"Internal Server Error", duty="error"),
        Step(name="exception in a stream", path="/broken-off", status=200, shows=b"first\n", whole=False),
        Step(name="list, after the exceptions", path="/notes", status=200, shows=b"Note G"),
    ),
)
