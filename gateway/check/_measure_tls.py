"""Measure a server with a certificate: HTTP/2, HTTP/3, and the extensions that it offers only there.

Part of `gateway.check.measure`.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gateway.check._measure_client import PATIENCE, free_port, offers_over_http2
from gateway.check._measure_http3 import answers_over_http3, can_ask
from gateway.servers import Launch, Server

__all__ = ["over_tls"]


def over_tls(server: Server, launch: Launch, folder: Path) -> tuple[set[str], bool, bool]:
    """Start a server with a certificate, and ask it over TLS and QUIC.

    Args:
        server: The server.
        launch: Its application.
        folder: Folder for the certificate.

    Returns:
        The extensions that it offers over HTTP/2, whether it serves HTTP/2, and whether it serves HTTP/3.
    """
    if "certfile" not in server.options or not shutil.which("openssl"):
        return set(), False, False
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    made = subprocess.run(
        [*command.split(), "-keyout", key, "-out", certificate], capture_output=True, check=False, timeout=60
    )
    if made.returncode:
        return set(), False, False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    bind = free_port()
    secure = replace(launch, certfile=certificate, keyfile=key, bind=bind)
    with _starting(server, secure, folder) as running:
        deadline = time.monotonic() + PATIENCE
        while running.poll() is None and time.monotonic() < deadline:
            try:
                with context.wrap_socket(bind.connect(2.0), server_hostname="localhost") as connection:
                    second = connection.selected_alpn_protocol() == "h2"
                    offers, http2 = offers_over_http2(connection) if second else (set[str](), False)
                return offers, http2, can_ask() and answers_over_http3(bind)
            except OSError:
                time.sleep(0.05)
    return set(), False, False


@contextmanager
def _starting(server: Server, launch: Launch, folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """Start the server without waiting for a response, because `start` does not speak TLS."""
    command = server.command(launch)
    process = subprocess.Popen(
        command.argv,
        env={**os.environ, **command.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        yield process
    finally:
        process.send_signal(server.stop_signal)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
