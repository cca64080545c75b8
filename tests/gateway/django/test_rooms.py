"""Chat rooms over WebSockets and synchronous views with PostgreSQL, in one process of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.gateway.django.load import Load, ask_many
from tests.gateway.django.postgresql import PostgreSQL, programs, running_postgresql

ROOT = str(Path(__file__).resolve().parents[3])
SECONDS = 30
THREADS = 40  # the default of `get_application`


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_postgresql() as server:
        yield server


def running(name: str, postgresql: PostgreSQL) -> Running:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)  # it names the package that is not installed
    environment = {"ROOMS_HOST": str(postgresql.folder), "ROOMS_USER": postgresql.user}
    target = "tests.gateway.django.rooms.served:application"
    return start(server, Launch(target=target, bind=Bind(port=0), app_dir=ROOT, environment=environment))


async def chat(members: list[ClientConnection], room: int, done: asyncio.Event) -> int:
    """Let the members speak in turn until the end, and return how many messages each of them has heard."""
    said = 0
    while said < len(members) or not done.is_set():
        message = f"{room}: {said}"
        await members[said % len(members)].send(message)
        assert [await asyncio.wait_for(member.recv(), SECONDS) for member in members] == [message] * len(members)
        said += 1
        await asyncio.sleep(0.01)  # people do not type faster
    return said


async def both(server: Running, *, requests: int, at_once: int, rooms: int, members: int) -> tuple[Load, list[int]]:
    """Send the requests while every WebSocket stays open and hears messages."""
    done = asyncio.Event()
    async with AsyncExitStack() as stack:
        joined: list[list[ClientConnection]] = []
        for room in range(rooms):
            url = f"ws://{server.bind.netloc}/ws/room{room}/"
            sockets = [connect(url, open_timeout=SECONDS, ping_interval=None) for _ in range(members)]
            joined.append([await stack.enter_async_context(socket) for socket in sockets])
        chats = [asyncio.create_task(chat(sockets, room, done)) for room, sockets in enumerate(joined)]
        load = await ask_many(str(server.bind.host), int(server.bind.port or 0), requests=requests, at_once=at_once)
        done.set()
        said = await asyncio.gather(*chats)
        assert all(socket.close_code is None for sockets in joined for socket in sockets)
    return load, said


@pytest.mark.parametrize(
    ("name", "requests", "rooms"),
    [
        ("uvicorn", 200, 2),
        pytest.param("uvicorn", 10_000, 20, marks=pytest.mark.slow),
        pytest.param("granian-asgi", 10_000, 20, marks=pytest.mark.slow),
    ],
)
def test_chat_rooms_and_views_share_a_process(name: str, requests: int, rooms: int, postgresql: PostgreSQL) -> None:
    with running(name, postgresql) as server:
        before = postgresql.opened()
        load, said = asyncio.run(both(server, requests=requests, at_once=16, rooms=rooms, members=10))
        assert load.errors == []
        assert len(load.seconds) == requests
        assert min(said) >= 10  # each member has spoken, and all have heard it
        assert 1 <= postgresql.opened() - before <= THREADS
