"""Attacks on the preset, byte for byte, through real servers.

What a server refuses by itself is as good as what the chain refuses; what is asserted is that nothing gets through.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.middleware.live import Fields, Reply, ask, exchange, first_bytes, parse, render
from tests.middleware.preset_sites import LIMIT, ORIGIN
from tests.middleware.test_static_paths import TRAVERSALS
from tests.shows import shows

ROOT = Path(__file__).resolve().parent.parent.parent
SITES = {
    "gunicorn-gthread": "flask",
    "uvicorn": "fastapi",
    "granian-asgi": "fastapi",
    "gunicorn-asgi": "fastapi",
    "hypercorn-asyncio": "fastapi",
}
QUICK = ("gunicorn-gthread", "uvicorn")
#: Before they call any application; the client then sends its body, and reads the refusal behind it.
SAY_100_BY_THEMSELVES = ("gunicorn-gthread", "hypercorn-asyncio")
ARGUMENTS = {"uvicorn": ("--no-proxy-headers",)}
PARAMS = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in SITES]
HOST = ("Host", "example.org")
PROTO = ("X-Forwarded-Proto", "https")


@pytest.fixture(scope="module", params=PARAMS)
def server(request: pytest.FixtureRequest) -> str:
    """The name of the server under attack."""
    name: str = request.param
    if reason := servers.get(name).missing():
        pytest.skip(reason)
    return name


@pytest.fixture(scope="module")
def running(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An application behind the preset, started once for each server; a secret lies beside its folder of files."""
    folder = tmp_path_factory.mktemp("site") / "static"
    folder.mkdir()
    (folder / "site.css").write_bytes(b"body { color: red }\n")
    (folder.parent / "secret").write_bytes(b"SECRET")
    launch = Launch(
        target=f"tests.middleware.preset_sites:{SITES[server]}_app",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        arguments=ARGUMENTS.get(server, ()),
        environment={"PRESET_STATIC": str(folder)},
    )
    with start(servers.get(server), launch, ready="/livez") as running:
        yield running


@pytest.fixture(scope="module")
def site(running: Running) -> Bind:
    """Where it listens."""
    return running.bind


XFF = "X-Forwarded-For"
FORGED: list[tuple[str, Fields, str]] = [
    ("leftmost", [(XFF, "6.6.6.6, 203.0.113.9")], "203.0.113.9"),
    ("repeated-lines", [(XFF, "6.6.6.6"), (XFF, "203.0.113.9")], "203.0.113.9"),
    ("mixed-with-forwarded", [("Forwarded", "for=6.6.6.6"), (XFF, "203.0.113.9")], "203.0.113.9"),
    ("forwarded-alone", [("Forwarded", "for=6.6.6.6")], "127.0.0.1"),
    ("port", [(XFF, "6.6.6.6:80, 203.0.113.9:5555")], "203.0.113.9"),
    ("unknown", [(XFF, "6.6.6.6, unknown")], "127.0.0.1"),
    ("markup", [(XFF, "6.6.6.6, <script>")], "127.0.0.1"),
    ("mapped", [(XFF, "6.6.6.6, ::ffff:203.0.113.9")], "203.0.113.9"),
    ("mapped-proxy", [(XFF, "6.6.6.6, 203.0.113.9, ::ffff:127.0.0.1")], "203.0.113.9"),
    ("two-hundred", [(XFF, ", ".join(["6.6.6.6"] * 200 + ["203.0.113.9"]))], "203.0.113.9"),
    ("real-ip", [("X-Real-IP", "6.6.6.6"), (XFF, "203.0.113.9")], "203.0.113.9"),
]


