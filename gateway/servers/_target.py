"""What a server imports when the application itself does not speak its interface.

The server is told ``gateway.servers._target:application``: an import string that works in every worker and after every
reload, which an object in our process would not. The environment variable ``GATEWAY_APP`` names the user's application
with the grammar of ``_load``. ``application`` is a plain name of this module, because some servers read the module's
dictionary; without the variable there is none.
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
    """Import the application that ``text`` names, in an object that servers of every interface accept.

    Raises:
        ConfigurationError: It cannot be imported, or is no application.
    """
    _, found = load(text)
    if isinstance(found, Dual) and not is_proxy(found):
        return found
    interface = detect(found)
    return Gateway(cast("Application", found), interface)  # detect() has just said that it is one


if VARIABLE in os.environ:
    application = wrapped(os.environ[VARIABLE])
