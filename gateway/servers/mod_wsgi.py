"""mod_wsgi: Apache with Python inside, WSGI in processes and threads of its own, by ``mod_wsgi-express``.

Sources: ``mod_wsgi-express start-server --help``; Apache HTTP Server "Stopping and Restarting"; the facts were measured
with 6.1.1 and Apache 2.4.71.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["MOD_WSGI"]

#: Accounts that Linux distributions have for Apache, and one that every system has.
_ACCOUNTS = ("www-data", "apache", "nobody")


def _account() -> tuple[str, str]:
    """Return the user and the group that Apache serves as if root starts it: it refuses to serve as root."""
    import grp  # these two do not exist on Windows
    import pwd

    for name in _ACCOUNTS:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return name, grp.getgrgid(user.pw_gid).gr_name
    return _ACCOUNTS[-1], _ACCOUNTS[-1]


def _unreadable() -> str | None:
    if os.geteuid():
        return None
    for folder in dict.fromkeys((sys.base_prefix, sys.prefix)):
        for each in (Path(folder).absolute(), *Path(folder).absolute().parents):
            if not each.stat().st_mode & 0o001:
                return (
                    f"mod-wsgi serves as the user {_account()[0]!r} if root starts it, and that user cannot read "
                    f"Python in {folder}; start it as another user, or use a Python outside of {each}"
                )
    return None


def _arguments(launch: Launch) -> Iterator[str]:
    module, _, name = launch.target.partition(":")
    yield from ("start-server", "--host", launch.bind.host, "--port", str(launch.bind.port))
    # Apache refuses a chunked body with 411 by default, and keeps idle connections for 2 seconds.
    yield from ("--log-to-terminal", "--chunked-request")
    if not os.geteuid():
        user, group = _account()
        yield from ("--user", user, "--group", group)
    if launch.workers is not None:
        yield from ("--processes", str(launch.workers))
    if launch.threads is not None:
        yield from ("--threads", str(launch.threads))
    if launch.reload:
        yield "--reload-on-changes"
    yield from ("--python-path", launch.app_dir or ".")
    yield from launch.arguments
    yield from ("--application-type", "module", "--callable-object", name or "application", module)


MOD_WSGI = Server(
    name="mod-wsgi",
    family="mod-wsgi",
    interface="wsgi",
    module="mod_wsgi",
    program="mod_wsgi-express",
    requirement="mod_wsgi",
    arguments=_arguments,
    options={"keep_alive": "--keep-alive-timeout"},
    stop_signal=signal.SIGTERM if sys.platform == "win32" else signal.SIGWINCH,
    dotted=False,
    posix=True,
    unusable=_unreadable,
    capabilities=Capabilities(
        unix_socket=False, workers=True, threads=True, reload=True, header_order="grouped", raw_path=False
    ),
    quirks=(
        "Apache stops gracefully on SIGWINCH. SIGTERM cuts running requests, so set STOPSIGNAL SIGWINCH in a "
        "container and KillSignal=SIGWINCH in a systemd unit.",
        "Apache refuses to serve as root. If root starts it, gateway run lets it serve as www-data, apache or nobody, "
        "and that user has to be able to read Python and the application.",
        "It refuses a path with an encoded slash, %2F, with 404; it merges several slashes and resolves dot segments.",
        "It does not pass %2F, or the path as the client sent it, on to the application.",
        "If the application raises within the body, the response looks complete.",
        "It refuses a chunked request body with 411, unless --chunked-request is set, which gateway run does.",
        "It refuses a request body above 10 MB, unless --limit-request-body sets another limit.",
    ),
)
