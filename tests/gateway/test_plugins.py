"""Names of engines, middleware and servers: where they come from, and what is said where they come from nowhere."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gateway import plugins
from gateway.chain._engines import A2WSGI, ASGIREF, BUILTIN, Crossings, find
from gateway.errors import ConfigurationError
from gateway.plugins import Engine, Plugin, available, did_you_mean, import_path, load, reason
from gateway.protocols import ASGIApplication, Environ, StartResponse, WSGIApplication
from gateway.servers import get, names


def wsgi_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("204 No Content", [])
    return []


class OneWay:
    """An engine of one direction."""

    def wsgi_to_asgi(self, app: WSGIApplication) -> ASGIApplication:
        async def crossed(scope: object, receive: object, send: object) -> None: ...

        return crossed


SWIFT = dataclasses.replace(get("wsgiref"), name="swift", family="swift")


class Empty:
    """No engine."""


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install metadata of a distribution with entry points, without its code."""

    def install(name: str, entries: str) -> None:
        info = tmp_path / f"{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(entries)
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


@pytest.mark.parametrize("engine", [BUILTIN, A2WSGI, ASGIREF], ids=lambda engine: engine.name)
def test_a_built_in_engine_is_found_by_its_name(engine: Engine) -> None:
    name = getattr(engine, "name")  # noqa: B009  # no part of the protocol
    assert load("engine", name) is engine
    assert find(name) == Crossings(name=name, engine=engine)
    assert isinstance(engine, Engine)


def test_every_built_in_can_be_imported() -> None:
    for kind in plugins._GROUPS:
        for name in plugins._builtin(kind):
            assert load(kind, name) is not None


def test_a_built_in_middleware_goes_by_the_name_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import gateway.middleware

    monkeypatch.setattr(gateway.middleware, "__all__", ["HttpsRedirect", "edge"], raising=False)
    monkeypatch.setattr(gateway.middleware, "HttpsRedirect", OneWay, raising=False)
    assert load("middleware", "https_redirect") is OneWay
    assert load("middleware", "edge") is gateway.middleware.edge
    assert set(available("middleware")) >= {"https_redirect", "edge"}


def test_a_plug_in_is_found_by_its_entry_point(distribution: Callable[[str, str], None]) -> None:
    distribution("fast", f"[gateway.adapters]\nfast = {__name__} : OneWay\n")
    sys.modules.setdefault(__name__, sys.modules[OneWay.__module__])
    assert available("engine")["fast"] == Plugin(name="fast", path=f"{__name__}:OneWay", distribution="fast 1.5")
    assert load("engine", "fast") is OneWay
    assert isinstance(find("fast").engine, OneWay)
    assert list(available("engine")) == ["builtin", "a2wsgi", "asgiref", "fast"]


def test_a_plug_in_does_not_replace_a_built_in(distribution: Callable[[str, str], None]) -> None:
    distribution("thief", "[gateway.adapters]\nbuiltin = thief:Engine\n")
    assert available("engine")["builtin"].distribution is None
    assert load("engine", "builtin") is BUILTIN


def test_two_plug_ins_of_one_name_are_an_error_that_names_both(distribution: Callable[[str, str], None]) -> None:
    distribution("one", "[gateway.middleware]\nx = one:X\n")
    distribution("two", "[gateway.middleware]\nx = two:X\n")
    with pytest.raises(ConfigurationError, match=r"two distributions provide the middleware 'x': (one|two) 1\.5 and"):
        available("middleware")


def test_a_plug_in_that_cannot_be_imported_is_named(distribution: Callable[[str, str], None]) -> None:
    distribution("broken", "[gateway.middleware]\nx = no_such_module:X\n")
    with pytest.raises(ConfigurationError, match=r"plug-in 'x' of broken 1\.5: .* no module named 'no_such_module'"):
        load("middleware", "x")


def test_an_entry_point_without_a_distribution_is_still_named() -> None:
    entry = EntryPoint(name="x", value="m:X", group="gateway.middleware")
    assert plugins._distribution(entry) == "an unknown distribution"


def test_an_unknown_name_is_an_error_with_what_is_possible() -> None:
    expected = r"engine must be one of 'builtin', 'a2wsgi', 'asgiref', got 'a2wsgy' \(did you mean 'a2wsgi'\?\)"
    with pytest.raises(ConfigurationError, match=expected):
        load("engine", "a2wsgy")


