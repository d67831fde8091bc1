"""What a value does: where in a render it shows, and as what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from chart.rendering import Rendered, UniqueKeys


class _Same:
    """The value itself."""

    def __repr__(self) -> str:
        return "the value itself"


class _Missing:
    """What is not in a render."""

    def __repr__(self) -> str:
        return "missing"

    def __deepcopy__(self, _: object) -> "_Missing":
        return self


SAME = _Same()
MISSING = _Missing()

Becomes = Any | Callable[[Any], bool]


@dataclass(frozen=True)
class Effect:
    """A row of the table: a value that is not the default, and what it does."""

    value: Any
    at: str | tuple[str, ...]
    """Where it shows: `Kind/name key key …`. In a list a key is an entry's name, its key, its path or
    its number; a text is read as YAML; `Kind/name` alone is the object."""
    becomes: Becomes = SAME
    """What stands there then, or what must hold of it."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Further values that it takes to see it, before and after."""
    instead: str = ""
    """What the values are refused with before; then there is no render to compare with."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where it shows."""
        return (self.at,) if isinstance(self.at, str) else self.at

    def holds(self, found: Any) -> bool:
        """Whether what stands there is what is to stand there."""
        if self.becomes is SAME:
            return bool(found == self.value)
        if callable(self.becomes):
            return found is not MISSING and bool(self.becomes(found))
        return bool(found == self.becomes)


def at(rendered: Rendered, place: str) -> Any:
    """What stands at a place, or MISSING."""
    which, *keys = place.split(" ")
    kind, _, name = which.partition("/")
    found: Any = rendered.find(kind, name)
    for key in keys:
        found = _step(found, key)
    return MISSING if found is None and not keys else found


def _step(node: Any, key: str) -> Any:
    if isinstance(node, str):
        node = yaml.load(node, UniqueKeys)
    if isinstance(node, dict):
        return node.get(key, MISSING)
    if isinstance(node, list):
        if key.isdigit():
            return node[int(key)] if int(key) < len(node) else MISSING
        named = (one for one in node if key in _names(one))
        return next(named, MISSING)
    return MISSING


def _names(entry: Any) -> set[Any]:
    if not isinstance(entry, dict):
        return {entry}
    return {entry.get(field) for field in ("name", "key", "path", "mountPath", "topologyKey")}


def put(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Values with one more, at a path as `--set` takes it."""
    name, _, rest = path.partition(".")
    below = values.get(name)
    inner = put(below if isinstance(below, Mapping) else {}, rest, value) if rest else value
    return {**values, name: inner}


def has(*parts: Any) -> Callable[[Any], bool]:
    """Holds of a text or a list that has all of these in it."""
    return lambda found: all(part in found for part in parts)


def changed(found: Any) -> bool:
    """Holds of whatever stands there; the test itself asks that it is not what stood there before."""
    return found is not MISSING
