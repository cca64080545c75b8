"""Import the application that an import string names.

The grammar is the same for every server: ``module``, ``module:name``, ``module:object.attribute``,
``module:factory()`` and ``module:factory("staging", debug=False)`` with literal arguments. Without a name,
``_default()`` finds the application in the module.

A wrong import string raises a ``ConfigurationError`` with one line that includes the remedy. An exception of the
application's own code propagates unchanged, because servers act on its type: at a reload, Gunicorn recovers from a
``SyntaxError`` only. The command line turns such an exception into one line too, with ``told()``.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.protocols import detect, is_proxy

__all__ = ["DEFAULT_NAMES", "INDIRECT", "VARIABLE", "Target", "load", "parse", "told"]

T = TypeVar("T")

#: Names to look for in a module if the import string has only the module.
DEFAULT_NAMES = ("app", "application")
#: Environment variable with the import string that ``INDIRECT`` loads.
VARIABLE = "GATEWAY_APP"
#: Import string for servers that cannot take the import string of the application itself.
INDIRECT = "gateway.servers._target:application"
_PACKAGE = Path(__file__).parent
#: Prefixes of file names that a user does not edit: installed packages, and code without a file.
_LIBRARIES = (*(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")), "<")


@dataclass(frozen=True)
class Target:
    """A parsed import string.

    Attributes:
        module: Dotted module name.
        names: Attribute path in the module; empty if the text has only the module.
        call: Whether to call the object, because it is a factory.
        arguments: Literal positional arguments of that call.
        options: Literal keyword arguments of that call.
        text: The expression as it was written.
    """

    module: str
    names: tuple[str, ...] = ()
    call: bool = False
    arguments: tuple[object, ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    text: str = ""

    @property
    def plain(self) -> bool:
        """Whether every server understands the text: one module and one name, without a call."""
        return len(self.names) == 1 and not self.call

    def __str__(self) -> str:
        return f"{self.module}:{self.text}" if self.text else self.module


def parse(text: str, *, factory: bool = False) -> Target:
    """Read an import string without importing anything.

    Args:
        text: ``module``, ``module:name``, ``module:name.attribute`` or ``module:factory(...)``.
        factory: Treat the named object as a factory even if the text does not call it.

    Raises:
        ConfigurationError: The text is not an import string.
    """
    module, _, expression = text.partition(":")
    named = all(part.isidentifier() for part in module.split(".")) and not module.endswith(".py")
    if not named or (":" in text and not expression):
        raise ConfigurationError(f"an application must be named as MODULE:APP, got {text!r}{_file_hint(module)}")
    if not expression:
        if factory:
            raise ConfigurationError(f"a factory must be named, got {text!r}; for example {module}:create_app")
        return Target(module)
    try:
        node = ast.parse(expression.strip(), mode="eval").body
        target = _read(module, node)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(
            f"{expression!r} in {text!r} must be a name, a dotted name, or a call with literal arguments; "
            f"for example {module}:app or {module}:create_app()"
        ) from error
    if factory and not target.call:
        return Target(module, target.names, call=True, text=f"{expression}()")
    return Target(module, target.names, target.call, target.arguments, target.options, expression.strip())


def load(target: Target | str) -> tuple[Target, object]:
    """Import the module and return the target, with the name that was found, and the application.

    ``sys.path`` decides which module is imported. An exception that the module's code raises propagates unchanged.

    Raises:
        ConfigurationError: The module or attribute does not exist, or the module has several applications.
    """
    if isinstance(target, str):
        target = parse(target)
    module = _import(target)
    if not target.names:
        name = _default(target, module)
        return Target(target.module, (name,), text=name), getattr(module, name)
    found: object = module
    walked = target.module
    for name in target.names:
        if not hasattr(found, name):
            raise ConfigurationError(f"{walked} has no attribute {name!r}{_similar(name, found, target)}")
        found = getattr(found, name)
        walked = f"{walked}.{name}" if ":" in walked else f"{walked}:{name}"
    if not target.call:
        return target, found
    if not callable(found):
        raise ConfigurationError(f"{walked} is {_kind(found)}, not a factory; remove the ()")
    try:
        made: object = found(*target.arguments, **dict(target.options))
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # raised by the call itself
            raise ConfigurationError(
                f"calling the factory {walked} failed: {error}; correct its arguments, for example {walked}(...)"
            ) from error
        raise
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(
            f"the factory {walked} must be a plain `def`: it is an `async def`, which is never awaited here"
        )
    return target, made


def told(what: str, do: Callable[[], T]) -> T:
    """Turn an exception that the application's own code raises into one line for a terminal.

    Args:
        what: Name of the step, for example ``"loading shop:app"``.
        do: Function that runs the step. Its result is returned.

    Raises:
        ConfigurationError: The step raised; the original exception is the cause.
    """
    try:
        return do()
    except (Exception, SystemExit) as error:
        frames = _frames(error)
        if isinstance(error, ConfigurationError) and not frames:  # of this package, about the text itself
            raise
        place = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise ConfigurationError(
                f"{place}{what} needs the module {error.name!r}, which is not installed; install it in {sys.prefix}"
            ) from error
        raise ConfigurationError(f"{place}{what} raised {_raised(error)}; fix the error there") from error


def _read(module: str, node: ast.expr) -> Target:
    if isinstance(node, ast.Call):
        options: list[tuple[str, object]] = []
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError("** in a call")
            options.append((keyword.arg, ast.literal_eval(keyword.value)))
        arguments = tuple(ast.literal_eval(argument) for argument in node.args)
        return Target(module, _names(node.func), True, arguments, tuple(options))
    return Target(module, _names(node))


def _names(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (*_names(node.value), node.attr)
    raise ValueError("neither a name nor a dotted name")


def _import(target: Target) -> ModuleType:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if target.module == missing or target.module.startswith(f"{missing}."):
            raise ConfigurationError(
                f"no module named {missing!r} in {_where()}; check the name, or the folder to import from "
                "(--app-dir, app_dir)"
            ) from error
        raise


def _default(target: Target, module: ModuleType) -> str:
    """Find the name of the application in a module.

    A `Gateway` or `Mount` of any name goes before a plain application, because serving the plain application would
    skip the chain around it. A name of ``DEFAULT_NAMES`` goes before other names.

    Raises:
        ConfigurationError: The module has no application, or several.
    """
    named = {name: getattr(module, name) for name in DEFAULT_NAMES if hasattr(module, name)}
    named = {name: value for name, value in named.items() if not isinstance(value, ModuleType)}  # `shop.app` imported
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    outermost = _outermost({**named, **public})
    plain = [name for name, value in named.items() if _is_application(value)]
    found = [name for name in outermost if name in named] or outermost or _distinct(plain, named)
    if len(found) > 1:
        choices = [f"{target.module}:{name}" for name in found]
        raise ConfigurationError(
            f"{target.module} has {len(found)} applications: {', '.join(choices)}; name the one to serve, for example "
            f"{choices[0]}"
        )
    for name in (*found, *named):
        return name
    raise ConfigurationError(_no_default(target, module))


def _outermost(values: Mapping[str, object]) -> list[str]:
    """Return the names of the `Gateway` and `Mount` objects that are not inside another, once each."""
    own = {name: value for name, value in values.items() if isinstance(value, Dual)}
    held = {id(inner) for value in own.values() for inner in _held(value)}
    return _distinct((name for name, value in own.items() if id(value) not in held), own)


def _held(value: object) -> Iterable[object]:
    """Find the objects inside a `Gateway`, a `Mount`, or a proxy of one."""
    inside = [getattr(value, "app", None), *getattr(value, "gateways", ())]
    if is_proxy(value):
        inside.append(getattr(value, "__wrapped__", None))
    for each in inside:
        if isinstance(each, Dual):
            yield each
            yield from _held(each)


def _distinct(names: Iterable[str], values: Mapping[str, object]) -> list[str]:
    """Return the names, keeping only the first for each object."""
    return list({id(values[name]): name for name in reversed(list(names))}.values())[::-1]


def _is_application(value: object) -> bool:
    try:
        detect(value)
    except ConfigurationError:
        return False
    return True


def _raised(error: BaseException) -> str:
    """Return the exception in one line, with the file and line to correct."""
    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    frames = _frames(error)
    return f"{what} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else what


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames to blame, innermost last: of the user's code, else of libraries, never of this package."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and _PACKAGE not in Path(frame.filename).parents
    ]
    return [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)] or frames


def _no_default(target: Target, module: ModuleType) -> str:
    said = f"{target.module} has neither {' nor '.join(map(repr, DEFAULT_NAMES))}"
    for name in ("asgi", "wsgi"):  # a Django project's package
        if hasattr(module, "__path__") and importlib.util.find_spec(f"{target.module}.{name}") is not None:
            return f"{said}; did you mean {target.module}.{name}?"
    for name in ("create_app", "make_app"):
        if callable(getattr(module, name, None)):
            return f"{said}; did you mean {target.module}:{name}()?"
    return f"{said}; name the application: {target.module}:attribute"


def _similar(name: str, found: object, target: Target) -> str:
    public = [entry for entry in dir(found) if not entry.startswith("_")]
    near = difflib.get_close_matches(name, public, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; check the name after the colon in {str(target)!r}"


def _file_hint(text: str) -> str:
    path = Path(text)
    if text.endswith(".py"):
        folder = "" if path.parent == Path() else f" --app-dir {path.parent}"
        return f"; for the file {text} that is {path.stem}:app{folder}"
    return "; for example myproject.main:app"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _where() -> str:
    return sys.path[0] or str(Path.cwd())
