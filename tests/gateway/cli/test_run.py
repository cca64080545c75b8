"""``gateway run``: the command it becomes, the applications it serves, and one line for each thing that is wrong."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.servers import Bind, get

PYTHON = sys.executable
PLAIN = """
from flask import Flask

app = Flask(__name__)

@app.get("/")
def hello():
    return "flask one"

def create_app(name="made"):
    return app
"""
FAST = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
def hello():
    return "fastapi one"
"""
OTHERS = """
from flask import Flask
from gateway import Gateway, Mount, asgi_only, path_in, when
from gateway.adapters import AsgiToWsgi
from gateway.middleware import ProxyHeaders
import sv_flask

both = Gateway(sv_flask.app)
sockets = Gateway(sv_flask.app, websockets=True)
proxied = Gateway(sv_flask.app, middleware=[ProxyHeaders(trust=("127.0.0.1",))])
sometimes = Gateway(sv_flask.app, middleware=[when(path_in("/a"), ProxyHeaders(trust=("127.0.0.1",)))])
several = Mount({"/a": sv_flask.app, "/b": proxied})
nested = Gateway(several)
inner = Flask("inner")
inner.wsgi_app = Gateway(inner.wsgi_app, middleware=[ProxyHeaders(trust=("127.0.0.1",))])
nothing = None

async def asgi(scope, receive, send):
    pass

def guard(app):
    return asgi

adapted = AsgiToWsgi(asgi)
mounted = Mount({"/api": Gateway(asgi), "/": sv_flask.app})
guarded = Gateway(Mount({"/": Gateway(sv_flask.app, middleware=[asgi_only(guard)])}))

class site:
    inner = sv_flask.app

def plain(scope, receive, send):
    return sv_fast_app(scope, receive, send)

plain.__gateway_interface__ = "asgi"

class Old:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        pass

class Rust:
    async def __rsgi__(self, scope, protocol):
        protocol.response_str(200, [], "rsgi one")

rust = Rust()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    (made / "sv_flask.py").write_text(PLAIN)
    (made / "sv_fast.py").write_text(FAST)
    (made / "sv_others.py").write_text(OTHERS)
    (made / "sv_guarded.py").write_text(
        "from sv_flask import app\nfrom gateway import Gateway\nfrom gateway.middleware import TrustedHost\n"
        "application = Gateway(app, middleware=[TrustedHost(allowed=['example.org'])])\n"
    )
    (made / "sv_raises_not.py").write_text("")
    (made / "sv_wrong.env").write_text("NAME\n")
    (made / "sv_raises.py").write_text("raise LookupError('no\\ndatabase')")
    (made / "sv_chain.py").write_text(
        "from gateway import Gateway\nfrom gateway.middleware import Cors\n"
        "def made():\n    import sv_flask\n    return Gateway(sv_flask.app, middleware=[Cors(origins='https://x')])\n"
        "app = made()\n"
    )
    (made / "sv_library.py").write_text("import json\napp = json.loads('')\n")
    (made / "sv_exits.py").write_text(
        "def create_app():\n    raise SystemExit('no database')\n"
        "def create_for(name):\n    pass\n"
        "async def create_later():\n    pass\n"
    )
    project = made / "mysite"
    project.mkdir()
    (project / "__init__.py").write_text("")
    (project / "settings.py").write_text("SECRET_KEY = 'x'\nROOT_URLCONF = 'mysite.urls'\nALLOWED_HOSTS = ['*']\n")
    (project / "urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        "urlpatterns = [path('', lambda request: HttpResponse('django one'))]\n"
    )
    for kind in ("wsgi", "asgi"):
        (project / f"{kind}.py").write_text(
            "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"
            f"from django.core.{kind} import get_{kind}_application\napplication = get_{kind}_application()\n"
        )
    return made


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "gateway", "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass(frozen=True)
class Case:
    id: str
    arguments: str
    expected: str


DRAIN = "-m gateway.servers._drain_on_sigterm"
INDIRECT = "gateway.servers._target:application"
PLANNED = [
    Case(
        "wsgi-under-its-own-kind",
        "sv_flask:app --server waitress",
        "DRAIN waitress --listen=127.0.0.1:8000 --channel-timeout 75 sv_flask:app",
    ),
    Case(
        "asgi-under-its-own-kind",
        "sv_fast --server uvicorn --workers 2 --bind :80",
        "-m uvicorn --host 0.0.0.0 --port 80 --workers 2 --timeout-keep-alive 75 sv_fast:app",
    ),
    Case(
        "wsgi-under-an-asgi-server",
        "sv_flask --server uvicorn --reload",
        "GATEWAY_APP=sv_flask:app PYTHON -m uvicorn --host 127.0.0.1 --port 8000 --reload "
        "--timeout-keep-alive 75 gateway.servers._target:application",
    ),
    Case(
        "asgi-under-a-wsgi-server",
        "sv_fast --server waitress --threads 2",
        "GATEWAY_APP=sv_fast:app PYTHON DRAIN waitress --listen=127.0.0.1:8000 --threads=2 "
        "--channel-timeout 75 gateway.servers._target:application",
    ),
    Case(
        "asgi-under-gunicorns-wsgi-workers-with-hooks",
        "sv_fast --server gunicorn-sync",
        "GATEWAY_APP=sv_fast:app PYTHON -m gunicorn --bind 127.0.0.1:8000 --worker-class sync "
        f"--config python:gateway.servers.gunicorn_hooks {INDIRECT}",
    ),
    Case(
        "a-configuration-of-ones-own-is-kept",
        "sv_fast --server gunicorn-sync -- --config mine.py",
        "GATEWAY_APP=sv_fast:app PYTHON -m gunicorn --bind 127.0.0.1:8000 --worker-class sync "
        f"--config mine.py {INDIRECT}",
    ),
    Case(
        "family",
        "sv_fast --server gunicorn",
        "-m gunicorn --bind 127.0.0.1:8000 --worker-class asgi --config "
        "python:gateway.servers.gunicorn_hooks --keep-alive 75 sv_fast:app",
    ),
    Case(
        "wsgi-under-gevent",
        "sv_others:proxied --server gunicorn-gevent",
        "-m gunicorn --bind 127.0.0.1:8000 --worker-class gevent --config "
        "python:gateway.servers.gunicorn_proxied --keep-alive 75 sv_others:proxied",
    ),
    Case(
        "default-for-wsgi",
        "sv_flask",
        "-m gunicorn --bind 127.0.0.1:8000 --worker-class gthread --threads 4 --keep-alive 75 sv_flask:app",
    ),
    Case("default-for-asgi", "sv_fast", "-m uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 75 sv_fast:app"),
    Case(
        "default-for-rsgi",
        "sv_others:rust",
        "-m granian --interface rsgi --host 127.0.0.1 --port 8000 sv_others:rust",
    ),
    Case(
        "wsgi-with-websockets",
        "sv_others:sockets",
        "-m uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 75 sv_others:sockets",
    ),
    Case(
        "wsgi-with-websockets-in-a-family",
        "sv_others:sockets --server gunicorn",
        "-m gunicorn --bind 127.0.0.1:8000 --worker-class asgi --config python:gateway.servers.gunicorn_hooks "
        "--keep-alive 75 sv_others:sockets",
    ),
    Case(
        "gateway-object",
        "sv_others:both --server waitress",
        "DRAIN waitress --listen=127.0.0.1:8000 --channel-timeout 75 sv_others:both",
    ),
    Case(
        "gateway-object-under-the-other-kind",
        "sv_others:both --server uvicorn",
        "-m uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 75 sv_others:both",
    ),
    Case(
        "chain-that-reads-forwarded-headers",
        "sv_others:proxied --server uvicorn",
        "-m uvicorn --host 127.0.0.1 --port 8000 --no-proxy-headers --timeout-keep-alive 75 sv_others:proxied",
    ),
    Case(
        "forwarded-headers-are-not-removed-by-waitress",
        "sv_others:proxied --server waitress",
        "DRAIN waitress --listen=127.0.0.1:8000 --no-clear-untrusted-proxy-headers --channel-timeout 75 "
        "sv_others:proxied",
    ),
    Case(
        "forwarded-headers-are-not-read-by-gunicorn",
        "sv_others:proxied --server gunicorn-sync",
        "-m gunicorn --bind 127.0.0.1:8000 --worker-class sync --config python:gateway.servers.gunicorn_proxied "
        "sv_others:proxied",
    ),
    *(
        Case(
            f"forwarded-headers-are-left-alone-for-a-chain-in-{name}",
            f"sv_others:{name} --server waitress",
            "DRAIN waitress --listen=127.0.0.1:8000 --no-clear-untrusted-proxy-headers --channel-timeout 75 "
            f"sv_others:{name}",
        )
        for name in ("sometimes", "several", "nested", "inner")
    ),
    Case(
        "chain-with-hooks-under-its-own-kind",
        "sv_others:both --server gunicorn",
        "-m gunicorn --bind 127.0.0.1:8000 --worker-class gthread --threads 4 --config "
        "python:gateway.servers.gunicorn_hooks --keep-alive 75 sv_others:both",
    ),
    Case(
        "dotted",
        "sv_others:site.inner --server waitress",
        "DRAIN waitress --listen=127.0.0.1:8000 --channel-timeout 75 sv_others:site.inner",
    ),
    Case(
        "dotted-where-the-server-cannot",
        "sv_others:site.inner --server gunicorn-sync",
        f"GATEWAY_APP=sv_others:site.inner PYTHON -m gunicorn --bind 127.0.0.1:8000 --worker-class sync {INDIRECT}",
    ),
    Case(
        "factory",
        "sv_flask:create_app --factory --server waitress",
        "GATEWAY_APP='sv_flask:create_app()' PYTHON DRAIN waitress --listen=127.0.0.1:8000 "
        "--channel-timeout 75 gateway.servers._target:application",
    ),
    Case(
        "factory-with-arguments",
        "'sv_flask:create_app(name=\"x\")' --server waitress",
        "GATEWAY_APP='sv_flask:create_app(name=\"x\")' PYTHON DRAIN waitress --listen=127.0.0.1:8000 "
        "--channel-timeout 75 gateway.servers._target:application",
    ),
    Case(
        "asgi-that-does-not-look-it",
        "sv_others:plain --server hypercorn",
        "GATEWAY_APP=sv_others:plain PYTHON -m hypercorn --bind 127.0.0.1:8000 --worker-class asyncio "
        "--keep-alive 75 asgi:gateway.servers._target:application",
    ),
    Case(
        "asgi2",
        "sv_others:Old",
        "GATEWAY_APP=sv_others:Old PYTHON -m uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive "
        "75 gateway.servers._target:application",
    ),
    Case(
        "gateway-beside-app",
        "sv_guarded --server waitress",
        "DRAIN waitress --listen=127.0.0.1:8000 --channel-timeout 75 sv_guarded:application",
    ),
    Case(
        "django-wsgi",
        "mysite.wsgi --server waitress",
        "DRAIN waitress --listen=127.0.0.1:8000 --channel-timeout 75 mysite.wsgi:application",
    ),
    Case(
        "django-asgi",
        "mysite.asgi",
        "-m uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 75 mysite.asgi:application",
    ),
    Case(
        "unix-socket-and-own-arguments",
        "sv_flask --server waitress --bind unix:/run/a.sock -- --backlog=9 --ident=me",
        "DRAIN waitress --unix-socket=/run/a.sock --channel-timeout 75 --backlog=9 --ident=me sv_flask:app",
    ),
]


#: Runs the command once for each line of its input: the frameworks are imported once instead of for every case.
DRY_RUNS = """
import json, sys
from gateway.cli import main
for line in sys.stdin:
    try:
        main(["run", "--dry-run", *json.loads(line)])
    except SystemExit as ended:
        print("status", ended.code, flush=True)
