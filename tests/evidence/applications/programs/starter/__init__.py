"""A Pyramid application of the shape of its starter cookiecutter with SQLAlchemy, and the login of its tutorial."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.session import SignedCookieSessionFactory

from tests.evidence.applications.programs.starter.security import Security

__all__ = ["main"]


def main(global_config: dict[str, str], **settings: str) -> Any:
    """Return the WSGI application."""
    with Configurator(settings=settings) as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_retry")
        config.include("pyramid_tm")
        config.include(".models")
        # By default a session is sent again whenever a second has passed.
        session = SignedCookieSessionFactory("of the comparison", samesite="Strict", reissue_time=1000)
        config.set_session_factory(session)
        config.set_security_policy(Security("of the comparison"))
        config.set_default_csrf_options(require_csrf=True)
        config.add_static_view("static", "static", cache_max_age=3600)
        config.add_route("home", "/")
        config.add_route("login", "/login")
        config.add_route("logout", "/logout")
        config.add_route("documents", "/documents")
        config.add_route("document", "/documents/{number:\\d+}")
        config.add_route("lines", "/lines")
        config.add_route("broken", "/broken")
        config.scan(".views")
    return config.make_wsgi_app()
