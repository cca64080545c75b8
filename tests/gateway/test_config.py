"""A gateway from a file: what it builds, and each thing that can be wrong, with file, key, found and possible."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.application import Gateway
from gateway.config import Config, MiddlewareConfig, ServerConfig, find, load, read
from gateway.contract import Middleware
from gateway.errors import ConfigurationError
from gateway.middleware.presets import behind_load_balancer, behind_nginx, edge
from gateway.testing.clients import Client

PARTS = "tests.gateway.chain_parts"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write a configuration file; what its ``app_dir`` puts on the import path is taken away again."""

    def write(text: str, name: str = "gateway.toml") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    before = list(sys.path)
    yield write
    sys.path[:] = before


# --- what is built


WHOLE = f"""
application = "{PARTS}:wsgi_app"
interface = "wsgi"
engine = "a2wsgi"
max_adapters = 3
server = {{ name = "gunicorn", bind = "127.0.0.1:9000", workers = 2, threads = 4, arguments = ["--timeout", "60"] }}

[[middleware]]
use = "{PARTS}:Mark"
options = {{ name = "first" }}

[[middleware]]
use = "{PARTS}:wsgi_mark"
interface = "wsgi"
safe_to_skip = true
options = {{ name = "second" }}
unless = ["/api", "/internal"]

[[middleware]]
use = "{PARTS}:Mark"
when = ["/api"]
"""


def test_every_key_is_read(write: Write) -> None:
    file = write(WHOLE)
    assert read(file) == Config(
        file=file,
        application=f"{PARTS}:wsgi_app",
        app_dir=file.parent.resolve(),
        interface="wsgi",
        engine="a2wsgi",
        max_adapters=3,
        server=ServerConfig(
            name="gunicorn", bind="127.0.0.1:9000", workers=2, threads=4, arguments=("--timeout", "60")
        ),
        middleware=(
            MiddlewareConfig(use=f"{PARTS}:Mark", options={"name": "first"}),
            MiddlewareConfig(
                use=f"{PARTS}:wsgi_mark",
                interface="wsgi",
                safe_to_skip=True,
                options={"name": "second"},
                unless=("/api", "/internal"),
            ),
            MiddlewareConfig(use=f"{PARTS}:Mark", when=("/api",)),
        ),
    )


def test_the_chain_of_a_file_runs(write: Write) -> None:
    gateway = load(write(WHOLE))
    assert gateway.engine == "a2wsgi"
    assert gateway.max_adapters == 3
    with Client(gateway, interface="wsgi") as client:
        assert client.get("/x").headers.get_list("x-mark") == ["second:wsgi", "first:wsgi"]
        assert client.get("/api/x").headers.get_list("x-mark") == ["mark:wsgi", "first:wsgi"]


def test_a_pyproject_has_the_same_keys_in_its_table(write: Write) -> None:
    text = (
        f'[project]\nname = "shop"\n[tool.gateway]\napplication = "{PARTS}:asgi_app"\nserver = "uvicorn"\n'
        f'[[tool.gateway.middleware]]\nuse = "{PARTS}:asgi_mark"\ninterface = "asgi"\n'
    )
    config = read(write(text, "pyproject.toml"))
    assert config.server == ServerConfig(name="uvicorn")
    with Client(config.build(), interface="asgi") as client:
        assert client.get("/").headers["x-mark"] == "a:asgi"


def test_the_least_file_has_one_key(write: Write) -> None:
    config = read(write(f'application = "{PARTS}:wsgi_app"'))
    assert (config.engine, config.max_adapters, config.server, config.middleware) == ("builtin", 2, ServerConfig(), ())


def test_a_module_without_a_name_gives_its_gateway(write: Write, tmp_path: Path) -> None:
    (tmp_path / "configured_guarded.py").write_text(
        f"from {PARTS} import Mark, wsgi_app as app\nfrom gateway.application import Gateway\n\n"
        "application = Gateway(app, middleware=[Mark(name='inner')])\n"
    )
    with Client(load(write('application = "configured_guarded"')), interface="wsgi") as client:
        assert client.get("/").headers["x-mark"] == "inner:wsgi"


def test_a_factory_takes_literal_arguments(write: Write, tmp_path: Path) -> None:
    (tmp_path / "configured_made.py").write_text(
        f"from {PARTS} import Mark, wsgi_app\nfrom gateway.application import Gateway\n\n"
        "def create(name, *, debug=False):\n    assert debug\n"
        "    return Gateway(wsgi_app, middleware=[Mark(name=name)])\n"
    )
    with Client(load(write("application = 'configured_made:create(\"x\", debug=True)'")), interface="wsgi") as client:
        assert client.get("/").headers["x-mark"] == "x:wsgi"


