"""WebSockets of an ASGI application under a WSGI server, which hands over its socket; and their protocol."""
