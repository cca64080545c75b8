"""A Litestar application that keeps pictures: sessions on disk, forms with tokens, Brotli, server-sent events."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from litestar import Litestar, Request, get, post
from litestar.config.compression import CompressionConfig
from litestar.config.csrf import CSRFConfig
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.datastructures import UploadFile
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import Body
from litestar.response import File, Redirect, ServerSentEvent, ServerSentEventMessage, Stream, Template
from litestar.static_files import create_static_files_router
from litestar.stores.file import FileStore
from litestar.template.config import TemplateConfig

__all__ = ["create"]

_PAGE = """\
<!doctype html>
<title>Gallery</title>
<form method="post" action="{{ action }}"{% if files %} enctype="multipart/form-data"{% endif %}>
{{ csrf_input | safe }}
{% for name, kind in fields %}<input name="{{ name }}" type="{{ kind }}">
{% endfor %}</form>
"""


@dataclass
class Login:
    """The form of the login page."""

    user: str
    password: str


@dataclass
class Picture:
    """A picture that is sent in a form."""

    title: str
    file: UploadFile


@dataclass
class Rating:
    """What somebody thinks of a picture."""

    picture: int
    stars: int


def opened(request: Request[Any, Any, Any]) -> sqlite3.Connection:
    """The database that the lifespan opened."""
    database: sqlite3.Connection = request.app.state.database
    return database


def logged_in(request: Request[Any, Any, Any]) -> str:
    """The user of the session."""
    user: str | None = request.session.get("user")
    if user is None:
        raise NotAuthorizedException("log in first")
    return user


@get("/login")
async def login_page() -> Template:
    """The login form."""
    fields = [("user", "text"), ("password", "password")]
    return Template(template_str=_PAGE, context={"action": "/login", "fields": fields}, media_type="text/html")


@post("/login", status_code=303)
async def login(
    data: Annotated[Login, Body(media_type=RequestEncodingType.URL_ENCODED)], request: Request[Any, Any, Any]
) -> Redirect:
    """Log in."""
    if (data.user, data.password) != ("ada", "countess"):
        raise NotAuthorizedException("wrong name or password")
    request.set_session({"user": data.user})
    return Redirect("/pictures", status_code=303)


@get("/pictures/new")
async def picture_page(user: str) -> Template:
    """The form of an upload."""
    context = {"action": "/pictures", "files": True, "fields": [("title", "text"), ("file", "file")]}
    return Template(template_str=_PAGE, context=context, media_type="text/html")


@get("/pictures", sync_to_thread=True)
def pictures(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """All pictures."""
    return [dict(row) for row in database.execute("SELECT * FROM pictures ORDER BY id")]


@get("/pictures/{number:int}")
async def picture(number: int, request: Request[Any, Any, Any]) -> File:
    """The file of a picture."""
    return File(request.app.state.folder / f"{number}.bin", filename=f"bild {number} ü.bin")


@get("/events")
async def events(database: sqlite3.Connection) -> ServerSentEvent:
    """Every picture, as an event."""

    async def each() -> AsyncGenerator[ServerSentEventMessage, None]:
        for row in database.execute("SELECT * FROM pictures ORDER BY id"):
            yield ServerSentEventMessage(data=row["title"], event="picture", id=row["id"])

    return ServerSentEvent(each())


@get("/lines")
async def lines() -> Stream:
    """Lines, one after the other."""

    async def each() -> AsyncIterator[bytes]:
        for number in range(200):
            yield b"line %d\n" % number

    return Stream(each(), media_type="text/plain")


@post("/ratings", sync_to_thread=True)
def rate(data: Rating, database: sqlite3.Connection, user: str) -> dict[str, Any]:
    """Rate a picture."""
    database.execute("UPDATE pictures SET stars = ? WHERE id = ?", (data.stars, data.picture))
    return {"by": user, "stars": data.stars}


@get("/broken")
async def broken() -> None:
    """Raise."""
    raise RuntimeError("raised on purpose")


def create(folder: Path) -> Litestar:
    """Create the application on the files of a folder."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        database = sqlite3.connect(folder / "gallery.db", check_same_thread=False, isolation_level=None)
        database.row_factory = sqlite3.Row
        app.state.database = database
        app.state.folder = folder / "pictures"
        yield
        database.close()

    @post("/pictures")
    async def add(
        data: Annotated[Picture, Body(media_type=RequestEncodingType.MULTI_PART)],
        database: sqlite3.Connection,
        user: str,
    ) -> dict[str, Any]:
        content = await data.file.read()
        number = database.execute("INSERT INTO pictures (title, owner) VALUES (?, ?)", (data.title, user)).lastrowid
        kept = folder / "pictures" / f"{number}.bin"
        kept.write_bytes(content)
        os.utime(kept, (0, 0))  # its time is in the answers that are compared
        return {"number": number, "name": data.file.filename, "bytes": len(content)}

    return Litestar(
        [
            login_page,
            login,
            picture_page,
            pictures,
            picture,
            add,
            events,
            lines,
            rate,
            broken,
            create_static_files_router("/static", [folder / "static"]),
        ],
        lifespan=[lifespan],
        dependencies={
            "database": Provide(opened, sync_to_thread=False),
            "user": Provide(logged_in, sync_to_thread=False),
        },
        middleware=[ServerSideSessionConfig(samesite="strict").middleware],
        stores={"sessions": FileStore(folder / "sessions", create_directories=True)},
        csrf_config=CSRFConfig(secret="of the comparison, long enough for it"),
        compression_config=CompressionConfig(backend="brotli", minimum_size=500),
        template_config=TemplateConfig(directory=folder / "templates", engine=JinjaTemplateEngine),
    )
