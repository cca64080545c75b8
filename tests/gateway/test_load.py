"""Import strings: one grammar, and one line for each thing that can be wrong with one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import wrapt  # noqa: F401  # the modules of a project may import these; they are kept after each test

import gateway.middleware.cors
import gateway.middleware.request_id
import gateway.mount  # noqa: F401
from gateway._load import Target, load, parse, told
from gateway.errors import ConfigurationError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "names", "call"),
    [
        ("shop", (), False),
        ("shop.web:app", ("app",), False),
        ("shop:web.app", ("web", "app"), False),
        ("shop:create_app()", ("create_app",), True),
        ("shop:Site.create()", ("Site", "create"), True),
    ],
)
def test_an_import_string_is_read(text: str, names: tuple[str, ...], call: bool) -> None:
    target = parse(text)
    assert (target.names, target.call, str(target)) == (names, call, text)
    assert target.plain is (text == "shop.web:app")


def test_a_factory_takes_literal_arguments() -> None:
    target = parse('shop:create("staging", debug=True, tries=[1, 2])')
    assert (target.arguments, target.options) == (("staging",), (("debug", True), ("tries", [1, 2])))


def test_the_factory_flag_calls_what_is_named() -> None:
    assert str(parse("shop:create", factory=True)) == "shop:create()"
    assert parse("shop:create()", factory=True) == parse("shop:create()")
    with pytest.raises(ConfigurationError, match=r"a factory must be named.*shop:create_app"):
        parse("shop", factory=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":app",
        "shop:",
        "shop:app app",
        "shop:1",
        "shop:make(name)",
        "shop:make(*x)",
        "shop:a[0]",
        "my-shop:app",
        "shop:f(**x)",
    ],
)
def test_what_is_no_import_string_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"for example|is named"):
        parse(text)


@pytest.mark.parametrize("text", ["shop.py", "src/shop.py", "shop.py:app"])
def test_a_file_name_is_answered_with_the_import_string(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"for the file .* that is shop:app"):
        parse(text)


WSGI = """
def one(environ, start_response): ...
def two(environ, start_response): ...
"""
GATEWAY = (
    WSGI
    + """
