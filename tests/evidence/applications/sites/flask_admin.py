"""Flask-Admin: records by SQLAlchemy, files, a login form."""

from __future__ import annotations

import os
from pathlib import Path

from tests.evidence.applications.script import TOKEN, Application, Step, Upload, Volatile

__all__ = ["APPLICATION"]

_FILE = bytes(range(256)) * 500


def _prepare(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "files" / "grün.bin").write_bytes(_FILE)
    os.utime(folder / "files" / "grün.bin", (0, 0))
    from tests.evidence.applications.programs.library import Book, User, create, database

    with create(folder).app_context():
        database.create_all()
        database.session.add(User(login="ada", password=User.hashed("countess")))
        for number in range(60):
            database.session.add(Book(title=f"Bänd {number}", pages=number * 7))
        database.session.commit()


def _build(folder: Path) -> object:
    from tests.evidence.applications.programs.library import create

    return create(folder)


APPLICATION = Application(
    title="Flask-Admin",
    packages=("flask-admin", "flask", "flask-login", "flask-sqlalchemy", "sqlalchemy"),
    modules=("flask_admin", "flask_login", "flask_sqlalchemy"),
    interface="wsgi",
    prepare=_prepare,
    build=_build,
    token='name="csrf_token" type="hidden" value="([^"]+)"',
    volatile=(
        Volatile(
            name="token",
            where="body",
            pattern='(?P<keep>name="csrf_token" type="hidden" value=")[^"]+',
            reason="WTForms signs its CSRF token with the time.",
        ),
        Volatile(
            name="cookie",
            where="set-cookie",
            pattern="^(?P<keep>session=)[^;]+",
            reason="Flask signs its session with the time.",
        ),
        Volatile(
            name="time",
            where="content-disposition",
            pattern=r"(?P<keep>filename=Book_)[\d_-]+",
            reason="Flask-Admin names an export after the time.",
        ),
        Volatile(
            name="time",
            where="body",
            pattern=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
            reason="The list of files shows the time of the upload.",
            steps=("list of files",),
        ),
    ),
    steps=(
        Step(name="index, not logged in", path="/admin/", status=302),
        Step(name="login page", path="/admin/login/", status=200, shows=b'type="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/admin/login/",
            form={"csrf_token": TOKEN, "login": "ada", "password": "lady"},
            status=200,
        ),
        Step(
            name="login",
            method="POST",
            path="/admin/login/",
            form={"csrf_token": TOKEN, "login": "ada", "password": "countess"},
            status=302,
            duty="login",
        ),
        Step(name="list", path="/admin/book/?sort=1&desc=1", status=200, shows="Bänd 59".encode()),
        Step(name="search", path="/admin/book/?search=B%C3%A4nd+1", status=200, shows="Bänd 19".encode()),
        Step(name="form", path="/admin/book/new/", status=200, shows=b'name="title"'),
        Step(
            name="add",
            method="POST",
            path="/admin/book/new/",
            form={"csrf_token": TOKEN, "title": "Émile", "pages": "480"},
            files={},
            status=302,
        ),
        Step(name="list, with the message", path="/admin/book/", status=200, shows=b"Record was successfully created."),
        Step(name="export as a stream", path="/admin/book/export/csv/", status=200, shows="Émile,480\r\n".encode()),
        Step(name="upload page", path="/admin/files/upload/", status=200, shows=b'type="file"'),
        Step(
            name="upload",
            method="POST",
            path="/admin/files/upload/",
            form={"csrf_token": TOKEN},
            files={"upload": Upload("neu.bin", "application/octet-stream", _FILE[::-1])},
            status=302,
            duty="upload",
        ),
        Step(name="list of files", path="/admin/files/", status=200, shows=b"neu.bin"),
        Step(name="file", path="/admin/files/download/gr%C3%BCn.bin", status=200, shows=_FILE),
        Step(
            name="range",
            path="/admin/files/download/gr%C3%BCn.bin",
            headers=(("Range", "bytes=100-299"),),
            status=206,
            duty="range",
        ),
        Step(
            name="range past the end",
            path="/admin/files/download/gr%C3%BCn.bin",
            headers=(("Range", "bytes=999999-"),),
            status=416,
        ),
        Step(
            name="file that is known",
            path="/admin/files/download/gr%C3%BCn.bin",
            headers=(("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),),
            status=304,
        ),
        Step(
            name="form without its token",
            method="POST",
            path="/admin/book/new/",
            form={"title": "forged"},
            status=200,
            shows=b'value="forged"',
        ),
        Step(name="not found", path="/admin/nowhere", status=404),
        Step(name="exception", path="/broken", status=500, shows=b"Internal Server Error", duty="error"),
        Step(name="logout", path="/admin/logout/", status=302),
        Step(name="list, not logged in", path="/admin/book/", status=302),
    ),
)
