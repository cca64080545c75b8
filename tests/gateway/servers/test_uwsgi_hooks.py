"""The hooks of uWSGI run besides those of the application."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gateway.servers import uwsgi_hooks


@pytest.mark.parametrize("worker", [0, 1], ids=["in the master", "in a worker"])
def test_hooks_of_the_application_are_run_too(worker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(uwsgi_hooks, "start_all", lambda served: ran.append("started"))
    monkeypatch.setattr(uwsgi_hooks, "close_all", lambda: ran.append("closed"))
    server = SimpleNamespace(
        post_fork_hook=lambda: ran.append("their fork"),
        atexit=lambda: ran.append("their end"),
        worker_id=lambda: worker,
        opt={},
    )
    uwsgi_hooks.install(server)
    server.post_fork_hook()
    server.atexit()
    assert ran == (
        ["their fork", "started", "closed", "their end"]
        if worker == 0
        else ["started", "their fork", "closed", "their end"]
    )


def test_an_application_without_hooks_has_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(uwsgi_hooks, "start_all", lambda served: ran.append("started"))
    monkeypatch.setattr(uwsgi_hooks, "close_all", lambda: ran.append("closed"))
    server = SimpleNamespace(worker_id=lambda: 0, opt={})
    uwsgi_hooks.install(server)
    server.post_fork_hook()
    server.atexit()
    assert ran == ["started", "closed"]