from gateway import Gateway, Mount
from gateway.middleware import RequestId
"""
)


@dataclass(frozen=True)
class Default:
    id: str
    source: str
    expected: str


DEFAULTS = [
    Default("app", f"{WSGI}app = one", "app"),
    Default("application", f"{WSGI}application = one", "application"),
    Default("one-object-under-both-names", f"{WSGI}app = application = one", "app"),
    Default("a-name-that-is-no-application", f"{WSGI}app = None\napplication = one", "application"),
    Default("a-factory-beside-an-application", f"{WSGI}def app(): return one\napplication = app()", "application"),
    Default("a-module-of-that-name", f"{WSGI}import json as app\napplication = one", "application"),
    Default("a-module-of-that-name-and-a-gateway", f"{GATEWAY}import json as app\nsite = Gateway(one)", "site"),
    Default("a-value-that-detect-judges-later", "application = 1", "application"),
    Default(
        "gateway-before-app", f"{GATEWAY}app = one\napplication = Gateway(app, middleware=[RequestId()])", "application"
    ),
    Default("gateway-of-another-name", f"{GATEWAY}app = one\nsite = Gateway(app)", "site"),
    Default("gateway-alone-under-another-name", f"{GATEWAY}site = Gateway(one)", "site"),
    Default("mount-before-app", f"{GATEWAY}app = one\nsite = Mount({{'/': app}})", "site"),
    Default(
        "a-gateway-of-a-default-name-goes-before-others", f"{GATEWAY}probe = Gateway(two)\napp = Gateway(one)", "app"
    ),
    Default("a-gateway-in-a-gateway", f"{GATEWAY}inner = Gateway(one)\nsite = Gateway(inner)", "site"),
    Default("app-in-a-mount", f"{GATEWAY}app = Gateway(one)\nsite = Mount({{'/api': app}})", "site"),
    Default(
        "gateways-in-a-mount", f"{GATEWAY}a = Gateway(one)\nb = Gateway(two)\napp = Mount({{'/a': a, '/b': b}})", "app"
    ),
    Default(
        "a-proxy-of-a-gateway",
        f"{GATEWAY}import wrapt\nsite = Gateway(one)\nseen = wrapt.CallableObjectProxy(site)",
        "seen",
    ),
    Default("private-names-do-not-count", f"{GATEWAY}_inner = Gateway(two)\napp = one", "app"),
]


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_a_module_without_a_name_gives_its_outermost_application(project: Path, case: Default) -> None:
    (project / "sv_default.py").write_text(case.source)
    target, found = load("sv_default")
    assert target == Target("sv_default", (case.expected,), text=case.expected)
    assert found is getattr(sys.modules["sv_default"], case.expected)


SEVERAL = [
    Default("two-plain", f"{WSGI}app = one\napplication = two", "sv_default:app, sv_default:application"),
    Default(
        "two-gateways",
        f"{GATEWAY}app = Gateway(one)\napplication = Gateway(two)",
        "sv_default:app, sv_default:application",
    ),
    Default(
        "gateways-of-other-names",
        f"{GATEWAY}app = one\na = Gateway(one)\nb = Gateway(two)",
        "sv_default:a, sv_default:b",
    ),
]


@pytest.mark.parametrize("case", SEVERAL, ids=lambda case: case.id)
def test_two_applications_are_an_error_that_names_both(project: Path, case: Default) -> None:
    (project / "sv_default.py").write_text(case.source)
    message = refused("sv_default")
    assert message.startswith(f"sv_default has 2 applications: {case.expected}; name the one to serve")


def test_dotted_attributes_and_factories_are_followed(project: Path) -> None:
    (project / "sv_site.py").write_text(
        "class Site:\n    @staticmethod\n    def make(n, *, k=0): return (n, k)\n    app = 7\n"
    )
    assert load("sv_site:Site.app")[1] == 7
    assert load("sv_site:Site.make(1, k=2)")[1] == (1, 2)


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        told(f"loading {text}", partial(load, text))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_each_fault_has_one_line_that_says_what_to_do(project: Path) -> None:
    (project / "sv_raises.py").write_text("x = 1\n\n1 / 0\n")
    (project / "sv_needs.py").write_text("import no_such_library\n")
    (project / "sv_syntax.py").write_text("def (\n")
    (project / "sv_exits.py").write_text("import sys; sys.exit('bye')\n")
    (project / "sv_shop.py").write_text(
        "applicatoin = 1\nnothing = None\ndef create_app(): raise KeyError('secret\\nkey')\n"
    )
    assert "no module named 'sv_absent'" in refused("sv_absent:app")
    assert "--app-dir" in refused("sv_absent:app")
    assert "no module named 'sv_absent'" in refused("sv_absent.sub:app")
    assert "no module named 'sv_shop.sub'" in refused("sv_shop.sub:app")
    assert f"ZeroDivisionError: division by zero ({project}/sv_raises.py, line 3)" in refused("sv_raises:app")
    assert "needs the module 'no_such_library', which is not installed" in refused("sv_needs:app")
    assert f"SyntaxError: invalid syntax ({project}/sv_syntax.py, line 1)" in refused("sv_syntax:app")
    assert "loading sv_exits:app raised SystemExit: bye" in refused("sv_exits:app")
    assert "sv_shop:create_app()?" in refused("sv_shop")
    assert "did you mean 'applicatoin'?" in refused("sv_shop:application")
    assert "has no attribute 'zzz'; check the name" in refused("sv_shop:zzz")
    assert "sv_shop:nothing has no attribute 'x'" in refused("sv_shop:nothing.x")
    assert "sv_shop:nothing is None, not a factory; remove the ()" in refused("sv_shop:nothing()")
    assert "loading sv_shop:create_app() raised KeyError: 'secret\\nkey'" in refused("sv_shop:create_app()")
    assert "correct its arguments, for example sv_shop:create_app(...)" in refused("sv_shop:create_app(1)")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def (\n", SyntaxError),
        ("import no_such_library\n", ModuleNotFoundError),
        ("1 / 0\n", ZeroDivisionError),
        ("raise SystemExit('bye')\n", SystemExit),
        ("def app(): return open('/no/such/file')\n", FileNotFoundError),
        ("def app(): return None + 1\n", TypeError),
    ],
    ids=lambda value: getattr(value, "__name__", "source"),
)
def test_an_exception_of_the_applications_code_reaches_the_server(
    project: Path, source: str, expected: type[BaseException]
) -> None:
    (project / "sv_broken.py").write_text(source)
    with pytest.raises(expected) as caught:
        load("sv_broken:app()")
    assert caught.type is expected
    (project / "gateway.toml").write_text('application = "sv_broken:app()"\n')
    with pytest.raises(expected) as caught:
        load(f"gateway.config:load({str(project / 'gateway.toml')!r})")
    assert caught.value.__notes__ == [f"{project / 'gateway.toml'}: application"]


def test_a_server_gets_the_syntax_error_of_a_middlewares_module(project: Path) -> None:
    (project / "sv_broken.py").write_text("def (\n")
    file = project / "gateway.toml"
    app = 'application = "wsgiref.simple_server:demo_app"\n'
    for entry in ('use = "sv_broken:x"', 'use = "rate_limit"\noptions = {limits = "1/minute", key = "sv_broken:x"}'):
        file.write_text(f"{app}[[middleware]]\n{entry}\n")
        with pytest.raises(SyntaxError) as caught:
            load(f"gateway.config:load({str(file)!r})")
        assert caught.value.__notes__[-1] == f"{file}: middleware[0]"


def test_a_composition_that_is_wrong_is_shown_where_it_was_written(project: Path) -> None:
    (project / "sv_chain.py").write_text(
        "from gateway.application import Gateway\nfrom gateway.middleware.cors import Cors\n\n"
        "def app(environ, start_response): ...\ndef create():\n    return Gateway(app, middleware=[Cors])\n"
    )
    (project / "sv_built.py").write_text("from sv_chain import create\napp = create()\n")
    assert f"call it: middleware=[Cors(...)] ({project}/sv_chain.py, line 6)" in refused("sv_built:app")
    assert f"call it: middleware=[Cors(...)] ({project}/sv_chain.py, line 6)" in refused("sv_chain:create()")


def test_a_configuration_that_is_wrong_says_so_by_itself(project: Path) -> None:
    file = project / "gateway.toml"
    file.write_text("engin = 'x'\n")
    assert refused(f"gateway.config:load({str(file)!r})").startswith(f"{file}: unknown key engin")


def test_a_django_package_is_answered_with_its_module(project: Path) -> None:
    (project / "sv_mysite").mkdir()
    for name in ("__init__", "wsgi", "asgi"):
        (project / "sv_mysite" / f"{name}.py").write_text("")
    assert refused("sv_mysite").endswith("did you mean sv_mysite.asgi?")
    assert refused("sv_mysite.asgi").endswith("name the application: sv_mysite.asgi:attribute")