def test_an_application_is_imported_from_the_files_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "configured_shop.py").write_text(
        f"from {PARTS} import asgi_app\n\ndef create():\n    return asgi_app\n"
    )
    gateway = load(write('application = "configured_shop:create()"\napp_dir = "src"'))
    assert gateway.interface == "asgi"
    assert sys.path[0] == str((tmp_path / "src").resolve())
    load(tmp_path / "gateway.toml")
    assert sys.path.count(sys.path[0]) == 1


def test_a_middleware_may_be_made_by_a_function(write: Write, tmp_path: Path) -> None:
    (tmp_path / "configured_flow.py").write_text(
        "from gateway.contract import as_middleware\n\n"
        "@as_middleware\n"
        "def stamp(request, *, text='x'):\n"
        "    response = yield\n"
        "    response.headers.append('x-stamp', text)\n"
    )
    text = (
        f'application = "{PARTS}:wsgi_app"\n[[middleware]]\nuse = "configured_flow:stamp"\noptions = {{ text = "ok" }}'
    )
    with Client(load(write(text)), interface="wsgi") as client:
        assert client.get("/").headers["x-stamp"] == "ok"


# --- functions, classes and presets


FUNCTIONS = """
from gateway.contract import as_middleware
from gateway.exchange import Response
from gateway.middleware import AccessLog, RequestId

class Missing(Exception): ...

def app(environ, start_response):
    if environ["PATH_INFO"] == "/missing":
        raise Missing
    if environ["PATH_INFO"] == "/key":
        raise LookupError
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

def by_path(request): return request.path
def by(prefix): return lambda request: prefix + request.path
def database(): raise OSError
def line(entry): return f"{entry.method} {entry.path}"
def short(): return "short-id"
def answer(request, error): return Response(418, body=b"teapot")
def mine(*, name): return (RequestId(header=name), AccessLog())
own_log = AccessLog(format="combined")

@as_middleware
def stamp(request, *, make, text="plain:text"):
    response = yield
    response.headers.append("x-stamp", make())
    response.headers.append("x-text", text)
"""


@pytest.fixture
def functions(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "configured_functions.py").write_text(FUNCTIONS)
    yield
    sys.modules.pop("configured_functions", None)


def chain(write: Write, entries: str) -> Gateway[Any]:
    return load(write(f'application = "configured_functions:app"\n{entries}'))


def test_an_option_that_takes_a_function_takes_an_import_string(write: Write, functions: None) -> None:
    gateway = chain(
        write,
        """
        [[middleware]]
        use = "health"
        options = { checks = { db = "configured_functions:database" }, detail = true }
        [[middleware]]
        use = "request_id"
        options = { generate = "configured_functions:short" }
        [[middleware]]
        use = "access_log"
        options = { format = "configured_functions:line" }
        [[middleware]]
        use = "rate_limit"
        options = { limits = "1/minute", key = "configured_functions:by('x')" }
        [[middleware]]
        use = "errors"
        [middleware.options.answers]
        "configured_functions:Missing" = 404
        "builtins:LookupError" = "configured_functions:answer"
        """,
    )
    functions_ = sys.modules["configured_functions"]
    health, request_id, access_log, rate_limit, errors = gateway.middleware
    assert health.checks == {"db": functions_.database}
    assert request_id.generate is functions_.short
    assert access_log.format is functions_.line
    assert rate_limit.key(SimpleNamespace(path="/a")) == "x/a"
    assert errors.answers == {functions_.Missing: 404, LookupError: functions_.answer}
    with Client(gateway, interface="wsgi") as client:
        assert client.get("/missing").status_code == 404
        assert client.get("/key").status_code == 418
        assert client.get("/readyz").status_code == 503
        assert [client.get(path).status_code for path in ("/a", "/a", "/b")] == [200, 429, 200]
        assert client.get("/c").headers["x-request-id"] == "short-id"


def test_a_word_or_a_text_of_an_option_stays_one(write: Write, functions: None) -> None:
    gateway = chain(
        write,
        """
        [[middleware]]
        use = "access_log"
        options = { format = "combined", logger = "shop:access" }
        [[middleware]]
        use = "trusted_host"
        options = { allowed = ["example.org:8443"] }
        """,
    )
    access_log, trusted_host = gateway.middleware
    assert (access_log.format, access_log.logger) == ("combined", "shop:access")
    assert trusted_host.allowed == ["example.org:8443"]


