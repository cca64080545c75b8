"""The options of the clients: one object behind keywords, documented once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.testing import AsyncClient, Client
from tests.gateway.testing import apps

ROOT = Path(gateway.__file__).parents[1]


def options(client: Callable[..., object]) -> list[str]:
    app, *rest = inspect.signature(client).parameters.values()
    assert (app.name, app.default, app.kind) == ("app", app.empty, app.POSITIONAL_OR_KEYWORD)
    assert {each.kind for each in rest} == {inspect.Parameter.KEYWORD_ONLY}
    return [each.name for each in rest]


def test_both_clients_take_the_same_options_but_for_the_loop() -> None:
    assert sorted(options(Client)) == sorted([*options(AsyncClient), "backend"])


def test_the_docstring_has_each_option_of_a_client() -> None:
    section = (inspect.getdoc(Client) or "").partition("Args:\n")[2]
    assert sorted(re.findall(r"^    (\w+): ", section, re.M)) == sorted(["app", *options(Client)])


def test_the_reference_has_each_option_of_a_client() -> None:
    page = (ROOT / "docs" / "reference" / "testing.md").read_text("utf-8")
    table = page.partition("| argument | default | meaning |")[2].partition("\n\n")[0]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(set(named) - {"Client"}) == sorted(options(Client))


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("positional", "keywords", "said"),
    [
        ((), {}, "missing 1 required positional argument: 'app'"),
        ((apps.wsgi_echo, "wsgi"), {}, "takes 2 positional arguments but 3 were given"),
        ((apps.wsgi_echo,), {"timeuot": 1}, "unexpected keyword argument 'timeuot'"),
    ],
)
def test_a_wrong_call_is_a_type_error(client: Any, positional: Any, keywords: Any, said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        client(*positional, **keywords)


def test_a_subclass_passes_options_on() -> None:
    class Mine(Client):
        def __init__(self) -> None:
            super().__init__(apps.wsgi_echo, root_path="/mine")

    with Mine() as client:
        assert client.get("/").json()["path"] == "/mine/"
