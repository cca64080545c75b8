"""Read YAML with the line of each key. PyYAML is in the extra ``generate``."""

from __future__ import annotations

from typing import Any, cast

from gateway.errors import ConfigurationError, MissingExtraError

__all__ = ["Map", "documents", "listed", "mapped"]


class Map(dict[str, object]):
    """A mapping that knows the line of each key."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.first = 0

    def line(self, key: str) -> int:
        """Return the line of a key, or the first line of the mapping."""
        return self.lines.get(key, self.first)


def mapped(value: object) -> Map:
    """Return a mapping; anything else becomes an empty one."""
    return value if isinstance(value, Map) else Map()


def listed(value: object) -> list[object]:
    """Return a list; anything else becomes an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def documents(text: str, file: str) -> list[object]:
    """Return the documents of a file.

    Raises:
        MissingExtraError: PyYAML is not installed.
        ConfigurationError: The file is not YAML.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading YAML files", "generate", package="pyyaml") from error
    yaml_: Any = yaml  # its node classes have no types
    loader = yaml_.SafeLoader(text)
    found: list[object] = []
    try:
        while loader.check_node():
            found.append(_convert(loader, loader.get_node(), yaml_))
    except yaml_.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{file}{line}: is not YAML: {getattr(error, 'problem', error)}") from error
    finally:
        loader.dispose()
    return found


def _convert(loader: Any, node: Any, yaml_: Any) -> object:
    if node is None:
        return None
    if isinstance(node, yaml_.MappingNode):
        loader.flatten_mapping(node)
        result = Map()
        result.first = node.start_mark.line + 1
        for key, value in node.value:
            name = str(key.value)
            result[name] = _convert(loader, value, yaml_)
            result.lines[name] = key.start_mark.line + 1
        return result
    if isinstance(node, yaml_.SequenceNode):
        return [_convert(loader, each, yaml_) for each in node.value]
    try:
        return loader.construct_object(node)
    except yaml_.YAMLError:
        return str(node.value)
