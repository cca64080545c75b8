from typing import Any

import pytest

from tests.gateway.rules.asgi import CONNECT, WS_DISCONNECT, Serve, msg, sends, serve, then_receive, websocket
from tests.gateway.rules.cases import Case, shows

OLD = {"version": "3.0", "spec_version": "2.0"}
RECEIVE = msg("websocket.receive", text="hi")


def app(*messages: Any, receives: int = 1, events: Any = (CONNECT,), fails: Any = (), **scope: Any) -> Any:
    call = Serve(app=sends(*messages, receives=receives), scope=websocket(**scope), events=events, fails=dict(fails))
    return lambda mode: serve(call, mode=mode)


def accept(**keys: Any) -> dict[str, Any]:
    return msg("websocket.accept", **keys)


def close(**keys: Any) -> dict[str, Any]:
    return msg("websocket.close", **keys)


def send(**keys: Any) -> dict[str, Any]:
    return msg("websocket.send", **keys)


ok = app(accept(), send(text="hi"), close())


def chat(*events: Any) -> Any:
    """The case of a server that gives these messages after connect, the application having accepted."""
    return app(accept(), *[then_receive] * len(events), events=(CONNECT, *events))


def without(key: str) -> Any:
    scope = websocket()
    del scope[key]
    return lambda mode: serve(Serve(app=sends(close()), scope=scope, events=(CONNECT,)), mode=mode)


CASES = [
    Case("W01", without("headers"), ok, "no-headers"),
    Case("W01", app(close(), http_version="1.0"), app(close(), http_version="2"), "http-version"),
    Case("W01", app(close(), http_version="3"), ok, "http3", minor=True),
    Case("W02", app(close(), subprotocols=[b"chat"]), app(close(), subprotocols=("chat",)), "bytes"),
    Case("W02", app(close(), subprotocols="chat"), app(close(), subprotocols=[]), "str"),
    Case("W03", app(close(), receives=1, events=(WS_DISCONNECT,)), ok, "disconnect-first"),
    Case("W03", app(then_receive, accept(), events=(CONNECT, RECEIVE)), chat(RECEIVE), "receive-before-accept"),
    Case("W03", chat(CONNECT), chat(WS_DISCONNECT), "connect-twice"),
    Case("W04", app(accept(), receives=0), app(close(), receives=0)),
    Case("W05", app(accept(), accept()), ok),
    Case("W06", app(accept(subprotocol=b"chat")), app(accept(subprotocol="chat")), "bytes"),
    Case("W06", app(accept(subprotocol="mqtt")), app(accept(subprotocol=None)), "not-offered", minor=True),
    Case("W07", app(accept(headers=[(b"X-A", b"1")])), app(accept(headers=[(b"x-a", b"1")])), "upper-case"),
    Case("W07", app(accept(headers=[("x-a", "1")])), app(accept(headers=[])), "str"),
    Case("W07", app(accept(headers=[(b":status", b"101")])), ok, "pseudo"),
    Case("W07", app(accept(headers=[(b"sec-websocket-protocol", b"chat")])), ok, "subprotocol"),
    Case("W08", app(send(text="hi"), accept()), ok, "before-accept"),
    Case("W08", app(accept(), close(), send(text="hi")), ok, "after-close"),
    Case("W09", app(accept(), send()), app(accept(), send(text="", bytes=None)), "neither"),
    Case("W09", app(accept(), send(text="a", bytes=b"a")), app(accept(), send(bytes=b"")), "both"),
    Case("W09", app(accept(), send(text=b"a")), ok, "text-bytes"),
    Case("W09", app(accept(), send(bytes="a")), ok, "bytes-str"),
    Case("W09", chat(msg("websocket.receive")), chat(msg("websocket.receive", bytes=b"", text=None)), side="server"),
    Case("W10", app(accept(), close(code=1005)), app(accept(), close(code=1000)), "1005"),
    Case("W10", app(accept(), close(code=999)), app(accept(), close(code=4999)), "999"),
    Case("W10", app(accept(), close(code=1015)), app(accept(), close(code=1014)), "1015"),
    Case("W10", app(accept(), close(code="1000")), app(accept(), close()), "str"),
    Case("W10", app(accept(), close(code=2000)), app(accept(), close(code=3000)), "2000", minor=True),
    Case("W10", app(accept(), close(code=999)), app(close(code=999)), "no-code-is-sent-with-403"),
    Case("W11", app(accept(), close(reason="é" * 62)), app(accept(), close(reason="é" * 61)), "124-bytes"),
    Case("W11", app(accept(), close(reason=b"bye")), app(accept(), close(reason=None)), "bytes"),
    Case("W12", app(accept(), close(), close()), ok),
    Case("W13", app(), app(close()), "silent"),
    Case("W13", app(), app(accept()), "silent-or-accepted"),
    Case("W14", chat(msg("websocket.disconnect")), chat(WS_DISCONNECT), "no-code"),
    Case("W14", chat({**WS_DISCONNECT, "code": 0}), chat({**WS_DISCONNECT, "code": 1006}), "no-such-code", minor=True),
    Case("W14", chat({**WS_DISCONNECT, "reason": b"bye"}), chat({**WS_DISCONNECT, "reason": "bye"}), "reason-bytes"),
    Case(
        "W16",
        app(accept(), then_receive, send(text="a"), events=(CONNECT, WS_DISCONNECT), fails={1: RuntimeError("gone")}),
        app(accept(), then_receive, send(text="a"), events=(CONNECT, WS_DISCONNECT), fails={1: BrokenPipeError()}),
    ),
    Case("W18", chat(WS_DISCONNECT, RECEIVE), chat(WS_DISCONNECT, WS_DISCONNECT)),
    Case("W17", app(accept(headers=[(b"a", b"1")]), asgi=OLD), app(accept(headers=[(b"a", b"1")])), "headers"),
    Case("W17", app(accept(), close(reason="bye"), asgi=OLD), app(accept(), close(reason="bye")), "reason"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_websockets_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999])
def test_every_close_code_that_may_be_sent_is_silent(code: int) -> None:
    assert app(accept(), close(code=code))("raise").errors == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_error_is_raised_to_the_server_in_the_end(case: Case) -> None:
    from gateway.rules import RULES

    result = case.bad("raise")
    if RULES[case.rule].severity == "error" and not case.minor and case.rule != "W16":
        assert result.errors[0].rule == case.rule