def test_a_group_without_plug_ins_says_how_to_name_one() -> None:
    with pytest.raises(
        ConfigurationError, match="server must be one of an import path, because no plug-in is installed"
    ):
        load("server", "nothing")


def test_an_import_path_needs_no_entry_point() -> None:
    assert load("middleware", "pathlib:PurePath.joinpath") is __import__("pathlib").PurePath.joinpath


PATHS = [
    ("no-colon", "os.path", "must have the form 'module:attribute', two dotted names; got 'os.path'"),
    ("no-attribute", "os:", "must have the form 'module:attribute', two dotted names; got 'os:'"),
    ("no-module", ":path", "must have the form 'module:attribute', two dotted names; got ':path'"),
    ("absent-module", "no_such_module:x", "no module named 'no_such_module'"),
    ("absent-attribute", "pathlib:Paht", r"'pathlib' has no attribute 'Paht' \(did you mean 'Path'\?\)"),
]


@pytest.mark.parametrize(("path", "message"), [case[1:] for case in PATHS], ids=[case[0] for case in PATHS])
def test_a_wrong_import_path_says_what_is_wrong(path: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        import_path(path)


def test_a_module_that_raises_is_named_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_at_import.py").write_text("raise RuntimeError('no database')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match="importing 'raises_at_import' raised RuntimeError: no database"):
        import_path("raises_at_import:app")


def test_a_configuration_error_at_import_is_not_wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "refuses_at_import.py").write_text(
        "from gateway.errors import ConfigurationError\nraise ConfigurationError('built wrong')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"\Abuilt wrong\Z"):
        import_path("refuses_at_import:app")


def test_an_engine_of_one_direction_is_refused_where_the_other_is_needed() -> None:
    crossings = find(OneWay())
    assert crossings.name == "OneWay"
    assert callable(crossings.wsgi_to_asgi(wsgi_app))
    with pytest.raises(ConfigurationError, match="engine='OneWay' has no asgi_to_wsgi"):
        crossings.asgi_to_wsgi(crossings.wsgi_to_asgi(wsgi_app))


def test_an_engine_may_be_a_function_that_makes_one() -> None:
    def make() -> OneWay:
        return OneWay()

    assert isinstance(find(make).engine, OneWay)  # type: ignore[arg-type]  # a factory, as an import path may name it


@pytest.mark.parametrize("engine", [Empty(), Empty, object()], ids=["instance", "class", "object"])
def test_what_has_no_direction_is_no_engine(engine: Engine) -> None:
    with pytest.raises(
        ConfigurationError, match=r"an engine must have wsgi_to_asgi\(app\), asgi_to_wsgi\(app\) or both"
    ):
        find(engine)


def test_an_engine_that_gives_no_application_is_refused() -> None:
    class Nothing:
        def wsgi_to_asgi(self, app: object) -> None:
            return None

    with pytest.raises(ConfigurationError, match="must return an application, got None"):
        find(Nothing()).wsgi_to_asgi(wsgi_app)  # type: ignore[arg-type]  # wrong on purpose


def test_a_suggestion_is_made_only_where_a_name_is_near() -> None:
    assert did_you_mean("gunicron", ["gunicorn", "uvicorn"]) == " (did you mean 'gunicorn'?)"
    assert did_you_mean("zzz", ["gunicorn"]) == ""


def test_a_reason_is_one_line() -> None:
    assert reason(ValueError("bad")) == "ValueError: bad"
    assert reason(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_server_of_a_plug_in_can_be_named(distribution: Callable[[str, str], None]) -> None:
    distribution("swift", f"[gateway.servers]\nswift = {__name__}:SWIFT\nbroken = {__name__}:OneWay\n")
    sys.modules.setdefault(__name__, sys.modules[OneWay.__module__])
    assert "swift" not in names(), "it is never chosen unless named"
    assert get("swift") is SWIFT
    with pytest.raises(ConfigurationError, match=r"no server 'swfit' \(did you mean 'swift'\?\)"):
        get("swfit")
    with pytest.raises(ConfigurationError, match=r":OneWay must be a gateway\.servers\.Server"):
        get("broken")
