"""The suite's NGINX: in front of one server, over plain HTTP and over TLS, HTTP/1.1 and HTTP/2.

Both listen on a unix socket in the folder of the test. The certificate is made when NGINX starts, and signs itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.servers import Bind
from gateway.servers._running import _await_answer

__all__ = ["Front", "missing", "nginx"]

_CONFIGURATION = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 8m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    gzip_min_length 0;
    gzip_proxied any;
    gzip_vary on;
    upstream application {{ server {upstream} fail_timeout=0; }}
    server {{
        listen unix:{plain};
        listen unix:{tls} ssl http2;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Front:
    """Where clients reach NGINX.

    Attributes:
        plain: HTTP/1.1 without TLS.
        tls: HTTP/1.1 or HTTP/2, as TLS negotiates it.
        certificate: What a client must trust; it is of ``localhost``.
    """

    plain: Bind
    tls: Bind
    certificate: Path


def missing() -> str | None:
    """Say which program is not here."""
    for name in ("nginx", "openssl"):
        if shutil.which(name, path=_path()) is None:
            return f"the program {name} is not installed"
    return None


@contextmanager
def nginx(folder: Path, upstream: Bind) -> Iterator[Front]:
    """Start NGINX in front of a server, and end it."""
    _make_certificate(folder)
    front = Front(Bind(path=str(folder / "nginx.sock")), Bind(path=str(folder / "tls.sock")), folder / CERTIFICATE)
    user = "user root;" if os.geteuid() == 0 else ""  # its workers must reach the folder of the test
    address = upstream.netloc if upstream.path is None else f"unix:{upstream.path}"
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(user=user, folder=folder, upstream=address, plain=front.plain.path, tls=front.tls.path)
    )
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [_program("nginx"), "-p", str(folder), "-c", str(configuration)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await_answer(process, front.plain, "/", 30.0)
            yield front
        finally:
            process.terminate()
            process.wait(20)


CERTIFICATE = "certificate.pem"


def _make_certificate(folder: Path) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem")
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2")
    subprocess.run(
        [_program("openssl"), "req", "-x509", *key, *name, "-out", CERTIFICATE],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def _program(name: str) -> str:
    found = shutil.which(name, path=_path())
    assert found is not None
    return found


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
