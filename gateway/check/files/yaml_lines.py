"""Read YAML with the file and the line of each key, and put files together. PyYAML is in the extra ``generate``."""

from __future__ import annotations

from typing import Any, cast

from gateway.errors import ConfigurationError, MissingExtraError
from gateway.hazards.facts import Place

__all__ = ["Map", "documents", "listed", "mapped", "merged"]


class Map(dict[str, object]):
    """A mapping that knows the file and the line of each key."""

    def __init__(self, file: str = "") -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.files: dict[str, str] = {}
        self.file = file
        self.first = 0

    def place(self, key: str, text: str) -> Place:
        """Return the place of a key."""
        return Place(self.files.get(key, self.file), self.line(key), text)

    def line(self, key: str) -> int:
        """Return the line of a key, or the first line of the mapping."""
        return self.lines.get(key, self.first)


def mapped(value: object) -> Map:
    """Return a mapping; anything else becomes an empty one."""
    return value if isinstance(value, Map) else Map()


def listed(value: object) -> list[object]:
    """Return a list; anything else becomes an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def merged(base: Map, patch: Map) -> Map:
    """Return a mapping with the values of a second one in it, as kustomize and Compose merge files.

    Mappings are merged, lists of mappings by their ``name``; other values are replaced, and null removes a key.
    """
    result = Map(base.file)
    result.update(base)
    result.lines, result.files, result.first = dict(base.lines), dict(base.files), base.first
    for key, value in patch.items():
        known = base.get(key)
        if value is None:
            result.pop(key, None)
            continue
        if isinstance(value, Map) and isinstance(known, Map):
            value = merged(known, value)
        elif listed(value) and listed(known):
            value = _merged_lists(listed(known), listed(value))
        result[key] = value
        if not (isinstance(value, Map | list) and known is not None):
            result.lines[key], result.files[key] = patch.line(key), patch.files.get(key, patch.file)
    return result


def _merged_lists(base: list[object], patch: list[object]) -> list[object]:
    names = {each.get("name"): index for index, each in enumerate(base) if isinstance(each, Map) and "name" in each}
    if not names or not all(isinstance(each, Map) and "name" in each for each in patch):
        return patch
    result = list(base)
    for each in patch:
        index = names.get(mapped(each).get("name"))
        if index is None:
            result.append(each)
        else:
            result[index] = merged(mapped(base[index]), mapped(each))
    return result


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
    loader = getattr(yaml_, "CSafeLoader", yaml_.SafeLoader)(text)  # libyaml's parser is faster, if it is there
    found: list[object] = []
    try:
        while loader.check_node():
            found.append(_convert(loader, loader.get_node(), yaml_, file))
    except yaml_.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{file}{line}: is not YAML: {getattr(error, 'problem', error)}") from error
    finally:
        loader.dispose()
    return found


def _convert(loader: Any, node: Any, yaml_: Any, file: str) -> object:
    if node is None:
        return None
    if isinstance(node, yaml_.MappingNode):
        loader.flatten_mapping(node)
        result = Map(file)
        result.first = node.start_mark.line + 1
        for key, value in node.value:
            name = str(key.value)
            result[name] = _convert(loader, value, yaml_, file)
            result.lines[name] = key.start_mark.line + 1
        return result
    if isinstance(node, yaml_.SequenceNode):
        return [_convert(loader, each, yaml_, file) for each in node.value]
    try:
        return loader.construct_object(node)
    except yaml_.YAMLError:
        return str(node.value)
