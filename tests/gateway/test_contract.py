"""The contract: metadata, the generator form, slots, effects."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from gateway._requests import AsgiRequest
from gateway.application import Gateway
from gateway.chain import path_in, when
from gateway.contract import (
    CONTRACT,
    HOOKS,
    BuildContext,
    Flow,
    FlowFactory,
    FlowHooks,
    FlowRun,
    Hooks,
    Middleware,
    Refuse,
    Reply,
    as_middleware,
    finished,
    hook,
    io,
    misuse,
    peek,
    reply,
    require_middleware,
    transform,
)
from gateway.errors import ConfigurationError
from gateway.exchange import Outcome, Request, Response
from gateway.headers import Header
from tests.shows import shows


def request() -> AsgiRequest:
    return AsgiRequest({"type": "http", "method": "GET", "path": "/", "headers": []})


@dataclass(frozen=True, kw_only=True)
class Plain(Middleware):
    limit: int = 1

    def on_request(self, request: Any) -> None: ...


@as_middleware
def tag(request: Any, *, name: str = "x", count: int = 1) -> Any:
    """Tag a response."""
    yield


@shows("What is not defined costs nothing")
def test_a_hook_that_is_not_defined_is_none() -> None:
    assert [name for name in HOOKS if hook(Plain(), name) is not None] == ["on_request"]
    assert [name for name in HOOKS if hook(Hooks(), name) is not None] == []


def test_a_hook_can_be_an_attribute_of_the_instance() -> None:
    hooks = Hooks()
    hooks.on_response = lambda request, response: None  # type: ignore[method-assign]  # what a wrapper may do
    assert hook(hooks, "on_response") is not None
    assert hook(hooks, "on_request") is None


def test_the_default_hooks_do_nothing() -> None:
    hooks = Hooks()
    process: Any = None
    assert hooks.on_start(process) is None
    assert hooks.on_stop(process) is None
    assert hooks.on_request(request()) is None
    assert hooks.on_request_body(request()) is None
    assert hooks.on_response(request(), Response()) is None
    assert hooks.on_body(request(), Response()) is None
    assert hooks.on_error(request(), ValueError()) is None
    assert hooks.on_finish(request(), Outcome("completed")) is None
    assert list(hooks.constant_headers) == []


@shows("build() runs once per place in a chain, and its result is used")
def test_a_middleware_builds_itself_by_default() -> None:
    middleware = Plain(limit=2)
    assert middleware.build(BuildContext()) is middleware
    assert repr(middleware) == "Plain(limit=2)"
    assert middleware == Plain(limit=2)


@shows("A slot is per request, typed, and unseen by the application")
def test_slots_are_apart_and_live_in_the_request() -> None:
    context = BuildContext()
    first, second = context.slot(int), context.slot(int)
    one, other = request(), request()
    assert first.get(one) is None
    with pytest.raises(KeyError, match="this request has no value in this slot"):
        first[one]
    first[one] = 1
    second[one] = 2
    assert (first[one], second[one], first.get(other)) == (1, 2, None)
    assert second.get(one) == 2
    with pytest.raises(KeyError, match="this request has no value in this slot"):
        context.slot(int)[one]
    assert "1" not in repr(one.scope)


@shows("Keyword-only parameters are its options, checked when it is called")
def test_a_generator_form_has_its_function_s_name_and_options() -> None:
    assert isinstance(tag, FlowFactory)
    assert tag.__name__ == "tag"
    assert tag.__doc__ == "Tag a response."
    made = tag(name="y")
    assert repr(made) == "tag(name='y')"
    assert type(made).__name__ == "tag"
    assert made == tag(name="y")
    assert made != tag(name="z")
    assert "as_middleware" in repr(tag)
    assert isinstance(made.build(BuildContext()), FlowHooks)


def test_metadata_of_a_generator_form_is_metadata_of_its_class() -> None:
    @as_middleware(websocket=True, after=("A",), before=("B",))
    def guard(request: Any) -> Any:
        yield

    made = guard()
    assert (type(made).websocket, type(made).after, type(made).before) == (True, ("A",), ("B",))
    assert type(tag()).websocket is False
    assert made.contract == CONTRACT


def test_a_generator_form_tells_the_plan_what_it_does() -> None:
    @as_middleware(short_circuits=True, body_cpu=True)
    def both(request: Any) -> Any:
        yield

    made = both()
    assert (made.short_circuits, made.body_cpu) == (True, True)
    assert (tag().short_circuits, tag().body_cpu) == (None, False)


@shows("Keyword-only parameters are its options, checked when it is called")
@pytest.mark.parametrize("options", [{"nome": "x"}, {"name": "x", "other": 1}])
def test_a_wrong_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"tag.*wrong options"):
        tag(**options)


@shows("Keyword-only parameters are its options, checked when it is called")
def test_a_missing_option_is_named() -> None:
    @as_middleware
    def needs(request: Any, *, key: str) -> Any:
        yield

    with pytest.raises(ConfigurationError, match="key"):
        needs()  # type: ignore[call-arg]  # the mistake


@shows("Keyword-only parameters are its options, checked when it is called")
def test_a_function_that_cannot_be_a_flow_is_refused() -> None:
    def plain(request: Any) -> None: ...

    def positional(request: Any, name: str) -> Any:
        yield

    def nothing() -> Any:
        yield

    with pytest.raises(ConfigurationError, match="generator function"):
        as_middleware(plain)  # type: ignore[type-var]  # the mistake
    with pytest.raises(ConfigurationError, match="keyword-only"):
        as_middleware(positional)
    with pytest.raises(ConfigurationError, match="request first"):
        as_middleware(nothing)  # type: ignore[arg-type]  # the mistake


@shows("A factory that was not called is a ConfigurationError that says so")
def test_what_is_no_middleware_is_refused_with_what_was_meant() -> None:
    assert require_middleware(tag()).build(BuildContext())
    with pytest.raises(ConfigurationError, match=r"middleware=\[tag\(\)\]"):
        require_middleware(tag)
    with pytest.raises(ConfigurationError, match=r"the class Plain; call it"):
        require_middleware(Plain)
    with pytest.raises(ConfigurationError, match="wsgi_only"):
        require_middleware(lambda app: app)


@shows("contract = 1 on the class; a newer one is refused")
def test_a_newer_contract_is_refused() -> None:
    class Future(Middleware):
        contract = CONTRACT + 1

    with pytest.raises(ConfigurationError, match="upgrade"):
        require_middleware(Future())


def test_refuse_carries_what_answers() -> None:
    refuse = Refuse(413, "too large", headers={"connection": "close"})
    assert (refuse.status, refuse.status_hint, str(refuse)) == (413, 413, "413: too large")
    assert str(Refuse(403)) == "403"


def test_effects_are_asked_for_and_their_answer_is_returned() -> None:
    def sync(value: int, *, more: int) -> int:
        return value + more

    async def coroutine(value: int, *, more: int) -> int:
        return value * more

    steps = io(sync, coroutine, 2, more=3)
    effect: Any = next(steps)
    assert effect.plain() == 5
    coro = effect.coroutine()
    with pytest.raises(StopIteration) as stop:
        coro.send(None)
    assert stop.value.value == 6
    with pytest.raises(StopIteration) as stop:
        steps.send("answer")
    assert stop.value.value == "answer"


def test_a_peek_has_a_size() -> None:
    effect: Any = next(peek(3))
    assert effect.size == 3
    effect = next(peek())
    assert effect.size is None
    with pytest.raises(ValueError, match="at least 0"):
        next(peek(-1))


class Change:
    def push(self, chunk: bytes, /) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return b""


def run(flow: Any) -> tuple[FlowRun, Any]:
    made = FlowRun(flow)
    steps = made.resume(None)
    if steps is None:
        return made, None
    try:
        effect = next(steps)
    except StopIteration as stop:
        return made, stop.value
    return made, effect


@shows("reply() before the yield short-circuits, after it replaces; transform() and finished()")
def test_a_flow_waits_for_its_response_or_for_the_end() -> None:
    def waits() -> Any:
        yield

    def answers() -> Any:
        yield from reply(Response(418))
        yield from finished()

    def ends() -> Any:
        return
        yield

    assert run(waits())[0].state == "response"
    made, answer = run(answers())
    assert (made.state, answer.status) == ("outcome", 418)
    assert run(ends())[0].state == "done"


@shows("reply() before the yield short-circuits, after it replaces; transform() and finished()")
@pytest.mark.parametrize(
    ("misused", "says"),
    [
        (lambda: transform(Change()), "after the bare"),
        (lambda: peek(1), "after the bare"),
    ],
    ids=["transform", "peek"],
)
def test_what_belongs_after_the_yield_is_refused_before_it(misused: Any, says: str) -> None:
    def flow() -> Any:
        yield from misused()

    with pytest.raises(ConfigurationError, match=says):
        run(flow())


@shows("A bare yield runs the rest of the chain; its exceptions are raised there")
def test_a_flow_yields_bare_once() -> None:
    def value() -> Any:
        yield 3

    def after_reply() -> Any:
        yield from reply(Response(418))
        yield

    with pytest.raises(ConfigurationError, match="may only use a bare `yield`"):
        run(value())
    with pytest.raises(ConfigurationError, match="once"):
        run(after_reply())
    assert "once" in str(misuse(None))
    assert isinstance(Reply(Response()).response, Response)


@as_middleware(websocket=True)
def stamped(request: Request, *, text: str = "x") -> Flow:
    response = yield
    response.headers.append("x-stamp", text)


@pytest.mark.parametrize("item", [stamped(), stamped(text="y"), when(path_in("/a"), stamped(text="z"))], ids=repr)
def test_a_generator_form_is_pickled_by_its_name_and_options(item: Any) -> None:
    again = pickle.loads(pickle.dumps(item))
    assert again == item
    assert repr(again) == repr(item)
    assert again.websocket
    assert copy.deepcopy(item) == item
    assert pickle.loads(pickle.dumps(stamped)) is stamped


def _hooks(**body: Any) -> Middleware:
    kind: type[Middleware] = type("Author", (Middleware,), body)
    return kind()


async def _asynchronous(self: object, *arguments: object) -> None: ...


async def _asynchronous_generator(self: object, *arguments: object) -> Any:
    yield


def _generator(self: object, *arguments: object) -> Any:
    yield


@shows("An override is a plain def, or a generator that does IO; which one is decided when the chain is built")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"on_request": _asynchronous}, r"Author.on_request must be a plain `def`.* got an `async def`.*yield from io"),
        ({"on_finish": _asynchronous}, r"Author.on_finish must be a plain `def`"),
        ({"on_response": _asynchronous_generator}, r"Author.on_response must be a plain `def`"),
        ({"on_body": _generator}, r"Author.on_body must return a Transform or None, got a generator"),
        ({"on_request_body": _generator}, r"Author.on_request_body must return a Transform or None"),
        (
            {"on_response": lambda self, request: None},
            r"Author.on_response must take the positional arguments \(request, response\).*too many",
        ),
        (
            {"on_error": lambda self, request, error, more: None},
            r"must take the positional arguments \(request, error\).*missing.*'more'",
        ),
        ({"on_request": "text"}, r"Author.on_request must be a method, got 'text'"),
        ({"on_requests": lambda self, request: None}, r"Author has on_requests\(\).* did you mean on_request\(\)"),
        ({"on_reponse": lambda self, *rest: None}, r"Author has on_reponse\(\).* did you mean on_response\(\)"),
        (
            {"constant_headers": [("x-a", "1")]},
            r"Author.constant_headers must hold .*Header objects, got \('x-a', '1'\)",
        ),
        (
            {"constant_headers": lambda self: (Header("x-a", "1"),)},
            r"Author.constant_headers must be a property of Header objects, got <bound method",
        ),
        ({"build": lambda self, context: 3}, r"Author.build\(\) must return Hooks, got 3"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "on-a-condition"])
def test_a_hook_that_could_not_be_called_is_refused_when_built(
    body: dict[str, Any], message: str, nested: bool
) -> None:
    item: Any = _hooks(**body)
    with pytest.raises(ConfigurationError, match=message):
        Gateway(_application, middleware=[when(path_in("/x"), item) if nested else item])


@shows("An override is a plain def, or a generator that does IO; which one is decided when the chain is built")
def test_what_an_author_may_write_is_built() -> None:
    def on_event(self: object) -> None: ...

    Gateway(
        _application,
        middleware=[
            _hooks(on_request=lambda self, request, more=None: None, on_event=on_event, on_finish=_generator),
            _hooks(on_response=lambda self, *arguments: None),
            _hooks(on_error=staticmethod(print)),
            _hooks(constant_headers=(Header("x-a", "1"),)),
        ],
    )


def _application(environ: Any, start_response: Any) -> Any:
    raise AssertionError("only built")