"""


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, tuple[str, str]]:
    """What a dry run of each case prints, and its status."""
    lines = "".join(json.dumps(shlex.split(case.arguments)) + "\n" for case in PLANNED)
    done = subprocess.run(
        [PYTHON, "-c", DRY_RUNS], cwd=folder, input=lines, capture_output=True, text=True, timeout=120, check=True
    )
    output = done.stdout.splitlines()
    assert len(output) == 2 * len(PLANNED), done.stderr
    return {case.id: (output[2 * at], output[2 * at + 1]) for at, case in enumerate(PLANNED)}


@pytest.mark.parametrize("case", PLANNED, ids=lambda case: case.id)
def test_a_dry_run_prints_the_exact_command(printed: dict[str, tuple[str, str]], case: Case) -> None:
    expected = case.expected if "PYTHON" in case.expected else f"PYTHON {case.expected}"
    assert printed[case.id] == (expected.replace("PYTHON", PYTHON).replace("DRAIN", DRAIN), "status 0")


WRONG = [
    Case("unknown-server", "sv_flask --server unicorn", "there is no server 'unicorn' (did you mean 'gunicorn'?)"),
    Case(
        "no-module",
        "sv_absent:app",
        "no module named 'sv_absent' in FOLDER; check the name, or the folder to import from",
    ),
    Case("no-attribute", "sv_flask:ap", "sv_flask has no attribute 'ap'; did you mean 'app'?"),
    Case(
        "several-applications",
        "sv_others",
        "sv_others has 6 applications: sv_others:both, sv_others:sockets, sv_others:sometimes, sv_others:nested, "
        "sv_others:mounted, sv_others:guarded; name the one to serve, for example sv_",
    ),
    Case(
        "no-default-name",
        "sv_raises_not",
        "sv_raises_not has neither 'app' nor 'application'; name the application: sv_raises_not:attribute",
    ),
    Case("no-application", "sv_others:nothing", "NoneType"),
    Case(
        "raises",
        "sv_raises",
        "loading sv_raises raised LookupError: no database (FOLDER/sv_raises.py, line 1); fix the error there",
    ),
    Case(
        "chain",
        "sv_chain",
        "takes a tuple of strings, even for one, got 'https://x'; write origins=(\"https://x\",) (FOLDER/sv_chain.py, "
        "line 5)",
    ),
    Case(
        "library", "sv_library", "raised JSONDecodeError: Expecting value: line 1 column 1 (char 0) (FOLDER/sv_library"
    ),
    Case(
        "argument",
        "sv_exits:create_for()",
        "argument: 'name'; correct its arguments, for example sv_exits:create_for(...)",
    ),
    Case(
        "async-factory",
        "sv_exits:create_later()",
        "sv_exits:create_later must be a plain `def`: it is an `async def`, which is never awaited here",
    ),
    Case("exits", "sv_exits:create_app()", "raised SystemExit: no database (FOLDER/sv_exits.py, line 2)"),
    Case("file-name", "sv_flask.py", "for the file sv_flask.py that is sv_flask:app"),
    Case("address", "sv_flask --bind nowhere:http", "an address must be host:port"),
    Case(
        "cannot",
        "sv_flask --server waitress --workers 2",
        "waitress cannot start several workers; choose another with --server: ",
    ),
    Case(
        "asgi-under-gevent",
        "sv_fast --server gunicorn-gevent",
        "gunicorn-gevent cannot serve ASGI applications or ASGI middleware, and sv_fast:app contains one: gevent "
        "replaces the threads that ASGI needs. Choose --server gunicorn-gthread or --server gunicorn-asgi",
    ),
    Case("mounted-asgi-under-gevent", "sv_others:mounted --server gevent", "gevent cannot serve ASGI applications"),
    Case("asgi-middleware-under-gevent", "sv_others:guarded --server gevent", "gevent cannot serve ASGI applications"),
    Case("adapter-under-gevent", "sv_others:adapted --server gevent", "gevent cannot serve ASGI applications"),
    Case(
        "rsgi-elsewhere",
        "sv_others:rust --server uvicorn",
        "is an RSGI application, and only granian serves RSGI, not uvicorn",
    ),
    Case(
        "no-folder",
        "sv_flask --bind unix:/no/such/folder/sock",
        "the folder /no/such/folder does not exist; create it, or choose another address with --bind",
    ),
    Case("word-too-many", "sv_flask:app 8080", "(8080); write arguments for the server itself after --"),
    Case("option-of-a-server", "sv_flask:app --timeout 60", "; write arguments for the server itself after --"),
    Case("listen", "sv_flask:app --listen 127.0.0.1:8080", "; write --bind HOST:PORT"),
    Case("two-addresses", "sv_flask:app --bind :80 --port 8080", "--bind already names the address; remove --host and"),
    Case("keep-alive", "sv_flask:app --timeout-keep-alive 9", "; write --keep-alive"),
    Case("certificate", "sv_flask:app --ssl-certfile a.pem", "; write --certfile"),
    Case("key-alone", "sv_flask:app --keyfile sv_flask.py", "--keyfile needs --certfile"),
    Case(
        "option-that-a-server-lacks",
        "sv_flask:app --server waitress --graceful-timeout 9",
        "waitress cannot set how long requests may take after the stop signal; choose another with --server",
    ),
    Case("variable-without-a-value", "sv_flask:app --env-file sv_wrong.env", "sv_wrong.env: NAME has no value"),
    Case("socket", "sv_flask:app --uds /run/a.sock", "; write --bind unix:/PATH"),
    Case("worker-class", "sv_flask:app -k gthread", "; write --server, for example --server gunicorn-gthread"),
    Case("workers", "sv_flask:app -w 4", "; write --workers"),
    Case("factory", "sv_flask:create_app", "(on the command line: --factory)"),
    Case("app-dir", "sv_flask --app-dir /no/such", "does not exist"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_each_fault_is_one_line_and_status_2(folder: Path, case: Case) -> None:
    done = run(folder, *shlex.split(case.arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    *_, last = done.stderr.splitlines()
    assert last.startswith("Error: ")
    assert case.expected.replace("FOLDER", str(folder)) in last
    assert "Traceback" not in done.stderr


CONFIGURED_WRONG = [
    Case(
        "server",
        'server = "gunicron"',
        "gateway.toml: server: there is no server 'gunicron' (did you mean 'gunicorn'?)",
    ),
    Case(
        "bind",
        'server = { name = "gunicorn", bind = "127.0.0.1:http" }',
        "gateway.toml: server.bind: an address must be host:port, [IPv6]:port, unix:/path or fd://number, got '127.0",
    ),
    Case(
        "cannot",
        'server = { name = "waitress", workers = 2 }',
        "gateway.toml: server: waitress cannot start several workers; choose another",
    ),
    Case(
        "option",
        '[[middleware]]\nuse = "cors"\noptions = { origins = "https://x" }',
        "Error: FOLDER/gateway.toml: middleware[0]: Cors(origins=...) takes a tuple of strings",
    ),
    Case("key", 'servr = "gunicorn"', "gateway.toml: unknown key servr (did you mean 'server'?); possible keys: "),
]


@pytest.mark.parametrize("case", CONFIGURED_WRONG, ids=lambda case: case.id)
def test_a_fault_of_the_file_names_the_file_and_the_key(tmp_path: Path, case: Case) -> None:
    (tmp_path / "gateway.toml").write_text(f'application = "wsgiref.simple_server:demo_app"\n{case.arguments}\n')
    done = run(tmp_path, "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert case.expected.replace("FOLDER", str(tmp_path)) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_is_told_what_stands_after_the_dashes_without_a_target(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('application = "wsgiref.simple_server:demo_app"\nserver = "gunicorn"\n')
    done = run(tmp_path, "--dry-run", "--", "--timeout", "60")
    assert (done.returncode, done.stderr) == (0, "")
    assert " --timeout 60 " in done.stdout


def test_what_the_command_line_says_is_not_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('application = "wsgiref.simple_server:demo_app"\nserver = "waitress"\n')
    done = run(tmp_path, "--dry-run", "--server", "gunicron", "--bind", "nowhere:http")
    assert done.stderr.startswith("Error: an address must be")
    done = run(tmp_path, "--dry-run", "--server", "gunicron")
    assert done.stderr.startswith("Error: there is no server 'gunicron'")
    assert "_drain_on_sigterm waitress" in run(tmp_path, "--dry-run").stdout


def test_a_missing_server_package_is_one_line_and_status_2(folder: Path) -> None:
    code = (
        "import gateway.servers._server as s; "
        "s._found = lambda module: module != 'waitress'; from gateway.cli import main; "
        "main(['run', 'sv_flask', '--server', 'waitress'])"
    )
    done = subprocess.run([PYTHON, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: waitress needs the package 'waitress'; run: pip install \"waitress\"\n"


def test_a_port_in_use_is_one_line_and_status_2(folder: Path) -> None:
    with Bind(port=0).listen() as listener:
        port = listener.getsockname()[1]
        done = run(folder, "sv_flask", "--bind", f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: 127.0.0.1:{port} is in use by another process; "
        "stop that process, or choose another address with --bind\n"
    )


@contextmanager
def running(folder: Path, *arguments: str, cwd: Path | None = None) -> Iterator[tuple[Bind, subprocess.Popen[bytes]]]:
    """Run the command on a unix socket until it answers; then end it by its process id, which is the server's."""
    bind = Bind(path=str(folder / f"{os.getpid()}-{time.monotonic_ns()}.sock"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "gateway", "run", "--bind", str(bind), *arguments],
            cwd=cwd or folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield bind, process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def answer(
    bind: Bind, process: subprocess.Popen[bytes], log: Path, wanted: str = "one", *, changed: Path | None = None
) -> str:
    """Ask until the answer holds ``wanted``: the server has started, or has reloaded.

    A reloader that polls first notes the time of each file; a change before that is none to it. ``changed`` is touched
    once a second, so that the reloader finds it whenever it begins.
    """
    deadline = time.monotonic() + 30
    touch_at = time.monotonic() + 1
    seen = b""
    while time.monotonic() < deadline:
        if changed is not None and time.monotonic() >= touch_at:
            changed.touch()
            touch_at = time.monotonic() + 3
        assert process.poll() is None, log.read_text()
        try:
            with bind.connect(5.0) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                seen = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            seen = b""
        if wanted.encode() in seen and b" 200 " in seen.partition(b"\r\n")[0] + b" ":
            return seen.decode()
        time.sleep(0.05)
    raise AssertionError(f"no answer with {wanted!r}, the last was {seen!r}:\n{log.read_text()}")


SERVED = [
    pytest.param("sv_flask:app", "uvicorn", (), "flask one", id="flask-uvicorn"),
    pytest.param(
        "sv_flask:app", "uvicorn", ("--workers", "2"), "flask one", id="flask-uvicorn-2-workers", marks=pytest.mark.slow
    ),
    pytest.param("sv_flask:app", "waitress", (), "flask one", id="flask-waitress", marks=pytest.mark.slow),
    pytest.param("sv_flask:app", "gunicorn", ("--workers", "2"), "flask one", id="flask-gunicorn-2-workers"),
    pytest.param("sv_fast:app", "uvicorn", (), "fastapi one", id="fastapi-uvicorn", marks=pytest.mark.slow),
    pytest.param("sv_fast:app", "waitress", ("--threads", "2"), "fastapi one", id="fastapi-waitress"),
    pytest.param("sv_fast:app", "gunicorn", (), "fastapi one", id="fastapi-gunicorn", marks=pytest.mark.slow),
    pytest.param("sv_fast:app", "gunicorn-gthread", ("--workers", "2"), "fastapi one", id="fastapi-gunicorn-gthread"),
    pytest.param("sv_fast:app", "wsgiref", (), "fastapi one", id="fastapi-wsgiref", marks=pytest.mark.slow),
    pytest.param("mysite.asgi", "waitress", (), "django one", id="django-asgi-waitress"),
    pytest.param("sv_flask:create_app()", "uvicorn", (), "flask one", id="factory-uvicorn", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("target", "server", "options", "expected"), SERVED)
def test_an_application_answers_under_the_server_named(
    folder: Path, target: str, server: str, options: tuple[str, ...], expected: str
) -> None:
    with running(folder, target, "--server", server, *options) as (bind, process):
        assert expected in answer(bind, process, folder / "log")
        said = (folder / "log").read_text().splitlines()[0]
        assert said.startswith(f"{target}") or target == "mysite.asgi"
        assert " speaks " in said


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ("timeout = 20\n", True),
        pytest.param("from gateway.servers.gunicorn_hooks import *\n", False, marks=pytest.mark.slow),
    ],
)
def test_a_configuration_without_the_hooks_is_reported(
    folder: Path, tmp_path: Path, configuration: str, said: bool
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(configuration)
    options = ("--server", "gunicorn", "--app-dir", str(folder))
    with running(folder, "sv_others:proxied", *options, cwd=tmp_path) as (bind, process):
        assert "flask one" in answer(bind, process, folder / "log")
    assert ("from gateway.servers.gunicorn_proxied import *" in (folder / "log").read_text()) is said


def test_the_process_is_the_server_itself(folder: Path) -> None:
    with running(folder, "sv_flask", "--server", "waitress") as (bind, process):
        answer(bind, process, folder / "log")
        shown = Path(f"/proc/{process.pid}/cmdline")
        if shown.exists():  # Linux
            assert shown.read_bytes().split(b"\0")[1:4] == [b"-m", b"gateway.servers._drain_on_sigterm", b"waitress"]
        process.send_signal(get("waitress").stop_signal)
        assert process.wait(10) == 0


def test_an_application_of_another_folder_is_found(folder: Path, tmp_path: Path) -> None:
    with running(folder, "sv_fast", "--server", "waitress", "--app-dir", str(folder), cwd=tmp_path) as (bind, process):
        assert "fastapi one" in answer(bind, process, folder / "log")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "server", "options"),
    [
        pytest.param(PLAIN, "uvicorn", (), id="flask-uvicorn"),
        pytest.param(PLAIN, "gunicorn", (), id="flask-gunicorn"),
        pytest.param(FAST, "gunicorn-gthread", ("--workers", "2"), id="fastapi-gunicorn-gthread-2-workers"),
        pytest.param(FAST, "uvicorn", (), id="fastapi-uvicorn"),
        pytest.param(FAST, "granian-wsgi", (), id="fastapi-granian-wsgi"),
        pytest.param(FAST, "werkzeug", (), id="fastapi-werkzeug"),
    ],
)
def test_a_changed_file_is_served_after_a_reload(
    tmp_path: Path, source: str, server: str, options: tuple[str, ...]
) -> None:
    module = tmp_path / "sv_changes.py"
    module.write_text(source)
    with running(tmp_path, "sv_changes", "--server", server, "--reload", *options) as (bind, process):
        answer(bind, process, tmp_path / "log", "one")
        module.write_text(source.replace("one", "two, after a change"))
        answer(bind, process, tmp_path / "log", "two", changed=module)


