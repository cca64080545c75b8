"""The translation of requests as adapters of your own can use it; `gateway.translate.scope_environ` defines it."""

from gateway.translate.scope_environ import environ_to_scope, scope_to_environ

__all__ = ["environ_to_scope", "scope_to_environ"]
