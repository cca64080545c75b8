"""Datasette on a database of its own, with a login form and uploads by its plug-ins."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from tests.evidence.applications.script import TOKEN, Application, Step, Upload, Volatile

__all__ = ["APPLICATION"]

_CSV = "".join(f"{number},Straße {number},{number * 0.5}\r\n" for number in range(1200))
_METADATA = {
    "title": "Bücher",
    "databases": {
        "books": {
            "queries": {
                "add_book": {
                    "sql": "insert into books (title, pages) values (:title, :pages)",
                    "write": True,
                    "on_success_message": "Added ✓",
                }
            }
        }
    },
}


def _prepare(folder: Path) -> None:
    with sqlite3.connect(folder / "books.db") as database:
        database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL, pages INTEGER)")
        rows = [(f"Bänd {number}", number * 7 % 1000) for number in range(2500)]
        database.executemany("INSERT INTO books (title, pages) VALUES (?, ?)", rows)
    database.close()
    with sqlite3.connect(folder / "frozen.db") as database:
        database.execute("CREATE TABLE words (word TEXT)")
        database.executemany("INSERT INTO words VALUES (?)", [("eins",), ("zwei",)])
    database.close()
    os.utime(folder / "frozen.db", (0, 0))


def _build(folder: Path) -> object:
    from datasette.app import Datasette
    from datasette_auth_passwords.utils import hash_password

    password = hash_password("countess", salt="of the comparison", iterations=1000)
    return Datasette(
        [str(folder / "books.db")],
        immutables=[str(folder / "frozen.db")],
        metadata={**_METADATA, "plugins": {"datasette-auth-passwords": {"root_password_hash": password}}},
        secret="of the comparison",
    ).app()


APPLICATION = Application(
    title="datasette",
    packages=("datasette", "datasette-auth-passwords", "datasette-upload-csvs"),
    modules=("datasette", "datasette_auth_passwords", "datasette_upload_csvs"),
    interface="asgi",
    prepare=_prepare,
    build=_build,
    token='name="csrftoken" value="([^"]+)"',
    volatile=(
        Volatile(
            name="token",
            where="body",
            pattern='(?P<keep>name="csrftoken" value="|"csrftoken", ")[^"]+',
            reason="asgi-csrf creates its CSRF token at random.",
        ),
        Volatile(
            name="cookie",
            where="set-cookie",
            pattern="^(?P<keep>(ds_csrftoken|ds_actor|ds_messages)=)[^;]+",
            reason="Datasette signs its cookies with the time, and asgi-csrf creates its token at random.",
        ),
        Volatile(
            name="time",
            where="set-cookie",
            pattern="(?P<keep>expires=)[^;]+",
            reason="A deleted cookie expires at the time of the response.",
        ),
        Volatile(
            name="duration",
            where="body",
            pattern=r"(?P<keep>Queries took |\"query_ms\": )[\d.]+",
            reason="Datasette writes the duration of a query into its pages.",
        ),
    ),
    instead={"range": "Datasette's files ignore the Range header and send the whole file (RFC 9110, 14.2)."},
    steps=(
        Step(name="index", path="/", status=200, shows="Bücher".encode()),
        Step(name="login page", path="/-/login", status=200, shows=b'type="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/-/login",
            form={"csrftoken": TOKEN, "username": "root", "password": "lady"},
            status=200,
            shows=b"Invalid username or password",
        ),
        Step(
            name="login",
            method="POST",
            path="/-/login",
            form={"csrftoken": TOKEN, "username": "root", "password": "countess"},
            status=302,
            duty="login",
        ),
        Step(name="table", path="/books/books", status=200, shows="Bänd 99".encode()),
        Step(name="JSON", path="/books/books.json?_shape=array&pages__gt=990", status=200, shows=b'"pages": 994'),
        Step(name="CSV as a stream", path="/books/books.csv?_stream=on", status=200, shows="2500,Bänd 2499".encode()),
        Step(name="query", path="/books?sql=select+count(*)+as+%C3%BC+from+books", status=200, shows="ü".encode()),
        Step(name="upload page", path="/-/upload-csvs", status=200, shows=b'type="file"'),
        Step(
            name="upload",
            method="POST",
            path="/-/upload-csvs",
            # The plug-in sends the token in the form, which asgi-csrf 0.11 cannot read with this python-multipart.
            headers=(("x-csrftoken", TOKEN),),
            form={},
            files={"csv": Upload("straßen.csv", "text/csv", f"number,name,half\r\n{_CSV}".encode())},
            status=200,
            shows="straßen".encode(),
            duty="upload",
        ),
        Step(
            name="uploaded table, which is filled after the answer",
            path="/books/stra~C3~9Fen.json?_shape=array&_sort_desc=number&_size=3",
            status=200,
            shows=b'"half": 599.5',
            again=True,
        ),
        Step(name="database file", path="/frozen.db", status=200, shows=b"SQLite format 3\0"),
        Step(name="form of a query that writes", path="/books/add_book", status=200, shows=b'name="csrftoken"'),
        Step(
            name="query that writes",
            method="POST",
            path="/books/add_book",
            form={"csrftoken": TOKEN, "title": "Émile", "pages": "480"},
            status=302,
        ),
        Step(name="form without its token", method="POST", path="/books/add_book", form={"title": "x"}, status=403),
        Step(
            name="range, which datasette ignores",
            path="/-/static/app.css",
            headers=(("Range", "bytes=100-299"),),
            status=200,
            duty="range",
        ),
        Step(name="SQL that is wrong", path="/books?sql=select+nothing", status=400, duty="error"),
        Step(name="not found", path="/books/nowhere", status=404),
        Step(name="logout page", path="/-/logout", status=200),
        Step(name="logout", method="POST", path="/-/logout", form={"csrftoken": TOKEN}, status=302),
    ),
)
