"""Reads values.yaml with the comments that describe it.

Above each key stand, without an empty line between:

    # -- What it is, in one or more lines.
    # @schema {type: integer, minimum: 0}

The schema may be left out where the default tells the type. A map with a schema of its own is one
value; any other map is closed, and each of its keys is described in turn.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from chart_values.errors import ValuesError

Schema = dict[str, Any]

DESCRIPTION = "# -- "
SCHEMA = "# @schema "

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Value:
    """One key of values.yaml: a value, or a closed map of further ones."""

    path: tuple[str, ...]
    default: Any
    description: str
    schema: Schema | None
    """None of a closed map, and of what is described elsewhere."""
    children: tuple["Value", ...] = ()

    @property
    def key(self) -> str:
        """Its place, as `--set` takes it."""
        return ".".join(self.path)

    def leaves(self) -> Iterator["Value"]:
        """The values below, or itself."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass
class _Reader:
    source: str
    lines: list[str]
    elsewhere: Container[tuple[str, ...]]
    opaque: Container[tuple[str, ...]]
    problems: list[str] = field(default_factory=list)

    def children(self, node: yaml.Node, above: tuple[str, ...] = ()) -> tuple[Value, ...]:
        if not isinstance(node, yaml.MappingNode):
            self.problems.append(f"{self.source}: holds no map.")
            return ()
        names = [key.value for key, _ in node.value]
        for name in {name for name in names if names.count(name) > 1}:
            self.problems.append(f"{self.source}: {'.'.join((*above, name))} is given twice.")
        return tuple(self._value(key, value, above) for key, value in node.value)

    def _value(self, key: yaml.Node, node: yaml.Node, above: tuple[str, ...]) -> Value:
        path = (*above, str(key.value))
        default = _plain(node)
        description, schema = self._comment(key, path)
        if path in self.elsewhere:
            if description or schema:
                self._problem(key, path, "is described in the code. Remove the comment above it")
            return Value(path, default, "", None)
        if not description:
            self._problem(key, path, f"has no description. Write `{DESCRIPTION}…` above it")
        if schema is None and path in self.opaque:
            return Value(path, default, description, None)
        if schema is None and isinstance(default, dict) and default:
            return Value(path, default, description, None, self.children(node, path))
        return Value(path, default, description, schema or self._inferred(key, path, default))

    def _inferred(self, key: yaml.Node, path: tuple[str, ...], default: Any) -> Schema:
        if type(default) not in _TYPES:
            self._problem(
                key, path, f"has a default that tells no type. Write `{SCHEMA}…` above it"
            )
            return {}
        return {"type": _TYPES[type(default)]}

    def _comment(self, key: yaml.Node, path: tuple[str, ...]) -> tuple[str, Schema | None]:
        """The description and the schema above a key, if any."""
        indent = " " * key.start_mark.column
        block: list[str] = []
        for line in reversed(self.lines[: key.start_mark.line]):
            if not line.startswith(f"{indent}#"):
                break
            block.insert(0, line.removeprefix(indent))
        text = "\n".join([*block, ""])
        before, _, schema = text.partition(SCHEMA)
        _, _, description = before.partition(DESCRIPTION)
        return _joined(description), self._schema(key, path, _joined(schema))

    def _schema(self, key: yaml.Node, path: tuple[str, ...], text: str) -> Schema | None:
        if not text:
            return None
        try:
            schema = yaml.safe_load(text)
        except yaml.YAMLError as error:
            self._problem(key, path, f"has a schema that is no YAML: {error}. Correct it")
            return {}
        if not isinstance(schema, dict):
            self._problem(key, path, "has a schema that is no map. Write it as {type: …}")
            return {}
        return schema

    def _problem(self, key: yaml.Node, path: tuple[str, ...], what: str) -> None:
        place = f"{self.source}:{key.start_mark.line + 1}"
        self.problems.append(f"{place}: {'.'.join(path)} {what}.")


def read_values(
    file: Path,
    elsewhere: Container[tuple[str, ...]] = (),
    opaque: Container[tuple[str, ...]] = (),
) -> tuple[Value, ...]:
    """The keys of a file of values.

    `elsewhere` are the paths that the code describes; `opaque` those of maps whose schema is made
    elsewhere, but which are described here.

    Raises:
        ValuesError: a key has no description or no type, or is given twice; all of them are named.
    """
    text = file.read_text(encoding="utf-8")
    reader = _Reader(file.name, text.splitlines(), elsewhere, opaque)
    node = yaml.compose(text, yaml.SafeLoader)
    values = reader.children(node) if node else ()
    if reader.problems:
        raise ValuesError(reader.problems)
    return values


def _plain(node: yaml.Node) -> Any:
    return yaml.SafeLoader("").construct_document(node)


def _joined(comment: str) -> str:
    """Lines of a comment as one."""
    lines = (line.strip().removeprefix("#").strip() for line in comment.splitlines())
    return " ".join(filter(None, lines))
