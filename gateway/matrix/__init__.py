"""One application under every server, compared: what each server does to the same requests, and why.

`run` starts each server with the application, sends the requests, and compares status, headers and body with the
response of the application when it is called directly. A difference is explained by a known quirk, or unknown.
``gateway matrix`` is the command for it.

The package is internal, except for the names below.
"""

from __future__ import annotations

from gateway.matrix._compare import Difference, Quirk
from gateway.matrix._proxies import Proxy, ProxyError
from gateway.matrix._quirks import QUIRKS
from gateway.matrix._requests import BUILTIN, MatrixRequest, read_requests
from gateway.matrix._run import Configuration, Matrix, Reference, Stale, reference, run, stale

__all__ = [
    "BUILTIN",
    "QUIRKS",
    "Configuration",
    "Difference",
    "Matrix",
    "MatrixRequest",
    "Proxy",
    "ProxyError",
    "Quirk",
    "Reference",
    "Stale",
    "read_requests",
    "reference",
    "run",
    "stale",
]
