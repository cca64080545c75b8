"""The one translation between WSGI's ``environ``, ASGI's ``scope`` and the facts of a request.

Each module holds one kind of fact, for both directions: ``paths``, ``endpoints`` (server, client, version), ``fields``
(headers), ``status``. ``scope_environ`` puts them together. Adapters translate with them, and a middleware's view of a
request reads with them, so a middleware sees the same facts natively and one adapter away.

The functions are pure: no IO, and no state but bounded tables of names.
"""
