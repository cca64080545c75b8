"""A FastAPI application that keeps notes in SQLite: what the comparison serves."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, Form, HTTPException, Request, Response, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, StreamingResponse
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

__all__ = ["create"]

bearer = OAuth2PasswordBearer(tokenUrl="token")


class Note(BaseModel):
    """What a note must be."""

    text: str = Field(min_length=1, max_length=100)


def opened(request: Request) -> sqlite3.Connection:
    """The database that the lifespan opened."""
    database: sqlite3.Connection = request.state.database
    return database


def user(token: Annotated[str, Depends(bearer)]) -> str:
    """The user of a token."""
    if token != "of ada":
        raise HTTPException(401, "this token is nobody's", {"WWW-Authenticate": "Bearer"})
    return "ada"


Database = Annotated[sqlite3.Connection, Depends(opened)]
Author = Annotated[str, Depends(user)]


def create(folder: Path) -> FastAPI:
    """Create the application on the files of a folder."""
    done: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, object]]:
        # Used by the loop's thread and by the threads of plain functions; SQLite allows that when it is told.
        database = sqlite3.connect(folder / "notes.db", check_same_thread=False, isolation_level=None)
        database.row_factory = sqlite3.Row
        yield {"database": database}
        database.close()

    app = FastAPI(title="Notes", lifespan=lifespan)
    app.add_middleware(CORSMiddleware, allow_origins=["https://notes.example"], allow_methods=["*"])

    @app.get("/login", response_class=HTMLResponse)
    async def login_page() -> str:
        return '<form method="post"><input name="username"><input name="password" type="password"></form>'

    @app.post("/login")
    async def login_cookie(username: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
        response = Response(status_code=303, headers={"location": "/notes"})
        response.set_cookie("user", username, httponly=True, samesite="strict")
        response.set_cookie("seen", "yes", max_age=3600)
        return response

    @app.post("/token")
    def token(form: Annotated[OAuth2PasswordRequestForm, Depends()], database: Database) -> dict[str, str]:
        found = database.execute("SELECT password FROM users WHERE name = ?", (form.username,)).fetchone()
        if found is None or found["password"] != form.password:
            raise HTTPException(400, "wrong name or password")
        return {"access_token": f"of {form.username}", "token_type": "bearer"}

    @app.get("/notes")
    def notes(database: Database) -> list[dict[str, Any]]:
        return [dict(row) for row in database.execute("SELECT * FROM notes ORDER BY id")]

    @app.post("/notes", status_code=201)
    def add(
        note: Note,
        tasks: BackgroundTasks,
        author: Author,
        database: Database,
    ) -> dict[str, Any]:
        cursor = database.execute("INSERT INTO notes (author, text) VALUES (?, ?)", (author, note.text))
        tasks.add_task(done.append, note.text)
        return {"id": cursor.lastrowid, "author": author}

    @app.post("/scans", status_code=201)
    async def scan(file: UploadFile, author: Author) -> dict[str, Any]:
        content = await file.read()
        kept = folder / "scans" / "scan.bin"
        kept.write_bytes(content)
        os.utime(kept, (0, 0))  # its time is in the answers that are compared
        return {"name": file.filename, "type": file.content_type, "bytes": len(content), "of": author}

    @app.get("/scans/{name}")
    async def scanned(name: str) -> FileResponse:
        return FileResponse(folder / "scans" / name)

    @app.post("/count")
    async def count(request: Request) -> dict[str, int]:
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
        return {"bytes": total}

    @app.get("/events", response_class=EventSourceResponse)
    async def events(database: Database) -> AsyncIterator[ServerSentEvent]:
        for row in database.execute("SELECT * FROM notes ORDER BY id"):
            yield ServerSentEvent(data=dict(row), event="note", id=str(row["id"]))

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("raised on purpose")

    @app.get("/broken-off")
    async def broken_off() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first\n"
            raise RuntimeError("raised on purpose, while the body is sent")

        return StreamingResponse(chunks(), media_type="text/plain")

    return app
