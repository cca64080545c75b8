"""``WSGIMiddleware``, as in ``uvicorn.middleware.wsgi``.

uvicorn gives this name to a2wsgi's class if a2wsgi is installed, and otherwise to a class of its own, whose only option
is ``workers``. a2wsgi's parameters include that option at the same position, so one class serves both.
"""

from __future__ import annotations

from gateway.compat.a2wsgi import WSGIMiddleware

__all__ = ["WSGIMiddleware"]