BROKEN = "def (\n"
UNINSTALLED = "import no_such_library\n"


# Not hypercorn: it ends when a worker cannot import the application, with or without this package.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "options", "broken"),
    [
        pytest.param(FAST, "sv_breaks --server gunicorn-gthread", BROKEN, id="fastapi-gunicorn-gthread"),
        pytest.param(FAST, "--server gunicorn-sync", BROKEN, id="fastapi-gunicorn-sync-by-file"),
        pytest.param(PLAIN, "--server gunicorn-gthread", BROKEN, id="flask-gunicorn-by-file"),
        pytest.param(PLAIN, "sv_breaks --server uvicorn", BROKEN, id="flask-uvicorn"),
        pytest.param(PLAIN, "--server uvicorn", UNINSTALLED, id="flask-uvicorn-import-by-file"),
        pytest.param(PLAIN, "sv_breaks --server granian-asgi", BROKEN, id="flask-granian"),
        pytest.param(FAST, "sv_breaks --server werkzeug", UNINSTALLED, id="fastapi-werkzeug-import"),
    ],
)
def test_a_file_that_was_broken_is_served_again_when_it_is_corrected(
    tmp_path: Path, source: str, options: str, broken: str
) -> None:
    module = tmp_path / "sv_breaks.py"
    module.write_text(source)
    (tmp_path / "gateway.toml").write_text('application = "sv_breaks:app"\n')
    with running(tmp_path, *options.split(), "--reload") as (bind, process):
        answer(bind, process, tmp_path / "log", "one")
        module.write_text(broken)
        until_logged(tmp_path / "log", "no_such_library" if broken == UNINSTALLED else "SyntaxError", module)
        module.write_text(source.replace("one", "two, after a correction"))
        answer(bind, process, tmp_path / "log", "two", changed=module)


