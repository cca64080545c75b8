"""WebSockets of an ASGI application under a WSGI server. The server gives up its socket."""
