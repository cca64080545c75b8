"""A pytest plugin, and a module for other test runners: every application of a framework runs behind a `Validator`.

``GATEWAY_SILENCE`` names the file that gets the findings, one JSON line each; ``GATEWAY_SILENCE_FOR`` names the
framework. The framework's own test client is the
server, so a finding against the server is about that client.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import sys
import threading
import unittest
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.errors import ProtocolViolation
from gateway.rules import Validator

#: The classes whose instances servers call, and their interface.
CLASSES = (
    ("flask.app", "Flask", "wsgi"),
    ("bottle", "Bottle", "wsgi"),
    ("falcon.app", "App", "wsgi"),
    ("falcon.asgi.app", "App", "asgi"),
    ("litestar.app", "Litestar", "asgi"),
    ("quart.app", "Quart", "asgi"),
    ("django.core.handlers.wsgi", "WSGIHandler", "wsgi"),
    ("django.core.handlers.asgi", "ASGIHandler", "asgi"),
)
_FOUND: Counter[tuple[str, str, str, str, str]] = Counter()
_CALLS: Counter[str] = Counter()
#: Findings also come from the garbage collector, which may run while this thread has the lock.
_LOCK = threading.RLock()
_PATCHED: list[type] = []
_STRONG: dict[int, Any] = {}
_VALIDATORS: weakref.WeakKeyDictionary[object, Any] = weakref.WeakKeyDictionary()


def _report(violation: ProtocolViolation) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    with _LOCK:
        _FOUND[violation.rule, violation.severity, violation.side, violation.found, test] += 1


def _around(app: Any, interface: str) -> Any:
    return Validator(app, interface, "collect", on_violation=_report)  # type: ignore[call-overload]  # found at run time


def _validated(original: Callable[..., Any], interface: str) -> Callable[..., Any]:
    """Return a ``__call__`` that validates each call of an application, with one validator for each application."""

    def checked_for(self: Any) -> Any:
        with _LOCK:
            _CALLS[interface] += 1
            known, key, refer = _store(self)
            checked = known.get(key)
            if checked is None:
                checked = known[key] = _around(functools.partial(_forward, original, refer), interface)
        return checked

    if interface == "wsgi":

        @functools.wraps(original)
        def call(self: Any, environ: Any, start_response: Any) -> Any:
            return checked_for(self)(environ, start_response)

    else:  # a coroutine function of three arguments, because test clients recognise an ASGI application by that

        @functools.wraps(original)
        async def call(self: Any, scope: Any, receive: Any, send: Any) -> Any:
            return await checked_for(self)(scope, receive, send)

    return call


def _store(application: Any) -> tuple[Any, Any, Callable[[], Any]]:
    """Return the mapping that has the validator of an application, its key there, and a reference to it."""
    try:
        return _VALIDATORS, application, weakref.ref(application)
    except TypeError:  # falcon's have slots, and no weak references
        return _STRONG, id(application), lambda: application


def _forward(original: Callable[..., Any], application: Any, *args: Any) -> Any:
    return original(application(), *args)


def install() -> None:
    """Put a validator around every class that is installed."""
    wanted = os.environ.get("GATEWAY_SILENCE_FOR", "")
    for module, name, interface in CLASSES:
        if not module.startswith(wanted):
            continue  # importing a framework may change the behaviour of another one's tests
        try:
            cls = getattr(importlib.import_module(module), name)
        except ImportError:
            continue
        cls.__call__ = _validated(cls.__call__, interface)
        _PATCHED.append(cls)
    _clients()


def _clients() -> None:
    """Put a validator around every other application that a test client gets."""
    with contextlib.suppress(ImportError):
        werkzeug: Any = importlib.import_module("werkzeug.test")
        run = werkzeug.run_wsgi_app

        def run_wsgi_app(app: Any, environ: Any, buffered: bool = False) -> Any:
            return run(_counted(app, "wsgi"), environ, buffered)

        werkzeug.run_wsgi_app = run_wsgi_app
    with contextlib.suppress(ImportError):
        starlette: Any = importlib.import_module("starlette.testclient")
        made = starlette.TestClient.__init__

        def __init__(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
            made(self, _counted(app, "asgi") if starlette._is_asgi3(app) else app, *args, **kwargs)
            self.app = app

        starlette.TestClient.__init__ = __init__


def _counted(app: Any, interface: str) -> Any:
    """Wrap an application whose class has no validator."""
    if any(isinstance(app, cls) for cls in _PATCHED):
        return app
    with _LOCK:
        _CALLS[interface] += 1
    return _around(app, interface)


def _save() -> None:
    with Path(os.environ["GATEWAY_SILENCE"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"calls": dict(_CALLS)}) + "\n")
        for (rule, severity, side, found, test), count in _FOUND.items():
            line = {"rule": rule, "severity": severity, "side": side, "found": found, "test": test}
            file.write(json.dumps({**line, "count": count}) + "\n")


def _name_tests() -> None:
    """Name the current test of unittest as pytest does."""
    started = unittest.TestResult.startTest

    def start(self: unittest.TestResult, test: unittest.TestCase) -> None:
        os.environ["PYTEST_CURRENT_TEST"] = test.id()
        started(self, test)

    unittest.TestResult.startTest = start  # type: ignore[method-assign]  # found at run time


if "GATEWAY_SILENCE" in os.environ:
    install()
    if "pytest" not in sys.modules:
        _name_tests()
    atexit.register(_save)
