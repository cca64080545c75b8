"""Read the chain of an application without importing it: from ``gateway.toml``, or from the source of a module.

The source is read as syntax. A middleware or a preset that the module calls with constants is a fact; everything else
is unknown. Django's settings count as well: ``ALLOWED_HOSTS``, ``SECURE_SSL_REDIRECT``, ``SECURE_HSTS_SECONDS``.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import cast

from gateway.errors import ConfigurationError
from gateway.hazards.facts import Chain, Fact, Files, Place

__all__ = ["read_source", "read_toml"]

_PRESETS: Mapping[str, tuple[str, ...]] = {
    "behind_load_balancer": (
        "health", "proxy_headers", "request_id", "access_log", "security_headers", "trusted_host", "https_redirect",
        "body_limit", "compression", "conditional_get", "errors",
    ),
    "behind_nginx": (
        "health", "proxy_headers", "request_id", "access_log", "security_headers", "trusted_host", "unbuffered",
        "conditional_get", "errors",
    ),
    "edge": (
        "health", "request_id", "access_log", "security_headers", "trusted_host", "https_redirect", "body_limit",
        "compression", "conditional_get", "errors",
    ),
}  # fmt: skip
_KNOWN = (
    "health", "proxy_headers", "request_id", "access_log", "security_headers", "trusted_host", "https_redirect",
    "body_limit", "compression", "conditional_get", "errors", "unbuffered", "metrics", "rate_limit", "static_files",
    "cors",
)  # fmt: skip
_MEBIBYTE = 2**20


def _line(text: str, *words: str) -> int:
    """Return the first line that has all words, after one another; 0 if there is none."""
    for index, line in enumerate(text.splitlines(), 1):
        if all(word in line for word in words):
            return index
    return 0


def _add(chain: Chain, use: str, options: Mapping[str, object], place: Place, lines: Mapping[str, int]) -> None:
    """Add a middleware or a preset with its options."""
    if use in _PRESETS:
        for name in _PRESETS[use]:
            if options.get(name, "default") not in (None, False):
                chain.names.setdefault(name, place)
        _preset(chain, use, options, place, lines)
        for name in _KNOWN:
            inner = options.get(name)
            if isinstance(inner, Mapping):
                _add(chain, name, cast("Mapping[str, object]", inner), place, lines)
        return
    chain.names[use] = place

    def at(key: str) -> Place:
        return Place(
            place.file, lines.get(f"{use}.{key}", lines.get(key, place.line)), f"{key} = {_shown(options.get(key))}"
        )

    def numeric(key: str, name: str) -> None:
        value = options.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            chain.numbers[name] = Fact(float(value), at(key))

    def textual(key: str, name: str, default: str | None = None) -> None:
        value = options.get(key, default)
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = " ".join(str(each) for each in cast("Sequence[object]", value))
        if isinstance(value, str):
            chain.texts[name] = Fact(value, at(key) if key in options else place, key in options)

    match use:
        case "body_limit":
            numeric("max_bytes", "max_bytes")
        case "trusted_host":
            textual("allowed", "hosts")
        case "proxy_headers":
            numeric("hops", "hops")
            textual("trust", "trust")
            textual("platform", "platform")
            textual("mode", "proxy_mode")
            if options.get("mode") == "off":
                chain.names.pop("proxy_headers", None)
        case "health":
            numeric("drain_seconds", "drain_seconds")
            textual("drain_file", "drain_file")
            textual("live_path", "live_path", "/livez")
            textual("ready_path", "ready_path", "/readyz")
        case "metrics":
            textual("path", "metrics_path", "/metrics")
            textual("allow", "metrics_allow", "127.0.0.0/8 ::1")
        case "request_id":
            textual("accept", "request_id", "trusted-peer")
        case "https_redirect":
            chain.texts["redirect"] = Fact("on", place)
            numeric("hsts_seconds", "hsts")
        case "security_headers":
            numeric("hsts_seconds", "hsts")
        case "rate_limit":
            numeric("timeout", "store_timeout")
            store = options.get("store")
            waits = re.search(r"socket_timeout=(\d+(?:\.\d+)?)", str(store))
            if waits is not None:
                chain.numbers["store_timeout"] = Fact(float(waits[1]), at("store"))
        case _:
            pass


def _shown(value: object) -> str:
    return repr(value)


def _preset(chain: Chain, use: str, options: Mapping[str, object], place: Place, lines: Mapping[str, int]) -> None:
    def at(key: str) -> Place:
        return (
            Place(place.file, lines.get(key, place.line), f"{key} = {_shown(options.get(key))}")
            if key in options
            else place
        )

    hosts = options.get("hosts")
    if isinstance(hosts, Sequence) and not isinstance(hosts, str):
        chain.texts["hosts"] = Fact(" ".join(str(each) for each in cast("Sequence[object]", hosts)), at("hosts"))
    trust = options.get("trust")
    if isinstance(trust, Sequence) and not isinstance(trust, str):
        chain.texts["trust"] = Fact(" ".join(str(each) for each in cast("Sequence[object]", trust)), at("trust"))
    for key, name in (("max_bytes", "max_bytes"), ("hops", "hops"), ("hsts_seconds", "hsts")):
        value = options.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            chain.numbers[name] = Fact(float(value), at(key))
    if "body_limit" in chain.names and "max_bytes" not in chain.numbers:
        chain.numbers["max_bytes"] = Fact(
            10.0 * _MEBIBYTE, Place(place.file, place.line, f"{use}: max_bytes 10 MiB"), False
        )
    platform = options.get("platform")
    if isinstance(platform, str):
        chain.texts["platform"] = Fact(platform, Place(place.file, at("platform").line, f"platform {platform}"))
    if "https_redirect" in chain.names and options.get("https_redirect", "default") == "default":
        chain.texts["redirect"] = Fact("on", Place(place.file, place.line, f"{use}: https_redirect"))
    chain.texts["live_path"] = Fact("/livez", place, False)
    chain.texts["ready_path"] = Fact("/readyz", place, False)
    if "request_id" in chain.names:
        chain.texts["request_id"] = Fact("trusted-peer" if use == "behind_nginx" else "never", place, False)


def read_toml(text: str, file: str, files: Files) -> tuple[Chain | None, str]:
    """Return the chain of a configuration file, and the import string of its application; add its numbers.

    Raises:
        ConfigurationError: The file is not TOML.
    """
    try:
        whole: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: is not valid TOML: {error}") from error
    table = whole
    if file.endswith("pyproject.toml"):
        tool = whole.get("tool")
        found = cast("Mapping[str, object]", tool).get("gateway") if isinstance(tool, Mapping) else None
        if not isinstance(found, Mapping):
            return None, ""
        table = cast("Mapping[str, object]", found)
    _deploy(table, text, file, files)
    entries = table.get("middleware")
    chain = Chain(place=Place(file, _line(text, "application"), f"application = {table.get('application')!r}"))
    raw = text.splitlines()
    starts = [index for index, line in enumerate(raw) if re.match(r"\s*\[\[.*middleware\]\]", line)]
    for number, each in enumerate(cast("list[object]", entries) if isinstance(entries, list) else []):
        if not isinstance(each, Mapping):
            continue
        entry = cast("Mapping[str, object]", each)
        begin = starts[number] if number < len(starts) else 0
        end = starts[number + 1] if number + 1 < len(starts) else len(raw)
        lines: dict[str, int] = {}
        for index in range(begin, end):
            for key in re.findall(r"\b([A-Za-z_]+)\s*=", raw[index]):
                lines.setdefault(key, index + 1)
        use, options = str(entry.get("use", "")), entry.get("options")
        place = Place(file, lines.get("use", begin + 1), f"use = {use!r}")
        given = cast("Mapping[str, object]", options) if isinstance(options, Mapping) else dict[str, object]()
        _add(chain, use.rpartition(":")[2].lower() if ":" in use else use, given, place, lines)
    return chain, str(table.get("application", ""))


def _deploy(table: Mapping[str, object], text: str, file: str, files: Files) -> None:
    deploy = table.get("deploy")
    for key, value in cast("Mapping[str, object]", deploy).items() if isinstance(deploy, Mapping) else ():
        place = Place(file, _line(text, key, "="), f"{key} = {value!r}")
        if key == "longest_request" and isinstance(value, int):
            files.numbers["longest_request"] = Fact(float(value), place)
        if key == "platform" and isinstance(value, str) and value not in ("nginx", "haproxy", "caddy", "none"):
            files.texts["platform"] = Fact(value, Place(file, place.line, f"platform {value}"))


_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")


def read_source(text: str, file: str) -> Chain | None:
    """Return the chain that a module builds, or the settings of Django; None if the module shows neither."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    chain = Chain(place=Place(file, 0, "application"), complete=False)
    constants: dict[str, object] = {}
    for each in tree.body:
        if isinstance(each, ast.Assign) and len(each.targets) == 1 and isinstance(each.targets[0], ast.Name):
            constants[each.targets[0].id] = _constant(each.value, constants)
    for call in _calls(tree):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        use = name if name in _PRESETS else _SNAKE.sub("_", name).lower()
        if name == "for_platform" and isinstance(call.func, ast.Attribute):
            use = "proxy_headers"
        if use not in _KNOWN and use not in _PRESETS:
            if name == "WhiteNoise":
                chain.names["whitenoise"] = Place(file, call.lineno, "WhiteNoise")
            continue
        if name[:1].islower() and name not in _PRESETS and name != "for_platform":
            continue
        options: dict[str, object] = {}
        lines: dict[str, int] = {}
        for keyword in call.keywords:
            if keyword.arg is not None:
                options[keyword.arg] = _option(keyword.value, constants)
                lines[keyword.arg] = keyword.value.lineno
        if name == "for_platform" and call.args:
            options["platform"] = _constant(call.args[0], constants)
        _add(chain, use, options, Place(file, call.lineno, ast.unparse(call)[:120]), lines)
    _django(chain, tree, constants, file)
    _flask(chain, tree, constants, file)
    chain.complete = any(isinstance(each.func, ast.Name) and each.func.id == "Gateway" for each in _calls(tree))
    return chain if chain.names or chain.numbers or chain.texts or chain.complete else None


