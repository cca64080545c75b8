"""The module that a server imports if the application does not have the server's interface.

The server gets the import string ``gateway.servers._target:application``. It works in every worker and after every
reload; an object in our process would not. The environment variable ``GATEWAY_APP`` names the user's application
with the grammar of ``_load``. ``application`` is a plain name of this module, because some servers read the module's
dictionary. Without the variable, the module does not define it.
"""

from __future__ import annotations

import os
from typing import cast

from gateway._load import VARIABLE, load
from gateway.application import Gateway
from gateway.dual import Dual
from gateway.protocols import Application, detect, is_proxy

__all__ = ["wrapped"]


def wrapped(text: str) -> Dual:
    """Import the application that ``text`` names, and wrap it for servers of every interface.

    Raises:
        ConfigurationError: Python cannot import it, or it is not an application.
    """
    _, found = load(text)
    if isinstance(found, Dual) and not is_proxy(found):
        return found
    interface = detect(found)
    return Gateway(cast("Application", found), interface)  # detect() raises if it is not an application


if VARIABLE in os.environ:
    application = wrapped(os.environ[VARIABLE])
