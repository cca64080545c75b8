"""Documents in a database, in a transaction for each request."""

from __future__ import annotations

from typing import Any

import zope.sqlalchemy
from pyramid.config import Configurator
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

__all__ = ["Base", "Document", "includeme"]


class Base(DeclarativeBase):
    """The tables."""


class Document(Base):
    """A document, with its file."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    content: Mapped[bytes]


def includeme(config: Configurator) -> None:
    """Give each request a session in the transaction of pyramid_tm."""
    settings = config.get_settings()
    settings["tm.manager_hook"] = "pyramid_tm.explicit_manager"
    factory = sessionmaker(create_engine(settings["sqlalchemy.url"]))

    def opened(request: Any) -> Session:
        session = factory()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    config.add_request_method(opened, "database", reify=True)
