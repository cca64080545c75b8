"""Pyramid: its starter with SQLAlchemy and Jinja2, a transaction for each request, the login of its tutorial."""

from __future__ import annotations

from pathlib import Path

from tests.evidence.applications.script import TOKEN, Application, Step, Upload, Volatile

__all__ = ["APPLICATION"]

_FILE = bytes(range(256)) * 500


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'starter.sqlite'}"


def _prepare(folder: Path) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from tests.evidence.applications.programs.starter.models import Base, Document

    engine = create_engine(_url(folder))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Document(title="Übersicht", content=_FILE))
        session.commit()


def _build(folder: Path) -> object:
    from tests.evidence.applications.programs.starter import main

    return main({}, **{"sqlalchemy.url": _url(folder)})


APPLICATION = Application(
    title="Pyramid's starter",
    packages=("pyramid", "pyramid-jinja2", "pyramid-tm", "pyramid-retry", "webob", "sqlalchemy"),
    modules=("pyramid", "pyramid_jinja2", "pyramid_tm", "pyramid_retry", "zope.sqlalchemy"),
    interface="wsgi",
    prepare=_prepare,
    build=_build,
    token='name="csrf_token" value="([^"]+)"',
    volatile=(
        Volatile(
            name="token",
            where="body",
            pattern='(?P<keep>name="csrf_token" value=")[^"]+',
            reason="Pyramid creates its CSRF token at random.",
        ),
        Volatile(
            name="cookie",
            where="set-cookie",
            pattern="^(?P<keep>(session|auth_tkt)=)[^;]+",
            reason="Pyramid signs its session and its ticket with the time.",
        ),
        Volatile(
            name="time",
            where="set-cookie",
            pattern="(?P<keep>expires=)[^;]+",
            reason="A deleted cookie expires at the time of the response.",
        ),
        Volatile(
            name="time",
            where="expires",
            pattern=".+",
            reason="A static file expires an hour after the response.",
        ),
        Volatile(
            name="time",
            where="last-modified",
            pattern=".+",
            reason="A checkout sets its own time for its files.",
            steps=("static file", "range of a static file", "head of a static file"),
        ),
    ),
    steps=(
        Step(name="home", path="/", status=200, shows="Welcome to <span>Starter ü".encode()),
        Step(name="not logged in", path="/documents", status=303),
        Step(name="login page", path="/login?next=/documents", status=200, shows=b'type="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/login",
            form={"csrf_token": TOKEN, "login": "ada", "password": "lady"},
            status=400,
        ),
        Step(
            name="login",
            method="POST",
            path="/login",
            form={"csrf_token": TOKEN, "login": "ada", "password": "countess"},
            status=303,
            duty="login",
        ),
        Step(name="list, with the message", path="/documents", status=200, shows=b"Hello, Ada."),
        Step(
            name="upload",
            method="POST",
            path="/documents",
            form={"csrf_token": TOKEN, "title": "Émile"},
            files={"file": Upload("émile.bin", "application/octet-stream", _FILE[::-1])},
            status=302,
            duty="upload",
        ),
        Step(name="list", path="/documents", status=200, shows="émile.bin is kept.".encode()),
        Step(name="uploaded file", path="/documents/2", status=200, shows=_FILE[::-1]),
        Step(
            name="range",
            path="/documents/1",
            headers=(("Range", "bytes=100-299"),),
            status=206,
            duty="range",
        ),
        Step(name="range past the end", path="/documents/1", headers=(("Range", "bytes=999999-"),), status=416),
        Step(name="static file", path="/static/theme.css", status=200, shows=b"p.message"),
        Step(name="range of a static file", path="/static/theme.css", headers=(("Range", "bytes=3-9"),), status=206),
        Step(name="head of a static file", method="HEAD", path="/static/theme.css", status=200),
        Step(name="stream", path="/lines", status=200, shows=b"line 199\n"),
        Step(name="form without its token", method="POST", path="/documents", form={"title": "forged"}, status=400),
        Step(name="not found", path="/nowhere/caf%C3%A9", status=404, shows=b"404 Page Not Found"),
        Step(name="a path that is not UTF-8", path="/caf%E9", status=500),
        Step(name="exception", path="/broken", status=500, shows=b"raised on purpose", duty="error"),
        Step(name="document that the transaction took back", path="/documents/3", status=404),
        Step(name="logout", method="POST", path="/logout", form={"csrf_token": TOKEN}, status=303),
    ),
)
