"""One Python web application, WSGI or ASGI, under any server."""