@pytest.mark.parametrize(("fields", "client"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_no_forged_address_is_the_client(site: Bind, fields: Fields, client: str) -> None:
    reply = ask(site, "GET", "/client", (HOST, PROTO, *fields))
    assert (reply.status, reply.body.split(b" ")[0]) == (200, client.encode())


def test_an_underscore_is_not_a_hyphen(site: Bind) -> None:
    reply = ask(site, "GET", "/client", (HOST, PROTO, (XFF, "203.0.113.9"), ("X_Forwarded_For", "6.6.6.6")))
    assert reply.status == 400 or reply.body.split(b" ")[0] == b"203.0.113.9"


HOSTS = [
    "evil.example",
    "example.org@evil.example",
    "evil.example/example.org",
    "example.org, evil.example",
    "example.org:99999",
    "example.org:80:80",
    "example.org evil.example",
    "evilexample.org",
    "example.org.evil.example",
    "[::1",
    "",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("proto", ["http", "https"])
def test_no_other_host_is_answered_or_redirected_to(site: Bind, host: str, proto: str) -> None:
    reply = ask(site, "GET", "/", (("Host", host), ("X-Forwarded-Proto", proto)))
    assert (reply.status, reply.all("location")) == (400, [])


def test_two_hosts_are_refused_in_either_order(site: Bind) -> None:
    for hosts in (("example.org", "evil.example"), ("evil.example", "example.org"), ("example.org", "example.org")):
        assert ask(site, "GET", "/", (*(("Host", host) for host in hosts), PROTO)).status == 400


def test_a_host_in_the_target_or_a_proxy_header_is_not_used(site: Bind) -> None:
    for target, fields in (
        ("http://evil.example/", (HOST,)),
        ("//evil.example/", (HOST,)),
        ("/", (HOST, ("X-Forwarded-Host", "evil.example"))),
        ("/", (HOST, ("Forwarded", "host=evil.example"))),
    ):
        for location in ask(site, "GET", target, fields).all("location"):
            assert location.startswith("https://example.org/"), location
            assert not location.startswith("https://example.org//"), location


def test_echoed_values_do_not_split_a_response(site: Bind) -> None:
    split = "abcdefgh%0d%0aSet-Cookie:%20a=1"
    for target, fields in (
        (f"/x{split}", (HOST,)),
        (f"/?q={split}", (HOST,)),
        ("/", (HOST, PROTO, ("X-Request-ID", split))),
        ("/", (HOST, PROTO, ("X-Request-ID", "abcdefgh\nSet-Cookie: a=1"))),
        ("/", (HOST, PROTO, ("X-Request-ID", "abcdefgh\rSet-Cookie: a=1"))),
        ("/", (HOST, PROTO, ("Origin", f"{ORIGIN}\nSet-Cookie: a=1"))),
        ("/", (HOST, PROTO, ("Origin", f"{ORIGIN}{split}"))),
    ):
        reply = ask(site, "GET", target, fields)
        assert reply.all("set-cookie") == []
        assert not any(split in value for value in reply.all("x-request-id"))
        assert not any(split in value for value in reply.all("access-control-allow-origin"))
        assert reply.status in (200, 308, 400, 404)


#: What must not end a line of the response, alone and behind something that passes for a value.
SPLITS = [
    "%0d%0aSet-Cookie:%20a=1",
    "\nSet-Cookie: a=1",
    "\rSet-Cookie: a=1",
    "\x00Set-Cookie: a=1",
    "\x85Set-Cookie: a=1",
]
ECHOED = ["target", "query", "X-Request-ID", "X-Forwarded-Host", "X-Forwarded-Prefix", "Access-Control-Request-Headers"]
#: What is seen in the response of each scheme: over http the redirect to https, over https that of a folder.
ECHOED_BY = {
    "http": {"target", "query", "X-Request-ID", "X-Forwarded-Host", "X-Forwarded-Prefix"},
    "https": {"query", "X-Request-ID", "X-Forwarded-Prefix", "Access-Control-Request-Headers"},
}


def test_nothing_that_a_chain_can_echo_splits_a_response(server: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_bytes(b"docs")
    launch = Launch(
        target=f"tests.middleware.preset_sites:{SITES[server]}_echoes",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        arguments=ARGUMENTS.get(server, ()),
        environment={"PRESET_STATIC": str(tmp_path)},
    )
    with start(servers.get(server), launch, ready="/static/none") as running:
        for proto in ("http", "https"):
            seen = set()
            for where in ECHOED:
                harmless = echo(running.bind, where, "value", proto)
                assert harmless is not None
                if any("value" in value for _, value in harmless.headers):
                    seen.add(where)
                for split in SPLITS:
                    reply = echo(running.bind, where, split, proto)
                    if reply is not None:
                        assert reply.all("set-cookie") == [], (where, split)
                        assert not any("Set-Cookie: a" in value for _, value in reply.headers), (where, split)
            # Otherwise nothing was asked: each of them does reach the response, by one scheme or the other.
            assert seen == ECHOED_BY[proto]


def echo(bind: Bind, where: str, split: str, proto: str) -> Reply | None:
    """Ask so that the value stands in the response; None where the server closed without a word."""
    fields = [HOST, ("X-Forwarded-Proto", proto), ("Origin", ORIGIN)]
    method, target = "GET", "/static/docs"
    if where in ("target", "query"):
        if not split.startswith("%"):
            split = split.replace(" ", "%20")
        target = f"/static/docs{split}" if where == "target" else f"/static/docs?{split}"
    elif where == "Access-Control-Request-Headers":
        method = "OPTIONS"
        fields += [("Access-Control-Request-Method", "PUT"), (where, f"x-a{split}")]
    else:
        good = {"X-Request-ID": "abcdefgh", "X-Forwarded-Host": "example.org", "X-Forwarded-Prefix": "/app"}[where]
        fields.append((where, good + split))
    received = exchange(bind, render(method, target, fields))
    return parse(received) if received.startswith(b"HTTP/1.") else None


def test_no_line_of_the_access_log_is_forged(running: Running, site: Bind) -> None:
    forged = '{"path": "/forged", "status": 200}'
    for number, (target, agent) in enumerate(
        [
            (f"/log-0%0d%0a{forged.replace(' ', '%20')}", "plain"),
            ("/log-1", f'"}}\\n{forged}'),
            ("/log-2?q=%0a%22}", '\\", "x": "'),
            ("/log-3", "\x85\xe9\xff"),
        ]
    ):
        reply = ask(site, "GET", target, (HOST, PROTO, ("User-Agent", agent), ("Referer", agent)))
        assert reply.status in (200, 400, 404), number
    ask(site, "GET", "/log-end", (HOST, PROTO))
    deadline, lines = time.monotonic() + 30, [""]
    while not any("/log-end" in line for line in lines) and time.monotonic() < deadline:
        time.sleep(0.02)
        lines = [line for line in running.output().split("\n") if "/log-" in line and '"outcome"' in line]
    paths = [json.loads(line)["path"] for line in lines]  # every line is one whole object
    assert sorted(path[:6] for path in paths) == ["/log-0", "/log-1", "/log-2", "/log-3", "/log-e"]
    assert not any(line.startswith('{"path"') for line in running.output().splitlines())


#: A whole request, for where the body of another one should be.
SMUGGLED = b"GET /client HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-Proto: https\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([HOST, PROTO], SMUGGLED + b" " * LIMIT),
        ([("Host", "evil.example"), PROTO], SMUGGLED),
        ([HOST], SMUGGLED),
        ([HOST, PROTO, ("Origin", "https://evil.example")], SMUGGLED),
    ],
    ids=["too-large", "another-host", "redirected", "another-origin"],
)
def test_the_body_of_a_request_that_is_refused_is_not_the_next_request(site: Bind, fields: Fields, body: bytes) -> None:
    lines = [f"{name}: {value}" for name, value in (*fields, ("Content-Length", str(len(body))))]
    request = "\r\n".join(["POST /upload HTTP/1.1", *lines, "", ""]).encode() + body
    received = exchange(site, request + render("GET", "/livez", (HOST, PROTO)))
    assert received.count(b"HTTP/1.1 ") <= 2
    assert b"127.0.0.1 https" not in received, received


@shows("A body that ends before its declared length is 400, not a shorter body")
def test_a_truncated_body_is_not_treated_as_complete(site: Bind) -> None:
    for framing, body in ((("Content-Length", "100"), b"hello"), (("Transfer-Encoding", "chunked"), b"5\r\nhello\r\n")):
        with site.connect(30) as connection:
            connection.sendall(render("POST", "/upload", (HOST, PROTO, framing), body))
            connection.shutdown(socket.SHUT_WR)
            received = b""
            with suppress(ConnectionResetError):
                while data := connection.recv(65536):
                    received += data
        assert hashlib.sha256(b"hello").hexdigest().encode() not in received, framing
        assert not received.startswith(b"HTTP/1.1 200"), framing


def test_no_spelling_of_a_path_leads_out_of_the_folder(site: Bind) -> None:
    assert len(TRAVERSALS) >= 20
    assert ask(site, "GET", "/static/site.css", (HOST, PROTO)).status == 200
    for spelling in (*TRAVERSALS, "../secret", "%2e%2e/secret", "%252e%252e/secret", "....//secret"):
        received = exchange(site, render("GET", f"/static/{spelling}", (HOST, PROTO)))
        assert b"SECRET" not in received, spelling
        assert b"root:" not in received, spelling
        assert not received or parse(received).status in (308, 400, 404), spelling  # 308: Werkzeug merges slashes


def test_the_length_of_a_compressed_page_is_not_constant(site: Bind) -> None:
    replies = [ask(site, "GET", "/text", (HOST, PROTO, ("Accept-Encoding", "gzip"))) for _ in range(12)]
    assert {reply.all("content-encoding")[0] for reply in replies} == {"gzip"}
    assert len({reply.decoded() for reply in replies}) == 1
    assert len({len(reply.body) for reply in replies}) > 1


@pytest.mark.parametrize("length", ["-1", "+5", "5, 6", "0x10", "1e3", "5 5", "\u00b2", "9" * 400])
def test_an_invalid_length_never_reaches_the_application(site: Bind, length: str) -> None:
    received = exchange(site, render("POST", "/upload", (HOST, PROTO, ("Content-Length", length)), b"hello"))
    assert not received or parse(received).status in (400, 413, 431)


def test_two_lengths_or_a_length_beside_chunks_reach_no_application(site: Bind) -> None:
    two = (("Content-Length", "5"), ("Content-Length", "6"))
    received = exchange(site, render("POST", "/upload", (HOST, PROTO, *two), b"hello!"))
    assert not received or parse(received).status == 400
    # RFC 9112 section 6.1: refused, or read as chunks and the connection closed; never by the length.
    both = (("Content-Length", str(5 + len(SMUGGLED))), ("Transfer-Encoding", "chunked"))
    received = exchange(site, render("POST", "/upload", (HOST, PROTO, *both), b"0\r\n\r\n" + SMUGGLED))
    assert b"127.0.0.1 https" not in received, received


def test_a_declared_length_over_the_limit_is_refused_before_the_body(site: Bind) -> None:
    for length in (LIMIT + 1, 10**12):
        received, connection = first_bytes(
            site, render("POST", "/upload", (HOST, PROTO, ("Content-Length", str(length))))
        )
        connection.close()
        assert received.startswith(b"HTTP/1.1 413 ")


def test_chunks_over_the_limit_are_refused(site: Bind) -> None:
    body = b"".join(b"100\r\n" + b"x" * 256 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
    received = exchange(site, render("POST", "/upload", (HOST, PROTO, ("Transfer-Encoding", "chunked")), body))
    assert parse(received).status == 413


@shows("Who expects 100 Continue for too much is refused before its body", once="a server's matter: seen on real ones")
def test_a_request_that_is_too_large_never_gets_100_continue(site: Bind, server: str) -> None:
    expects = (HOST, PROTO, ("Content-Length", str(LIMIT + 1)), ("Expect", "100-continue"))
    received = exchange(site, render("POST", "/upload", expects))
    if server in SAY_100_BY_THEMSELVES and received.startswith(b"HTTP/1.1 100 "):
        received = received.partition(b"\r\n\r\n")[2]
    assert received.startswith(b"HTTP/1.1 413 "), received[:60]


@pytest.mark.parametrize("name", ["If-None-Match", "If-Match"])
def test_a_list_of_entity_tags_with_many_blanks_is_parsed_fast(site: Bind, name: str) -> None:
    # gunicorn takes 8,190 bytes a line, so these reach the parser on each server.
    fields = (HOST, PROTO, (name, '"a",' + " " * 8000 + "x"))
    status = {"If-None-Match": 200, "If-Match": 412}[name]
    for _ in range(3):
        began = time.monotonic()
        answered = 0
        while answered < 20 and time.monotonic() - began < 5:
            assert ask(site, "GET", "/text", fields).status == status
            answered += 1
        if answered == 20:
            return
    pytest.fail(f"the server sent {answered} responses in 5 seconds, in the last of 3 attempts")


#: Each header that the chain reads.
READ = [
    *("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Request-ID", "traceparent", "Origin", "Accept", "Range"),
    *(
        "Accept-Encoding",
        "If-Range",
        "If-None-Match",
        "If-Match",
        "If-Modified-Since",
        "Cookie",
        "User-Agent",
        "Referer",
    ),
    *("Access-Control-Request-Headers", "Host", "Content-Length"),
]


def test_the_longest_accepted_header_does_not_block_a_worker(site: Bind) -> None:
    for _ in range(3):
        began = time.monotonic()
        for name in READ:
            for filler in (" ", ",", '"a",', "a=", "1"):
                value = '"a",' + (filler * 8000)[:8000] + "x"
                method = "OPTIONS" if name.startswith("Access-Control") else "GET"
                preflight = (
                    (("Origin", ORIGIN), ("Access-Control-Request-Method", "PUT")) if method == "OPTIONS" else ()
                )
                others = [pair for pair in (HOST, PROTO, *preflight) if pair[0] != name]
                received = exchange(site, render(method, "/text", (*others, (name, value))))
                assert not received or parse(received).status < 500, (name, filler)
        if time.monotonic() - began < 10:
            return
    pytest.fail(f"{5 * len(READ)} requests took more than 10 seconds, in each of 3 attempts")


def test_ten_thousand_fields_do_no_harm(site: Bind) -> None:
    fields = [(f"X-{number}", "v") for number in range(10_000)]
    received = exchange(site, render("GET", "/", (HOST, PROTO, *fields)))
    assert not received or parse(received).status in (200, 400, 431)
    assert ask(site, "GET", "/", (HOST, PROTO)).status == 200


def test_a_websocket_opens_for_an_allowed_origin_only(site: Bind, server: str) -> None:
    upgrade = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )
    opened = 404 if SITES[server] == "flask" else 101  # WSGI has no websockets: it is a GET for what is not there
    refused = 404 if SITES[server] == "flask" else 403
    for origin, status in ((ORIGIN, opened), ("https://evil.example", refused), ("null", refused)):
        lines = [f"{name}: {value}" for name, value in (HOST, PROTO, *upgrade, ("Origin", origin))]
        request = "\r\n".join(["GET /socket HTTP/1.1", *lines, "", ""]).encode()
        received, connection = first_bytes(site, request)
        connection.close()
        assert received.startswith(b"HTTP/1.1 %d " % status), (origin, received[:60])


@pytest.mark.parametrize(
    ("name", "target", "sent"),
    [
        ("gunicorn-gthread", "probed_wsgi", "wsgi.file_wrapper"),
        pytest.param("granian-asgi", "probed_asgi", "http.response.pathsend", marks=pytest.mark.slow),
    ],
)
def test_the_server_sends_the_file_itself(name: str, target: str, sent: str, tmp_path: Path) -> None:
    if reason := servers.get(name).missing():
        pytest.skip(reason)
    content = bytes(range(256)) * 4096
    (tmp_path / "large.bin").write_bytes(content)
    launch = Launch(
        target=f"tests.middleware.preset_sites:{target}",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        environment={"PRESET_STATIC": str(tmp_path)},
    )
    with start(servers.get(name), launch, ready="/livez") as running:
        reply = ask(running.bind, "GET", "/static/large.bin", (HOST, PROTO, ("Accept-Encoding", "gzip")))
    assert (reply.status, reply.all("x-sent-by"), reply.body == content) == (200, [sent], True)


CHANGING = """
from gateway import Gateway
from gateway.middleware import StaticFiles

def wsgi(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"none"]

app = Gateway(wsgi, middleware=[StaticFiles(folders={"/s": ROOT})])
"""


@shows("The file that is sent is the one that is described, also if it was replaced; a removed one is not there")
@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread", "uvicorn", "granian-asgi", "waitress"])
def test_under_a_server_a_replaced_file_is_complete_and_has_its_own_tag(name: str, tmp_path: Path) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    folder = tmp_path / "files"
    folder.mkdir()
    file = folder / "app.js"
    file.write_bytes(b"1" * 300_000)
    (tmp_path / "changing.py").write_text(CHANGING.replace("ROOT", repr(str(folder))))
    launch = Launch(target="changing:app", bind=Bind(port=0), app_dir=str(tmp_path))
    with start(server, launch) as running:
        tags = [ask(running.bind, "GET", "/s/app.js", (HOST,)).all("etag")]
        for content in (b"2" * 200_000, b"3" * 400_000, b"4" * 400_000):
            (tmp_path / "new").write_bytes(content)
            (tmp_path / "new").replace(file)
            reply = ask(running.bind, "GET", "/s/app.js", [HOST, ("If-None-Match", tags[-1][0])])
            assert (reply.status, len(reply.body), reply.body == content) == (200, len(content), True)
            assert reply.all("content-length") == [str(len(content))]
            tags.append(reply.all("etag"))
        file.unlink()
        assert ask(running.bind, "GET", "/s/app.js", (HOST,)).status == 404
    assert len({tag for (tag,) in tags}) == 4
