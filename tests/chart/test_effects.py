"""Every value has a description, a type and a row of what it does; what its row says is so."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chart.effect import Effect, at, put
from chart.effects import LANES, PARTS, TABLES
from chart.effects_lanes import LANE, SHARED
from chart.programs import CHART
from chart.rendering import Rendered, refused, render

pytestmark = pytest.mark.chart

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
HELMS_OWN = {"global", "enabled"}
BY_LANES = "queueDefaults"
REPORTS = "Deployment/laneway-worker-reports"
REDIS = "StatefulSet/laneway-redis"
RIGHTS = {"tasks", "broker"}
"""Fields that the users of Redis get their rights by."""


@pytest.mark.parametrize("path", PARTS)
def test_a_value_does_what_its_row_says(path) -> None:
    _does(PARTS[path], PARTS[path].given, path)


@pytest.mark.parametrize("above", ["queueDefaults", "queues.reports"])
@pytest.mark.parametrize("field", LANES)
def test_a_field_of_a_lane_does_what_its_row_says(field, above) -> None:
    _does(LANES[field], {**LANE, **LANES[field].given}, f"{above}.{field}")


@pytest.mark.parametrize("field", [name for name, effect in LANES.items() if not effect.instead])
def test_a_lane_starts_others_anew_only_by_what_they_go_by(field) -> None:
    given = {**LANE, **LANES[field].given}
    before, after = (
        _pods(render(given)),
        _pods(render(put(given, f"queues.reports.{field}", LANES[field].value))),
    )
    anew = {name for name, pod in before.items() if pod != after[name]} - {REPORTS}
    clients = {name for name in before if name.startswith("Deployment/")}
    clients -= {REPORTS, "Deployment/laneway-mail-sink"}
    assert anew - {REDIS} == (clients if field in SHARED else set())
    assert (REDIS in anew) == (field in RIGHTS)


def test_another_transport_starts_redis_anew_for_its_users_other_rights() -> None:
    before, after = _pods(render()), _pods(render({"settings": {"transport": "kombu"}}))
    assert before[REDIS] != after[REDIS]


@pytest.mark.parametrize("path", ["gateway", "queues.documents", "queueDefaults"])
def test_a_strategy_has_only_what_its_type_takes(path) -> None:
    rendered = render(put({}, f"{path}.strategy.type", "Recreate"))
    name = (
        "Deployment/laneway-gateway" if path == "gateway" else "Deployment/laneway-worker-documents"
    )
    assert at(rendered, f"{name} spec strategy") == {"type": "Recreate"}


def test_each_value_has_one_row() -> None:
    properties = {name: one for name, one in SCHEMA["properties"].items() if name != BY_LANES}
    values = set(_leaves(properties)) - HELMS_OWN
    assert values == PARTS.keys()
    assert sum(map(len, TABLES)) == len(PARTS)


def test_each_field_of_a_lane_has_one_row() -> None:
    assert set(_leaves(SCHEMA["definitions"]["lane"]["properties"])) == LANES.keys()


def test_each_value_has_a_description_and_a_type() -> None:
    lane = SCHEMA["definitions"]["lane"]["properties"]
    described = [*_described(SCHEMA["properties"]), *_described(lane, "queues.reports.")]
    assert len(described) > len(PARTS)
    without = [path for path, one in described if not one.get("description", "").endswith(".")]
    assert without == []
    shapeless = [path for path, one in described if not ({"type", "enum", "const"} & one.keys())]
    assert shapeless == []


def _does(effect: Effect, given: Mapping[str, Any], path: str) -> None:
    after = render(put(given, path, effect.value))
    if effect.instead:
        assert effect.instead in refused(given)
    before = Rendered() if effect.instead else render(given)
    for place in effect.places:
        found = at(after, place)
        assert effect.holds(found), f"{place} is {found!r}, not {effect.becomes!r}"
        assert found != at(before, place), f"{place} is the same without {path}"


def _pods(rendered: Rendered) -> dict[str, str]:
    return {name: json.dumps(pod) for name, pod in rendered.pods()}


def _leaves(properties: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Paths of what may be given. Where names are free, `other` stands for each; where there is
    nothing to choose yet, nothing can be tried."""
    for name, schema in properties.items():
        path = f"{above}{name}"
        any_other = schema.get("additionalProperties")
        if "properties" in schema:
            yield from _leaves(schema["properties"], f"{path}.")
        elif isinstance(any_other, dict) and "properties" in any_other:
            yield from _leaves(any_other["properties"], f"{path}.other.")
        elif len(schema.get("enum", "any")) > 1:
            yield path


def _described(
    properties: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What values.yaml and the code describe, the maps that hold values as well."""
    for name, schema in properties.items():
        yield f"{above}{name}", schema
        if schema.get("additionalProperties") is False and "default" not in schema:
            yield from _described(schema["properties"], f"{above}{name}.")
