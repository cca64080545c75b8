"""Import strings: one grammar, and one line for each thing that can be wrong with one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.servers._load import Target, load, parse


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
    with pytest.raises(ConfigurationError, match=r"a factory needs its name.*shop:create_app"):
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


def test_a_default_name_is_found_app_before_application(project: Path) -> None:
    (project / "sv_one.py").write_text("application = 1")
    (project / "sv_two.py").write_text("application = 1\napp = 2")
    assert load("sv_one") == (Target("sv_one", ("application",), text="application"), 1)
    assert load("sv_two")[1] == 2


def test_dotted_attributes_and_factories_are_followed(project: Path) -> None:
    (project / "sv_site.py").write_text(
        "class Site:\n    @staticmethod\n    def make(n, *, k=0): return (n, k)\n    app = 7\n"
    )
    assert load("sv_site:Site.app")[1] == 7
    assert load("sv_site:Site.make(1, k=2)")[1] == (1, 2)


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
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
    assert "no module 'sv_absent'" in refused("sv_absent:app")
    assert "--app-dir" in refused("sv_absent:app")
    assert "no module 'sv_absent'" in refused("sv_absent.sub:app")
    assert "no module 'sv_shop.sub'" in refused("sv_shop.sub:app")
    assert f"ZeroDivisionError: division by zero ({project}/sv_raises.py, line 3)" in refused("sv_raises:app")
    assert "needs the module 'no_such_library', which is not installed" in refused("sv_needs:app")
    assert f"SyntaxError: invalid syntax ({project}/sv_syntax.py, line 1)" in refused("sv_syntax:app")
    assert "raised SystemExit: bye" in refused("sv_exits:app")
    assert "sv_shop:create_app()?" in refused("sv_shop")
    assert "did you mean 'applicatoin'?" in refused("sv_shop:application")
    assert "has no attribute 'zzz'; check the name" in refused("sv_shop:zzz")
    assert "sv_shop:nothing has no attribute 'x'" in refused("sv_shop:nothing.x")
    assert "is to be called as a factory, but is None" in refused("sv_shop:nothing()")
    assert "calling the factory sv_shop:create_app() raised KeyError: 'secret\\nkey'" in refused("sv_shop:create_app()")


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
    assert refused(f"gateway.config:load({str(file)!r})").startswith(f"{file}: there is no key engin")


def test_a_django_package_is_answered_with_its_module(project: Path) -> None:
    (project / "sv_mysite").mkdir()
    for name in ("__init__", "wsgi", "asgi"):
        (project / "sv_mysite" / f"{name}.py").write_text("")
    assert refused("sv_mysite").endswith("did you mean sv_mysite.asgi?")
    assert refused("sv_mysite.asgi").endswith("name the application: sv_mysite.asgi:attribute")
