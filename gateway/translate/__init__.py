"""The one translation between WSGI's ``environ``, ASGI's ``scope`` and the facts of a request.

Each module holds one kind of fact, for both directions: ``paths``, ``endpoints`` (client, server, scheme, version),
``fields`` (headers), ``status``. ``scope_environ`` combines them. Both the adapters and a middleware's view of a
request use these modules. So a middleware sees the same facts with and without an adapter.

The functions are pure: no IO, and no state except bounded tables of names.
"""
