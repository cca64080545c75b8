"""The recipe of the one object: what each caller and each detector of the field makes of it."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import multiprocessing
import pickle
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from asgiref.compatibility import guarantee_single_callable, is_double_callable
from hypercorn.typing import Framework
from hypercorn.utils import is_asgi
from uvicorn import Config

from gateway.dual import Dual
from gateway.protocols import Interface, detect


class RsgiRecorder:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        self.calls.append(("rsgi", scope, protocol))

    def __rsgi_init__(self, loop: Any) -> None:
        self.calls.append(("init", loop))

    def __rsgi_del__(self, loop: Any) -> None:
        self.calls.append(("del", loop))


class Recorder(Dual):
    """Records what it was called with, and answers with its name."""

    def __init__(self, name: str = "recorder") -> None:
        self.name = name
        self.calls: list[Any] = []
        self.composed = 0
        self._install()

    @property
    def interface(self) -> Interface:
        return "wsgi"

    def _compose(self):
        self.composed += 1

        def wsgi(environ, start_response):
            self.calls.append(("wsgi", environ, start_response))
            return [self.name.encode()]

        async def asgi(scope, receive, send):
            self.calls.append(("asgi", scope, receive, send))
            await send(self.name)

        return wsgi, asgi

    def _compose_rsgi(self):
        return RsgiRecorder(self.calls)


class PlainAsgi(Recorder):
    """Its ASGI side gives an awaitable that is no coroutine."""

    def _compose(self):
        wsgi, asgi = super()._compose()

        def plain(scope, receive, send):
            return asyncio.ensure_future(asgi(scope, receive, send))

        return wsgi, plain


async def send(message: object) -> None:
    sent.append(message)


sent: list[object] = []


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    sent.clear()


def environ_of(path: str = "/") -> dict[str, Any]:
    return {"PATH_INFO": path}


def start_response(*args: object) -> None:
    raise AssertionError("not called here")


SCOPE: dict[str, Any] = {"type": "http"}
ASGI_CALLS: list[Callable[[Any], Any]] = [
    lambda app: app(SCOPE, "receive", send),
    lambda app: app(scope=SCOPE, receive="receive", send=send),
    lambda app: app(SCOPE, receive="receive", send=send),
    lambda app: app(SCOPE, "receive", send=send),
    lambda app: app(SCOPE)("receive", send),
    lambda app: app.__call__(SCOPE, "receive", send),
    lambda app: app.asgi(SCOPE, "receive", send),
]


@pytest.mark.parametrize("kind", [Recorder, PlainAsgi])
@pytest.mark.parametrize("call", ASGI_CALLS)
def test_an_asgi_call_in_any_form_reaches_the_asgi_side(call: Callable[[Any], Any], kind: type[Recorder]) -> None:
    app = kind()

    async def main() -> None:
        await call(app)

    asyncio.run(main())
    assert app.calls == [("asgi", SCOPE, "receive", send)]
    assert sent == ["recorder"]


@pytest.mark.parametrize("kind", [Recorder, PlainAsgi])
def test_three_arguments_give_a_real_coroutine(kind: type[Recorder]) -> None:
    async def main() -> None:
        answer = kind()(SCOPE, "receive", send)
        assert inspect.iscoroutine(answer)
        await answer

    asyncio.run(main())


WSGI_CALLS: list[Callable[[Any, Any], Any]] = [
    lambda app, environ: app(environ, start_response),
    lambda app, environ: app(environ=environ, start_response=start_response),
    lambda app, environ: app(environ, start_response=start_response),
    lambda app, environ: app.wsgi(environ, start_response),
]


@pytest.mark.parametrize("call", WSGI_CALLS)
def test_a_wsgi_call_in_any_form_reaches_the_wsgi_side(call: Callable[[Any, Any], Any]) -> None:
    app = Recorder()
    environ = environ_of()
    assert call(app, environ) == [b"recorder"]
    assert app.calls == [("wsgi", environ, start_response)]


class RsgiScope:
    rsgi_version = "1.6"
    proto = "http"


def test_an_rsgi_call_reaches_the_rsgi_side() -> None:
    app = Recorder()
    scope = RsgiScope()

    async def main() -> None:
        app.__rsgi_init__("loop")
        await app.__rsgi__(scope, "protocol")
        await app(scope, "protocol")
        app.__rsgi_del__("loop")

    asyncio.run(main())
    assert app.calls == [("init", "loop"), ("rsgi", scope, "protocol"), ("rsgi", scope, "protocol"), ("del", "loop")]


WRONG_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    (r"got \(\)", (), {}),
    (r"got \(scope: str\)", ("scope",), {}),
    (r"got \(scope: list, receive: function\)", ([], start_response), {}),
    (r"got \(scope: dict, send: int\)", ({},), {"send": 1}),
    (r"got \(receive: int, send: int\)", (), {"receive": 1, "send": 2}),
    (r"got \(scope: dict, receive: int, environ: dict\)", ({}, 1), {"environ": {}}),
    (r"got \(scope: dict, receive: int, send: int, environ: dict\)", ({}, 1, 2), {"environ": {}}),
    (r"got \(environ: dict\)", (), {"environ": {}}),
    (r"got \(environ: list, start_response: int\)", (), {"environ": [], "start_response": 1}),
]


@pytest.mark.parametrize(("seen", "args", "kwargs"), WRONG_CALLS)
def test_any_other_call_is_a_type_error_that_shows_it(seen: str, args: Any, kwargs: Any) -> None:
    app: Any = Recorder()
    with pytest.raises(TypeError, match="must be called as .*" + seen):
        app(*args, **kwargs)
    assert app.calls == []


def test_an_unknown_argument_is_a_type_error() -> None:
    app: Any = Recorder()
    with pytest.raises(TypeError, match="request"):
        app(request=1)


def test_more_than_three_arguments_are_a_type_error() -> None:
    app: Any = Recorder()
    with pytest.raises(TypeError):
        app({}, None, None, None)
    assert app.calls == []


def test_arguments_that_are_none_count() -> None:
    app: Any = Recorder()
    environ: Any = {}
    assert app(environ, None) == [b"recorder"]
    app({}, None, None).close()
    assert app.calls == [("wsgi", environ, None)]


def test_uvicorn_sees_asgi_and_no_factory() -> None:
    config = Config(Recorder(), log_config=None, lifespan="off")
    config.load()
    assert config.interface == "asgi3"


def test_hypercorn_sees_asgi() -> None:
    app: Framework = Recorder()
    assert is_asgi(app)


def test_asgiref_sees_a_single_callable() -> None:
    app = Recorder()
    assert not is_double_callable(app)
    assert guarantee_single_callable(app) is app


def test_whoever_looks_at_the_attribute_sees_a_coroutine_function() -> None:
    app = Recorder()
    assert inspect.iscoroutinefunction(app.__call__)
    assert not inspect.iscoroutinefunction(type(app).__call__)
    assert not inspect.iscoroutinefunction(app)


def test_whoever_counts_parameters_sees_three() -> None:
    assert list(inspect.signature(Recorder()).parameters) == ["scope", "receive", "send"]
    assert list(inspect.signature(Recorder).parameters) == ["name"]


def test_detect_answers_with_the_interface_inside() -> None:
    assert detect(Recorder()) == "wsgi"


def test_the_interfaces_are_composed_once_and_rsgi_when_first_used() -> None:
    app = Recorder()
    app(environ_of(), start_response)
    app(environ_of(), start_response)
    assert app.composed == 1
    assert "_rsgi" not in vars(app)
    assert app.__rsgi_init__.__self__ is app.__rsgi_del__.__self__


COPIES: list[Callable[[Recorder], Recorder]] = [
    copy.copy,
    copy.deepcopy,
    *(functools.partial(lambda protocol, app: pickle.loads(pickle.dumps(app, protocol)), p) for p in range(2, 6)),
]


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_answers_with_its_own_application(duplicate: Callable[[Recorder], Recorder]) -> None:
    original = Recorder("original")
    original.__rsgi_init__("loop")
    other = duplicate(original)
    other.name = "copy"
    other.calls = []
    assert other(environ_of(), start_response) == [b"copy"]
    asyncio.run(other.__call__(SCOPE, None, send))
    assert sent == ["copy"]
    assert other.__call__.__self__ is other  # type: ignore[attr-defined]
    assert inspect.iscoroutinefunction(other.__call__)
    assert other.__rsgi__.__self__ is not original.__rsgi__.__self__  # type: ignore[attr-defined]
    assert list(inspect.signature(other).parameters) == ["scope", "receive", "send"]
    assert original.calls == [("init", "loop")]


def _answer(app: Recorder, results: Any) -> None:
    results.put((app(environ_of(), start_response), inspect.iscoroutinefunction(app.__call__)))


def test_a_spawned_process_gets_a_working_one() -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_answer, args=(Recorder("spawned"), results))
    process.start()
    try:
        assert results.get(timeout=60) == ([b"spawned"], True)
    finally:
        process.join(60)
        results.close()
        results.join_thread()
    assert process.exitcode == 0


def test_functools_wraps_around_it_is_judged_by_the_wrapper() -> None:
    app = Recorder()

    @functools.wraps(app)
    def wsgi(environ, start_response):
        return app(environ, start_response)

    @functools.wraps(app)
    async def asgi(scope, receive, send):
        await app(scope, receive, send)

    @functools.wraps(app)
    def either(*args, **kwargs):
        return app(*args, **kwargs)

    assert detect(wsgi) == "wsgi"
    assert detect(asgi) == "asgi"
    assert detect(either) == "wsgi"  # passed on to the one inside, and its answer
    assert wsgi(environ_of(), start_response) == [b"recorder"]
    asyncio.run(asgi(SCOPE, None, send))
    assert sent == ["recorder"]


def test_mock_makes_a_spec_of_it() -> None:
    double = mock.create_autospec(Recorder(), instance=True)
    double(SCOPE, "receive", "send")
    double.assert_called_once()
    with pytest.raises(TypeError):
        double(1, 2, 3, 4)


def test_the_reference_cycle_is_collected() -> None:
    app = Recorder()
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_it_compares_and_hashes_by_identity() -> None:
    app = Recorder()
    assert {app: 1}[app] == 1
    assert app != Recorder()
    assert bool(app)
    assert callable(app)