def until_logged(log: Path, wanted: str, changed: Path) -> None:
    """Wait until the server has met the error; the file is touched for reloaders that poll."""
    deadline = time.monotonic() + 30
    touch_at = time.monotonic() + 2
    while wanted not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        if time.monotonic() >= touch_at:
            changed.touch()
            touch_at = time.monotonic() + 3
        time.sleep(0.05)


OPTIONS = [
    Case("host-and-port", "sv_fast --host 0.0.0.0 --port 81", "-m uvicorn --host 0.0.0.0 --port 81 "),
    Case("port-alone", "sv_fast --port 81", "-m uvicorn --host 127.0.0.1 --port 81 "),
    Case("ipv6", "sv_flask --server gunicorn --host ::1", "-m gunicorn --bind '[::1]:8000' "),
    Case("keep-alive", "sv_fast --keep-alive 620", " --timeout-keep-alive 620 "),
    Case("graceful", "sv_flask --server gunicorn --graceful-timeout 9", " --keep-alive 75 --graceful-timeout 9 "),
    Case(
        "tls", "sv_fast --certfile sv_fast.py --keyfile sv_flask.py", " --ssl-certfile FOLDER/sv_fast.py --ssl-keyfile "
    ),
    Case("log", "sv_logged --server uvicorn", " --no-access-log "),
]


