"""Mistakes that a type checker must find: each line marked `error` has one."""

from flask import Flask

from gateway import Gateway, as_wsgi, wrap

app = Flask(__name__)

Gateway("module:app")  # error
Gateway(None)  # error
Gateway(app, "cgi")  # error
Gateway(app, engin="builtin")  # error
Gateway(app, None, [], "builtin")  # error
print(Gateway(app).app.no_such_attribute)  # error
print(Gateway(app).no_such_attribute)  # error
Gateway(app)(1)  # error
as_wsgi(3)  # error
wrap(app, interface="cgi")  # error
wrap(middlewares=[])  # error


@wrap
def create_app(name: str = "shop") -> Flask:
    return Flask(name)


create_app(3)  # error
print(create_app("shop").app.no_such_attribute)  # error


@wrap  # error
def view(request: object) -> str:
    return "no application"