def test_a_generator_without_annotations_gets_its_strings(write: Write, functions: None) -> None:
    entry = '[[middleware]]\nuse = "configured_functions:stamp"\noptions = { make = "x:y", text = "a:b" }'
    [stamp] = chain(write, entry).middleware
    assert dict(stamp.options) == {"make": "x:y", "text": "a:b"}


def names_of(gateway: Gateway[Any]) -> list[str]:
    return [type(each).__name__ for each in gateway.middleware]


@pytest.mark.parametrize(
    ("use", "options", "expected"),
    [
        ("behind_load_balancer", {"hosts": ("example.org",), "trust": ("10.0.0.0/8",)}, behind_load_balancer),
        ("behind_nginx", {"hosts": ("example.org",), "rate": "5/second"}, behind_nginx),
        ("edge", {"hosts": ("example.org",), "hsts_seconds": 60}, edge),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_preset_is_named(
    write: Write, functions: None, use: str, options: dict[str, Any], expected: Callable[..., tuple[Any, ...]]
) -> None:
    written = ", ".join(f"{name} = {list(v) if isinstance(v, tuple) else v!r}" for name, v in options.items())
    gateway = chain(write, f"[[middleware]]\nuse = '{use}'\noptions = {{ {written} }}")
    assert names_of(gateway) == [type(each).__name__ for each in expected(**options)]
    assert gateway.explain().warnings == ()


def test_the_parts_of_a_preset_are_left_out_set_and_replaced(write: Write, functions: None) -> None:
    gateway = chain(
        write,
        """
        [[middleware]]
        use = "behind_nginx"
        [middleware.options]
        hosts = ["example.org"]
        health = false
        request_id = { header = "x-trace" }
        rate_limit = { limits = "5/second", key = "configured_functions:by_path" }
        access_log = "configured_functions:own_log"
        errors = "default"
        """,
    )
    found = {type(each).__name__: each for each in gateway.middleware}
    assert "Health" not in found
    assert found["RequestId"].header == "x-trace"
    assert found["RateLimit"].key is sys.modules["configured_functions"].by_path
    assert found["AccessLog"] is sys.modules["configured_functions"].own_log
    assert "Errors" in found


def test_a_function_of_ones_own_may_make_a_chain(write: Write, functions: None) -> None:
    entry = '[[middleware]]\nuse = "configured_functions:mine"\noptions = { name = "x-id" }\nwhen = ["/api"]'
    gateway = chain(write, entry)
    with Client(gateway, interface="wsgi") as client:
        assert "x-id" in client.get("/api").headers
        assert "x-id" not in client.get("/").headers


# --- where it is found


def test_gateway_toml_is_found_before_pyproject(write: Write, tmp_path: Path) -> None:
    assert find(tmp_path) is None
    pyproject = write("[tool.other]\nx = 1\n", "pyproject.toml")
    assert find(tmp_path) is None
    pyproject.write_text('[tool.gateway]\napplication = "x:y"\n')
    assert find(tmp_path) == pyproject
    own = write('application = "x:y"')
    assert find(tmp_path) == own


def test_the_current_folder_is_searched_and_its_parents_are_not(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f'application = "{PARTS}:wsgi_app"')
    monkeypatch.chdir(tmp_path)
    assert load().interface == "wsgi"
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with pytest.raises(ConfigurationError, match=r"no configuration found: .*below has neither"):
        load()


# --- what is wrong


@dataclass(frozen=True)
class Wrong:
    id: str
    text: str
    message: str


APP = f'application = "{PARTS}:wsgi_app"\n'

WRONG = [
    Wrong("no-toml", "application = ", "is not valid TOML: "),
    Wrong("no-application", "engine = 'builtin'", "the key application is missing"),
    Wrong(
        "unknown-key",
        APP + "engin = 'x'",
        r"unknown key engin \(did you mean 'engine'\?\); possible keys: application, app_dir, interface",
    ),
    Wrong("wrong-type", APP + "max_adapters = 'two'", "max_adapters must be a whole number, found 'two'"),
    Wrong("a-bool-is-no-number", APP + "max_adapters = true", "max_adapters must be a whole number, found True"),
    Wrong("a-number-too-small", APP + "max_adapters = -1", "max_adapters must be 0 or more, found -1"),
    Wrong("a-flag", APP + "websockets = 'yes'", "websockets must be true or false, found 'yes'"),
    Wrong(
        "the-table-of-the-other-file",
        f"[tool.gateway]\n{APP}",
        r"unknown key tool \(only pyproject.toml .*\); possible keys: application",
    ),
    Wrong("no-folder", APP + "app_dir = 'srcc'", "app_dir must be a folder, relative to the file, found 'srcc'"),
    Wrong("unknown-interface", APP + "interface = 'wsig'", "interface must be 'wsgi', 'asgi' or 'asgi2', found 'wsig'"),
    Wrong("no-gateway-s-interface", APP + "interface = 'rsgi'", "interface must be 'wsgi', .* found 'rsgi'"),
    Wrong("server-type", APP + "server = 5", "server must be a string or a table, found 5"),
    Wrong("server-key", APP + "server = { nme = 'x' }", r"unknown key server.nme \(did you mean 'name'\?\)"),
    Wrong("server-value", APP + "server = { workers = '2' }", "server.workers must be a whole number, found '2'"),
    Wrong("no-workers", APP + "server = { workers = 0 }", "server.workers must be 1 or more, found 0"),
    Wrong("no-threads", APP + "server = { threads = -3 }", "server.threads must be 1 or more, found -3"),
    Wrong(
        "arguments", APP + "server = { arguments = [1] }", r"server.arguments must be a list of strings, found \[1\]"
    ),
    Wrong("middleware-type", APP + "middleware = ['x']", r"middleware must be a list of tables, found \['x'\]"),
    Wrong("no-use", APP + "[[middleware]]\ninterface = 'wsgi'", r"middleware\[0\].use is missing"),
    Wrong(
        "entry-key",
        APP + "[[middleware]]\nuse = 'x:y'\n[[middleware]]\nuse = 'x:y'\noption = {}",
        r"unknown key middleware\[1\].option \(did you mean 'options'\?\)",
    ),
    Wrong(
        "entry-interface",
        APP + "[[middleware]]\nuse = 'x:y'\ninterface = 'asgi2'",
        r"middleware\[0\].interface must be 'wsgi' or 'asgi', found 'asgi2'",
    ),
    Wrong(
        "both-conditions",
        APP + "[[middleware]]\nuse = 'x:y'\nwhen = ['/a']\nunless = ['/b']",
        r"middleware\[0\] has both when and unless",
    ),
    Wrong(
        "prefix",
        APP + "[[middleware]]\nuse = 'x:y'\nwhen = ['api']",
        r"middleware\[0\].when: path_in\(...\) takes prefixes that start with '/' .* got 'api'",
    ),
    Wrong(
        "prefix-with-a-slash-at-its-end",
        APP + "[[middleware]]\nuse = 'x:y'\nunless = ['/api/']",
        r"middleware\[0\].unless: .* got '/api/'",
    ),
    Wrong(
        "no-prefix",
        APP + "[[middleware]]\nuse = 'x:y'\nwhen = []",
        r"middleware\[0\].when: path_in\(...\) takes at least one prefix, got none",
    ),
    Wrong(
        "safe-to-skip-elsewhere",
        APP + "[[middleware]]\nuse = 'x:y'\nsafe_to_skip = true",
        r"middleware\[0\].safe_to_skip only applies to third-party middleware",
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_a_wrong_file_is_refused_before_anything_is_imported(wrong: Wrong, write: Write) -> None:
    file = write(wrong.text)
    with pytest.raises(ConfigurationError, match=wrong.message) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_pyproject_without_the_table_is_refused(write: Write) -> None:
    with pytest.raises(ConfigurationError, match=r"has no table \[tool.gateway\]"):
        read(write("[tool.other]\nx = 1", "pyproject.toml"))
    with pytest.raises(ConfigurationError, match=r"tool\.gateway must be a table, found 5"):
        read(write("[tool]\ngateway = 5", "pyproject.toml"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: FileNotFoundError"):
        read(tmp_path / "absent.toml")
    (tmp_path / "gateway.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read: UnicodeDecodeError"):
        read(tmp_path / "gateway.toml")


UNBUILDABLE = [
    Wrong(
        "absent-module",
        'application = "no_such_module:app"',
        "application: no module named 'no_such_module' in .*app_dir",
    ),
    Wrong(
        "absent-attribute",
        f'application = "{PARTS}:wsgi_ap"',
        r"application: .* has no attribute 'wsgi_ap'; did you mean 'wsgi_app'\?",
    ),
    Wrong("no-application", f'application = "{PARTS}:CROSSINGS"', "must be an application, found 'tests.crossings'"),
    Wrong(
        "no-dotted-name",
        'application = "shop/web:app"',
        r"application: an application must be named as MODULE:APP, got 'shop/web:app'",
    ),
    Wrong(
        "factory-with-arguments-of-code",
        f'application = "{PARTS}:create(name)"',
        r"application: 'create\(name\)' in .* a call with literal arguments",
    ),
    Wrong(
        "factory-not-called",
        'application = "os:getcwd"',
        r"application: os:getcwd is a function .*; write 'os:getcwd\(\)'",
    ),
    Wrong("makes-no-application", 'application = "os:getcwd()"', r"application: os:getcwd\(\) must be an application"),
    Wrong(
        "factory-raises",
        f'application = "{PARTS}:wsgi_app()"',
        "application: calling the factory .*:wsgi_app failed: .*environ",
    ),
    Wrong("unknown-engine", APP + "engine = 'a2wsgy'", r"engine must be one of .*did you mean 'a2wsgi'"),
    Wrong(
        "unknown-middleware",
        APP + "[[middleware]]\nuse = 'nonsense'",
        r"middleware\[0\]: middleware must be one of .* got 'nonsense'",
    ),
    Wrong(
        "unknown-option",
        APP + f"[[middleware]]\nuse = '{PARTS}:Mark'\noptions = {{ nam = 'x' }}",
        r"middleware\[0\]: options: '.*Mark' has no option 'nam' \(did you mean 'name'\?\); possible options: name",
    ),
    Wrong(
        "unknown-option-of-a-third-party",
        APP + f"[[middleware]]\nuse = '{PARTS}:wsgi_mark'\ninterface = 'wsgi'\noptions = {{ app = 1 }}",
        r"has no option 'app'.* possible options: name",
    ),
    Wrong(
        "third-party-without-interface",
        APP + f"[[middleware]]\nuse = '{PARTS}:wsgi_mark'",
        r"middleware\[0\]: .* write interface = 'wsgi' or 'asgi'",
    ),
    Wrong(
        "makes-something-else",
        APP + "[[middleware]]\nuse = 'builtins:dict'",
        r"middleware\[0\]: 'builtins:dict' must return a middleware, found \{\}; if it is third-party middleware",
    ),
    Wrong(
        "ours-with-an-interface",
        APP + "[[middleware]]\nuse = 'request_id'\ninterface = 'wsgi'",
        r"middleware\[0\]: remove interface = 'wsgi': .* 'request_id' runs under WSGI and ASGI",
    ),
    Wrong(
        "third-party-of-the-other-interface",
        APP + f"[[middleware]]\nuse = '{PARTS}:asgi_mark'\ninterface = 'wsgi'",
        r"middleware\[0\]: asgi_mark must return an application for WSGI, got one for ASGI; write interface = 'asgi'",
    ),
    Wrong(
        "third-party-that-cannot-be-made",
        APP + f"[[middleware]]\nuse = '{PARTS}:wsgi_mark'\ninterface = 'wsgi'\noptions = {{ name = 5 }}",
        r"middleware\[0\]: options.name must be a string, found 5",
    ),
    Wrong(
        "option-of-another-type",
        APP + "[[middleware]]\nuse = 'body_limit'\noptions = { max_bytes = '1M' }",
        r"middleware\[0\]: options.max_bytes must be a whole number, found '1M'",
    ),
    Wrong(
        "optional-option-of-another-type",
        APP + "[[middleware]]\nuse = 'health'\noptions = { drain_seconds = '5' }",
        r"middleware\[0\]: options.drain_seconds must be a number, found '5'",
    ),
    Wrong(
        "option-that-is-missing",
        APP + "[[middleware]]\nuse = 'body_limit'",
        r"middleware\[0\]: options: 'body_limit' needs the option .*; possible options: max_bytes, paths\Z",
    ),
    Wrong(
        "option-that-its-check-does-not-know",
        APP + "[[middleware]]\nuse = 'tests.gateway.test_config:Naming'\noptions = { names = 5 }",
        r"middleware\[0\]: 'tests.gateway.test_config:Naming' could not be created with options .*: .*iterable\Z",
    ),
    Wrong(
        "value-that-its-check-refuses",
        APP + "[[middleware]]\nuse = 'tests.gateway.test_config:Naming'\noptions = { names = [] }",
        r"middleware\[0\]: '.*:Naming' could not be created with options \{'names': \[\]\}: ValueError: no names\Z",
    ),
    Wrong(
        "engine-that-cannot-be-made",
        APP + "engine = 'tests.gateway.test_config:Naming'",
        r"engine='tests.gateway.test_config:Naming' could not be created: TypeError: .*'names'",
    ),
    Wrong(
        "option-of-another-type",
        APP + "[[middleware]]\nuse = 'trusted_host'\noptions = { allowed = 5 }",
        r"middleware\[0\]: TrustedHost\(allowed=...\) must be Sequence\[str\], got 5\Z",
    ),
    Wrong(
        "one-where-there-are-several",
        APP + "[[middleware]]\nuse = 'trusted_host'\noptions = { allowed = ['example.org'], exempt = '/livez' }",
        r"middleware\[0\]: .*exempt.*'/livez'",
    ),
    Wrong(
        "function-that-is-no-import-string",
        APP + "[[middleware]]\nuse = 'rate_limit'\noptions = { limits = '1/minute', key = 'by_client' }",
        r"middleware\[0\]: options.key: must be an import string, 'module:name', found 'by_client'",
    ),
    Wrong(
        "function-that-is-not-there",
        APP + "[[middleware]]\nuse = 'rate_limit'\noptions = { limits = '1/minute', key = 'os:gitcwd' }",
        r"middleware\[0\]: options.key: os has no attribute 'gitcwd'; did you mean 'getcwd'",
    ),
    Wrong(
        "word-that-an-option-does-not-have",
        APP + "[[middleware]]\nuse = 'access_log'\noptions = { format = 'jsn' }",
        r"middleware\[0\]: .*jsn",
    ),
    Wrong(
        "option-that-a-preset-does-not-have",
        APP + "[[middleware]]\nuse = 'edge'\noptions = { host = ['example.org'] }",
        r"middleware\[0\]: options: 'edge' has no option 'host' \(did you mean 'hosts'\?\)",
    ),
    Wrong(
        "preset-without-hosts",
        APP + "[[middleware]]\nuse = 'edge'",
        r"'edge' needs the option 'hosts', which is missing",
    ),
    Wrong(
        "part-of-a-preset",
        APP + "[[middleware]]\nuse = 'edge'\noptions = { hosts = ['example.org'], health = { detial = true } }",
        r"middleware\[0\]: options.health: options: 'health' has no option 'detial' \(did you mean 'detail'\?\)",
    ),
    Wrong(
        "preset-with-an-interface",
        APP + "[[middleware]]\nuse = 'edge'\ninterface = 'wsgi'",
        r"the key only applies to third-party middleware, and 'edge' runs under WSGI and ASGI",
    ),
    Wrong("no-callable", APP + f"[[middleware]]\nuse = '{PARTS}:CROSSINGS'", "use must name a middleware"),
    Wrong(
        "chain-refused",
        APP.replace("wsgi_app", "asgi_app") + f"[[middleware]]\nuse = '{PARTS}:wsgi_mark'\ninterface = 'wsgi'",
        r"WebSockets would bypass .* write safe_to_skip = true",
    ),
    Wrong(
        "option-refused",
        APP + "[[middleware]]\nuse = 'tests.gateway.test_config:Refusing'",
        r"middleware\[0\]: Refusing takes nothing",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Naming(Middleware):
    """Checks its option by using it."""

    names: Any

    def __post_init__(self) -> None:
        if not list(self.names):
            raise ValueError("no names")


def Refusing() -> None:  # stands for a class
    raise ConfigurationError("Refusing takes nothing")


@pytest.mark.parametrize("wrong", UNBUILDABLE, ids=lambda wrong: wrong.id)
def test_what_cannot_be_built_is_refused_with_file_and_key(wrong: Wrong, write: Write) -> None:
    file = write(wrong.text)
    config = read(file)
    with pytest.raises(ConfigurationError, match=wrong.message) as caught:
        config.build()
    assert str(caught.value).startswith(f"{file}: ")


def test_a_number_may_be_given_where_a_fraction_can_be(write: Write) -> None:
    for seconds in ("5", "0.5"):
        text = f"[[middleware]]\nuse = 'health'\noptions = {{ drain_file = '/x', drain_seconds = {seconds} }}"
        load(write(APP + text))
