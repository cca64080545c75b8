"""The adapters of other packages, by their names and with their parameters, on the adapters of this package.

To leave another adapter, change its import and nothing else. Each module is named after the package that it replaces,
and imports nothing of that package. The classes only map options. An option that has no effect here gives a
`CompatWarning` when an object is made with a value other than the default.

The class name ``WSGIMiddleware`` exists in several modules, because each name must be the one in the user's code. New
code uses `gateway.Gateway` or `gateway.adapters`.
"""

from __future__ import annotations

__all__ = ["CompatWarning"]


class CompatWarning(UserWarning):
    """An option of another package's adapter has no effect here; the message has the reason."""
