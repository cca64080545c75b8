"""What is installed here, for ``gateway inspect`` without an application: versions, servers, and missing parts."""

from __future__ import annotations

import platform
import sys
import sysconfig
from importlib import metadata
from importlib.util import find_spec

from gateway._version import __version__
from gateway.matrix._proxies import PROXIES
from gateway.servers import get, names

__all__ = ["environment"]

#: Extra, the module that it installs, and what it is for.
_EXTRAS = (
    ("websockets", "wsproto", "WebSockets under WSGI servers that give up their socket"),
    ("compression", "brotli", "Brotli and Zstandard in Compression"),
    ("ratelimit", "limits", "RateLimit"),
    ("metrics", "prometheus_client", "Metrics"),
    ("engines", "a2wsgi", "the engine a2wsgi"),
    ("testing", "httpx2", "gateway.testing"),
)


def environment() -> dict[str, object]:
    """Return the versions, the servers found, and each missing part with the command that installs it."""
    found: list[dict[str, str]] = []
    missing: list[dict[str, str]] = []
    for server in map(get, names()):
        if reason := server.missing():
            missing.append({"part": server.name, "why": reason})
            continue
        found.append({"server": server.name, "version": server.version(), "interface": server.interface})
    for extra, module, purpose in _EXTRAS:
        if find_spec(module) is None:
            why = f'{purpose} needs the package {module!r}; run: pip install "anytier[{extra}]"'
            missing.append({"part": extra, "why": why})
    if any(each["server"] == "uvicorn" for each in found) and not (find_spec("websockets") or find_spec("wsproto")):
        missing.append({"part": "uvicorn", "why": 'WebSockets under uvicorn; run: pip install "uvicorn[standard]"'})
    return {
        "anytier": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "platform": platform.platform(terse=True),
        "prefix": sys.prefix,
        "asgiref": metadata.version("asgiref"),
        "servers": found,
        "proxies": {proxy.name: proxy.version() for proxy in PROXIES if proxy.path() is not None},
        "missing": missing,
    }