def test_each_option_becomes_the_servers_own(folder: Path) -> None:
    (folder / "sv_logged.py").write_text(
        "from gateway import Gateway\nfrom gateway.middleware import AccessLog\nimport sv_flask\n"
        "app = Gateway(sv_flask.app, middleware=[AccessLog()])\n"
    )
    lines = "".join(json.dumps(shlex.split(case.arguments)) + "\n" for case in OPTIONS)
    done = subprocess.run(
        [PYTHON, "-c", DRY_RUNS], cwd=folder, input=lines, capture_output=True, text=True, timeout=120, check=True
    )
    printed = done.stdout.splitlines()[::2]
    assert len(printed) == len(OPTIONS), done.stderr
    for case, line in zip(OPTIONS, printed, strict=True):
        assert case.expected.replace("FOLDER", str(folder)) in f"{line} ", case.id


def test_a_gunicorn_configuration_keeps_its_keep_alive(folder: Path) -> None:
    (folder / "sv_conf.py").write_text("keepalive = 9\n")
    done = run(folder, "sv_flask", "--server", "gunicorn", "--dry-run", "--", "--config", "sv_conf.py")
    assert "--keep-alive" not in done.stdout


def test_the_variables_of_a_file_reach_the_application_and_set_ones_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SV_SET", "mine")
    (folder / "sv.env").write_text('SV_SET=theirs\nSV_NEW="a b"\n')
    (folder / "sv_env.py").write_text("import os\nraise LookupError(os.environ['SV_SET'] + os.environ['SV_NEW'])\n")
    assert "LookupError: minea b" in run(folder, "sv_env", "--env-file", "sv.env").stderr


def test_the_traceback_is_shown_on_request(folder: Path) -> None:
    assert "Traceback" not in (quiet := run(folder, "sv_raises").stderr)
    assert quiet.rstrip().endswith("; --traceback shows the whole traceback")
    loud = run(folder, "sv_raises", "--traceback").stderr
    assert loud.startswith("Traceback (most recent call last):\n")
    assert "raise LookupError" in loud
    assert loud.splitlines()[-1].endswith("; fix the error there")


SUPERVISED = """
import os, signal, sys, threading
from gateway.cli.run import supervise
child = "import signal, sys, time\\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\\n"
child += "print('ready', flush=True)\\ntime.sleep(30)"
sys.exit(supervise([sys.executable, "-c", child], dict(os.environ)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there the console sends the signals")
def test_a_supervised_server_gets_the_stop_signal_and_gives_its_status() -> None:
    with subprocess.Popen([PYTHON, "-c", SUPERVISED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 7
