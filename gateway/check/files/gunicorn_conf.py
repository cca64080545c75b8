"""Read ``gunicorn.conf.py`` without running it: constants, environment variables with their defaults, arithmetic.

Gunicorn runs this file. A check does not, because the file may import the application. A value that only running the
file would show counts as unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from gateway.errors import ConfigurationError
from gateway.hazards.facts import Fact, Place, Server

__all__ = ["is_gunicorn_conf", "read_gunicorn_conf"]

_NUMBERS = {
    "workers": "workers",
    "threads": "threads",
    "timeout": "timeout",
    "graceful_timeout": "graceful_timeout",
    "keepalive": "keep_alive",
    "max_requests": "max_requests",
    "max_requests_jitter": "max_requests_jitter",
    "backlog": "backlog",
    "limit_request_line": "limit_request_line",
    "limit_request_field_size": "limit_request_field_size",
    "worker_connections": "worker_connections",
    "umask": "umask",
}
_TEXTS = {
    "bind": "bind",
    "worker_class": "worker_class",
    "forwarded_allow_ips": "forwarded_allow_ips",
    "worker_tmp_dir": "worker_tmp_dir",
    "accesslog": "access_log",
    "wsgi_app": "application",
}
_FLAGS = {"preload_app": "preload", "control_socket_disable": "control_socket"}
_CPU = ("cpu_count", "process_cpu_count", "sched_getaffinity")


def is_gunicorn_conf(text: str) -> bool:
    """Return whether a Python file assigns Gunicorn's settings."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    names = {
        target.id
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    known = {*_NUMBERS, *_TEXTS, *_FLAGS} - {"timeout", "threads", "backlog", "umask"}
    return len(names & known) >= 2 or ("bind" in names)


def read_gunicorn_conf(text: str, file: str, environment: Mapping[str, Fact[str]] | None = None) -> Server:
    """Return the settings of a file as a server, without Gunicorn's defaults.

    Raises:
        ConfigurationError: The file is not Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ConfigurationError(f"{file}:{error.lineno}: is not Python: {error.msg}") from error
    server = Server(name="gunicorn", worker="", place=Place(file, 0, "gunicorn"))
    names: dict[str, object] = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    for each in tree.body:
        if isinstance(each, ast.ImportFrom) and each.module and "gunicorn_hooks" in each.module:
            server.hooks = True
        target: ast.expr | None = None
        value: ast.expr | None = None
        if isinstance(each, ast.Assign) and len(each.targets) == 1:
            target, value = each.targets[0], each.value
        elif isinstance(each, ast.AnnAssign):
            target, value = each.target, each.value
        place = Place(file, each.lineno, ast.unparse(each) if value is not None else "")
        if isinstance(target, ast.Name) and value is not None:
            _assign(server, target.id, value, names, place, environment)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for name, part in zip(target.elts, value.elts, strict=False):
                if isinstance(name, ast.Name):
                    _assign(server, name.id, part, names, place, environment)
    return server


def _assign(
    server: Server,
    name: str,
    value: ast.expr,
    names: dict[str, object],
    place: Place,
    environment: Mapping[str, Fact[str]] | None,
) -> None:
    found = _value(value, names, environment)
    names[name] = found
    if name in _NUMBERS:
        if (isinstance(found, int | float) and not isinstance(found, bool)) or (
            isinstance(found, str) and found.isdecimal()
        ):
            server.numbers[_NUMBERS[name]] = Fact(float(found), place)
        elif name == "workers" and any(cpu in place.text for cpu in _CPU):
            server.texts["cpu_workers"] = Fact(place.text, place)
            server.numbers.pop("workers", None)
            server.texts["unknown_workers"] = Fact("", place)
    elif name in _TEXTS:
        if isinstance(found, list):
            found = ",".join(map(str, found))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # constants
        if isinstance(found, str) and _TEXTS[name] == "application":
            server.application = found
        elif isinstance(found, str):
            server.texts[_TEXTS[name]] = Fact(found, place)
    elif name in _FLAGS and found is True:
        server.texts[_FLAGS[name]] = Fact("on", place)
    elif name == "raw_env" and isinstance(found, list):
        for each in found:  # pyright: ignore[reportUnknownVariableType]  # a list of constants
            key, _, text = str(each).partition("=")  # pyright: ignore[reportUnknownArgumentType]
            server.texts[f"env:{key}"] = Fact(text, place)


def _value(node: ast.expr, names: Mapping[str, object], environment: Mapping[str, Fact[str]] | None) -> object:
    """Return the value of an expression; None if running the file would be needed."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names.get(name)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(each, names, environment) for each in elements]
        case ast.BinOp(left=left, op=operator, right=right):
            return _calculated(_value(left, names, environment), operator, _value(right, names, environment))
        case ast.BoolOp(op=ast.Or(), values=values):
            return next((v for each in values if (v := _value(each, names, environment))), None)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand, names, environment)
            return -inner if isinstance(inner, int | float) else None
        case ast.JoinedStr(values=parts):
            texts = [_value(p.value if isinstance(p, ast.FormattedValue) else p, names, environment) for p in parts]
            return None if None in texts else "".join(str(each) for each in texts)
        case ast.Call(func=ast.Name(id="int" | "float" | "str"), args=[inside]):
            found = _value(inside, names, environment)
            if isinstance(found, str) and ast.unparse(node.func) == "int":
                return int(found, 0) if found.replace("0o", "").isdecimal() else None
            return found
        case ast.Call(func=ast.Name(id=name), args=given) if isinstance(names.get(name), ast.FunctionDef):
            return _called(names[name], given, names, environment)
        case ast.Call(func=function, args=[inside, *rest]):
            variable = _value(inside, names, environment)
            read = isinstance(function, ast.Attribute) and function.attr in ("get", "getenv")
            if isinstance(variable, str) and (read or ast.unparse(function) == "getenv"):
                fact = (environment or {}).get(variable)
                if fact is not None:
                    return fact.value
                return _value(rest[0], names, environment) if rest else None
            return None
        case _:
            return None


def _called(
    function: object, given: list[ast.expr], names: Mapping[str, object], environment: Mapping[str, Fact[str]] | None
) -> object:
    """Return the value of a call of a function of the file that only returns an expression."""
    if not isinstance(function, ast.FunctionDef):
        return None
    body = [each for each in function.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
    match body:
        case [ast.Return(value=ast.expr() as returned)]:
            defaults = function.args.defaults
            parameters = [each.arg for each in function.args.args]
            inside = dict(names)
            inside |= zip(parameters[len(parameters) - len(defaults) :], map(_constant, defaults), strict=False)
            inside |= zip(parameters, (_value(each, names, environment) for each in given), strict=False)
            inside.pop(function.name)  # no recursion
            return _value(returned, inside, environment)
        case _:
            return None


def _constant(node: ast.expr) -> object:
    return _value(node, {}, None)


def _calculated(left: object, operator: ast.operator, right: object) -> object:
    if isinstance(left, str) and isinstance(right, str) and isinstance(operator, ast.Add):
        return left + right
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv() if right:
            return left // right
        case ast.Div() if right:
            return left / right
        case ast.Pow() if abs(right) < 64:
            return left**right
        case _:
            return None
