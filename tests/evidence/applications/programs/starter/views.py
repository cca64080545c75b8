"""The views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.view import exception_view_config, forbidden_view_config, notfound_view_config, view_config
from sqlalchemy import select

from tests.evidence.applications.programs.starter.models import Document

__all__: list[str] = []


@view_config(route_name="home", renderer="templates/home.jinja2")
def home(request: Request) -> dict[str, Any]:
    """The starter's page."""
    return {"project": "Starter ü"}


@notfound_view_config(renderer="templates/404.jinja2")
def notfound(request: Request) -> dict[str, Any]:
    """What is not there."""
    request.response.status = 404
    return {}


@forbidden_view_config()
def forbidden(error: HTTPForbidden, request: Request) -> Any:
    """Send to the login."""
    return HTTPSeeOther(request.route_url("login", _query={"next": request.path}))


@exception_view_config(RuntimeError)
def failed(error: RuntimeError, request: Request) -> Response:
    """Say that it failed."""
    return Response(f"it failed: {error}", status=500)


@view_config(route_name="login", renderer="templates/form.jinja2")
def login(request: Request) -> Any:
    """Log in."""
    if request.method == "POST":
        if (request.POST["login"], request.POST["password"]) == ("ada", "countess"):
            request.session.flash("Hello, Ada.")
            return HTTPSeeOther(request.route_url("documents"), headers=remember(request, "ada"))
        request.response.status = 400
    return {"fields": [("login", "text"), ("password", "password")], "files": False}


@view_config(route_name="logout", request_method="POST")
def logout(request: Request) -> Any:
    """Log out."""
    request.session.invalidate()
    return HTTPSeeOther(request.route_url("home"), headers=forget(request))


@view_config(route_name="documents", renderer="templates/documents.jinja2", permission="read", request_method="GET")
def documents(request: Request) -> dict[str, Any]:
    """All documents, and the form of an upload."""
    return {"documents": request.database.scalars(select(Document).order_by(Document.id)).all()}


@view_config(route_name="documents", permission="write", request_method="POST")
def add(request: Request) -> HTTPFound:
    """Keep a document."""
    upload = request.POST["file"]
    request.database.add(Document(title=request.POST["title"], content=upload.file.read()))
    request.session.flash(f"{upload.filename} is kept.")
    return HTTPFound(request.route_url("documents"))


@view_config(route_name="document", permission="read")
def document(request: Request) -> Response:
    """The file of a document."""
    found = request.database.get(Document, int(request.matchdict["number"]))
    if found is None:
        raise HTTPNotFound
    response = Response(found.content, content_type="application/octet-stream", conditional_response=True)
    response.md5_etag(set_content_md5=True)
    response.content_disposition = 'attachment; filename="document.bin"'
    return response


@view_config(route_name="lines")
def lines(request: Request) -> Response:
    """Lines, one after the other."""

    def each() -> Iterator[bytes]:
        for number in range(200):
            yield b"line %d\n" % number

    return Response(app_iter=each(), content_type="text/plain")


@view_config(route_name="broken", renderer="string")
def broken(request: Request) -> str:
    """Raise, after a change that the transaction takes back."""
    request.database.add(Document(title="never", content=b""))
    raise RuntimeError("raised on purpose")
