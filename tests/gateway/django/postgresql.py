"""A PostgreSQL server for a test: its own cluster in a temporary folder, on a unix socket, ended afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

#: Where Debian puts the programs, which are not in PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "600",
    "shared_buffers": "32MB",
    "log_connections": "on",
    # The data is thrown away.
    "fsync": "off",
    "synchronous_commit": "off",
}


@dataclass(frozen=True)
class PostgreSQL:
    """A running server.

    Attributes:
        folder: Folder of the unix socket, as a client's ``host``.
        superuser: Name of the superuser, for whom the server keeps some connections free.
        user: Name of the user of the tested program.
        process: The server.
        log: What the server writes.
    """

    folder: Path
    superuser: str
    process: subprocess.Popen[bytes]
    log: Path
    user: str = "site"

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the database ``postgres``; changes are committed at once."""
        return psycopg.connect(host=str(self.folder), user=self.superuser, dbname="postgres", autocommit=True)

    def open(self) -> int:
        """Return the number of connections of the tested program that are open now."""
        with self.connect() as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [self.user]).fetchone()
        assert row is not None
        return int(row[0])

    def opened(self) -> int:
        """Return the number of connections that clients have opened so far."""
        return self._log().count(f"connection authorized: user={self.user} ")

    def refused(self) -> int:
        """Return the number of connections that were refused so far, because ``max_connections`` was reached."""
        return self._log().count("too many clients") + self._log().count("remaining connection slots")

    def _log(self) -> str:
        return self.log.read_text("utf-8", "replace")


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None if it is not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").is_file()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """Make a cluster and start its server.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    at = programs()
    if at is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    # PostgreSQL refuses to run as root.
    account = pwd.getpwnam("postgres" if _has("postgres") else "nobody") if os.getuid() == 0 else None
    superuser = pwd.getpwuid(os.getuid()).pw_name if account is None else account.pw_name
    options: dict[str, Any] = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid}
    with tempfile.TemporaryDirectory(prefix="pg-") as name:  # the path of a unix socket must be short
        folder = Path(name)
        folder.chmod(0o755)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, log = folder / "data", folder / "log"
        made = subprocess.run(
            [at / "initdb", "-D", data, "-U", superuser, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )
        if made.returncode:
            raise RuntimeError(made.stderr)
        settings = [part for key, value in _SETTINGS.items() for part in ("-c", f"{key}={value}")]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [at / "postgres", "-D", data, "-k", folder, *settings],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        server = PostgreSQL(folder, superuser, process, log)
        try:
            _wait(server)
            with server.connect() as connection:
                connection.execute(f"CREATE ROLE {server.user} LOGIN")
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # the fast shutdown: it ends the connections
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _has(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True


def _wait(server: PostgreSQL, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(server.log.read_text("utf-8", "replace")) from None
            time.sleep(0.05)  # it has no event to wait for
        else:
            return
