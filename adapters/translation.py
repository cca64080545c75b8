"""Public names of the request translation, for adapters of your own. `gateway.translate.scope_environ` defines them."""

from gateway.translate.scope_environ import environ_to_scope, scope_to_environ

__all__ = ["environ_to_scope", "scope_to_environ"]
