"""A Flask application that Flask-Admin administers, as in its example with Flask-Login."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, redirect, request, url_for
from flask_admin import Admin, AdminIndexView, expose
from flask_admin.contrib.fileadmin import FileAdmin
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import SecureForm
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash
from wtforms import Form, PasswordField, StringField

__all__ = ["Book", "User", "create", "database"]

database: Any = SQLAlchemy()


class User(UserMixin, database.Model):  # type: ignore[misc]  # made at run time
    """Who may log in."""

    id = database.Column(database.Integer, primary_key=True)
    login = database.Column(database.String(80), unique=True)
    password = database.Column(database.String(200))

    @staticmethod
    def hashed(password: str) -> str:
        """The hash of a password; a weak one, because a script logs in."""
        return generate_password_hash(password, "pbkdf2:sha256:1000")


class Book(database.Model):  # type: ignore[misc]  # made at run time
    """What is administered."""

    id = database.Column(database.Integer, primary_key=True)
    title = database.Column(database.String(100), nullable=False)
    pages = database.Column(database.Integer)


class LoginForm(SecureForm):
    """The form of the login page."""

    login = StringField()
    password = PasswordField()


class Index(AdminIndexView):
    """The index, for those who are logged in."""

    @expose("/")
    def index(self) -> Any:
        """Show the index or the way to the login."""
        return super().index() if current_user.is_authenticated else redirect(url_for(".login"))

    @expose("/login/", methods=("GET", "POST"))
    def login(self) -> Any:
        """Log in."""
        form: Form = LoginForm(request.form)
        if request.method == "POST" and form.validate():
            user = database.session.query(User).filter_by(login=form.login.data).first()
            if user is not None and check_password_hash(user.password, form.password.data):
                login_user(user)
                return redirect(url_for(".index"))
        fields = "".join(str(field) for field in form)
        return self.render("admin/index.html") + f'<form method="post">{fields}</form>'

    @expose("/logout/")
    def logout(self) -> Any:
        """Log out."""
        logout_user()
        return redirect(url_for(".index"))


class _LoggedIn:
    def is_accessible(self) -> bool:
        return bool(current_user.is_authenticated)

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        return redirect(url_for("admin.login", next=request.url))


class Books(_LoggedIn, ModelView):
    """The books."""

    form_base_class = SecureForm
    can_export = True
    column_searchable_list = ("title",)


class Files(_LoggedIn, FileAdmin):
    """The files."""

    form_base_class = SecureForm


def create(folder: Path) -> Flask:
    """Create the application on the files of a folder."""
    app = Flask("library")
    app.config["SECRET_KEY"] = "of the comparison"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder / 'library.db'}"
    database.init_app(app)
    manager = LoginManager(app)

    @manager.user_loader
    def user(number: str) -> Any:
        return database.session.get(User, int(number))

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("raised on purpose")

    admin = Admin(app, name="Library", index_view=Index())
    admin.add_view(Books(Book, database.session))
    admin.add_view(Files(str(folder / "files"), name="Files"))
    return app