def _calls(tree: ast.AST) -> list[ast.Call]:
    found = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _option(node: ast.expr, constants: Mapping[str, object]) -> object:
    """Return a constant; a call inside of a preset counts as given, and is read by itself."""
    return "given" if isinstance(node, ast.Call) else _constant(node, constants)


def _constant(node: ast.expr, constants: Mapping[str, object]) -> object:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return constants.get(name)
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
            return [_constant(each, constants) for each in elements]
        case ast.BinOp(left=left, op=operator, right=right):
            ours, theirs = _constant(left, constants), _constant(right, constants)
            if isinstance(ours, int | float) and isinstance(theirs, int | float):
                if isinstance(operator, ast.Mult):
                    return ours * theirs
                if isinstance(operator, ast.Add):
                    return ours + theirs
                if isinstance(operator, ast.Pow) and abs(theirs) < 64:
                    return ours**theirs
                if (
                    isinstance(operator, ast.LShift)
                    and isinstance(ours, int)
                    and isinstance(theirs, int)
                    and theirs < 64
                ):
                    return ours << theirs
            return None
        case _:
            return None


def _django(chain: Chain, tree: ast.Module, constants: Mapping[str, object], file: str) -> None:
    lines = {
        target.id: each.lineno
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    hosts = constants.get("ALLOWED_HOSTS")
    if isinstance(hosts, list) and all(isinstance(each, str) for each in cast("list[object]", hosts)) and hosts:
        text = " ".join(cast("list[str]", hosts))
        chain.texts["hosts"] = Fact(text, Place(file, lines["ALLOWED_HOSTS"], f"ALLOWED_HOSTS = {hosts!r}"))
    if constants.get("SECURE_SSL_REDIRECT") is True:
        chain.texts["redirect"] = Fact("on", Place(file, lines["SECURE_SSL_REDIRECT"], "SECURE_SSL_REDIRECT = True"))
    for key, name in (("SECURE_HSTS_SECONDS", "hsts"), ("DATA_UPLOAD_MAX_MEMORY_SIZE", "django_max")):
        value = constants.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            chain.numbers[name] = Fact(float(value), Place(file, lines[key], f"{key} = {value}"))
    middleware = constants.get("MIDDLEWARE")
    if isinstance(middleware, list):
        for each in cast("list[object]", middleware):
            if "whitenoise" in str(each).lower():
                chain.names["whitenoise"] = Place(file, lines["MIDDLEWARE"], str(each))
            if "gzip" in str(each).lower():
                chain.names["compression"] = Place(file, lines["MIDDLEWARE"], str(each))
            if "prometheus" in str(each).lower():
                chain.texts.setdefault("metrics_path", Fact("/metrics", Place(file, lines["MIDDLEWARE"], str(each))))


def _flask(chain: Chain, tree: ast.Module, constants: Mapping[str, object], file: str) -> None:
    """Read ``MAX_CONTENT_LENGTH``, Werkzeug's ``ProxyFix`` and ``Compress`` of a Flask application."""
    for each in ast.walk(tree):
        if isinstance(each, ast.Assign) and "MAX_CONTENT_LENGTH" in ast.unparse(each.targets[0]):
            value = _constant(each.value, constants)
            if isinstance(value, int | float):
                chain.numbers["max_bytes"] = Fact(float(value), Place(file, each.lineno, ast.unparse(each)))
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "ProxyFix":
            hops = next((_constant(k.value, constants) for k in each.keywords if k.arg == "x_for"), 1)
            if isinstance(hops, int):
                chain.numbers["hops"] = Fact(float(hops), Place(file, each.lineno, ast.unparse(each)))
