import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from chart_values import code
from chart_values.chart import CHART, chart_values, outputs
from chart_values.errors import ValuesError
from chart_values.reading import Value, read_values
from chart_values.readme import readme_text, type_of
from chart_values.schema import schema_of
from laneway.tasks.queues import Queue
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit

DESCRIBED = "# -- How many.\nreplicas: 2\n"


@pytest.fixture
def reading(tmp_path: Path):
    def read(text: str, elsewhere=(), opaque=()) -> tuple[Value, ...]:
        file = tmp_path / "values.yaml"
        file.write_text(text)
        return read_values(file, elsewhere, opaque)

    return read


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = schema_of(chart_values())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def complaints(validator: Draft7Validator, **changes) -> list[str]:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return [error.message for error in validator.iter_errors(values | changes)]


def test_schema_and_readme_are_made_of_the_values() -> None:
    made = {file.name: text for file, text in outputs().items()}
    committed = {name: (CHART / name).read_text() for name in made}
    assert committed == made, "run: make chart"


def test_the_values_of_the_chart_are_what_the_schema_takes(validator) -> None:
    assert complaints(validator) == []


def test_the_schema_stays_with_the_drafts_that_every_helm_reads() -> None:
    schema = json.loads(outputs()[CHART / "values.schema.json"])
    references = _all_of("$ref", schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert references
    assert all(to.startswith("#/definitions/") for to in references)


def test_fields_of_lanes_are_written_once() -> None:
    text = outputs()[CHART / "values.schema.json"]
    assert text.count(Queue.model_fields["max_deliveries"].description or "?") == 1


def test_every_setting_belongs_to_the_chart_to_a_secret_or_to_the_map_of_settings() -> None:
    parts = [code.OWNED, code.USELESS, code.secret_settings(), frozenset(code.settings())]
    assert frozenset().union(*parts) == Settings.model_fields.keys()
    assert sum(map(len, parts)) == len(Settings.model_fields)


def test_the_secret_of_settings_takes_those_that_no_other_secret_holds() -> None:
    (value,) = (value for value in chart_values() if value.path == ("settingsSecret",))
    elsewhere = ("broker_", "result_", "storage_", "smtp_")
    secret = [name for name in code.secret_settings() if not name.startswith(elsewhere)]
    assert (value.schema or {})["properties"]["keys"]["items"]["enum"] == sorted(secret)


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": {}},
        {"queues": {"Documents": {}}},
        {"queues": {"a" * 49: {}}},
        {"queues": {"documents": {"concurency": 2}}},
        {"queues": {"documents": {"autoscaling": {"min": 1}}}},
        {"queues": {"documents": {"concurrency": "2"}}},
        {"queues": {"documents": {"resources": None}}},
        {"queueDefaults": {}},
        {"settings": {"log_levle": "info"}},
        {"settings": {"broker_url": "redis://elsewhere:6379"}},
        {"settings": {"embedding_api_key": "secret"}},
        {"settings": {"log_level": None}},
        {"gateway": None},
        {"global": 1},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(validator, changes) -> None:
    assert complaints(validator, **changes) != []


@pytest.mark.parametrize(
    "changes",
    [
        {"queues": {"reports": {}, "documents": None}},
        {"queues": {"reports": {"autoscaling": {"maxReplicas": 3}, "drainSeconds": None}}},
        {"queues": {"reports": {"resources": {"limits": {"example.org/gpu": 1}}}}},
        {"settings": {"log_level": "debug", "embedding_dimension": None}},
        {"global": {"imageRegistry": "registry.example.org"}},
    ],
    ids=str,
)
def test_a_right_value_is_taken(validator, changes) -> None:
    assert complaints(validator, **changes) == []


def test_no_value_but_one_that_may_be_null_can_be_taken_away(validator) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    del values["image"]["tag"]
    del values["queueDefaults"]["topologySpreadConstraints"]
    found = [error.message for error in validator.iter_errors(values)]
    assert found == ["'tag' is a required property"]


def test_a_description_goes_over_lines_and_ends_at_the_schema(reading) -> None:
    (value,) = reading(
        "# -- How many\n# there are.\n# @schema {type: integer,\n#   minimum: 0}\nn: 2\n"
    )
    assert value.description == "How many there are."
    assert value.schema == {"type": "integer", "minimum": 0}


def test_a_comment_that_does_not_touch_the_key_describes_nothing(reading) -> None:
    with pytest.raises(ValuesError, match=r"values\.yaml:3: n has no description"):
        reading("# -- How many.\n\nn: 2\n")


@pytest.mark.parametrize(
    ("default", "kind"),
    [("2", "integer"), ("2.5", "number"), ("true", "boolean"), ("a", "string"), ('""', "string")],
)
def test_a_default_tells_its_type(reading, default, kind) -> None:
    (value,) = reading(f"# -- What.\nn: {default}\n")
    assert value.schema == {"type": kind}


@pytest.mark.parametrize("default", ["null", "{}", "[]", "[1]"])
def test_a_default_that_tells_no_type_needs_a_schema(reading, default) -> None:
    with pytest.raises(ValuesError, match="n has a default that tells no type"):
        reading(f"# -- What.\nn: {default}\n")


def test_all_problems_are_told_at_once(reading) -> None:
    text = (
        "a:\n  b: 1\n  c: null\n# -- D.\n# @schema [\nd: 1\n# -- E.\n# @schema text\ne: 1\na: 2\n"
    )
    with pytest.raises(ValuesError) as caught:
        reading(text)
    told = "\n".join(caught.value.problems)
    for key in ("a ", "a.b ", "a.c ", "d ", "e "):
        assert f" {key}" in told
    assert "a is given twice" in told
    assert "a.c has a default that tells no type" in told


def test_a_map_with_a_schema_of_its_own_is_one_value(reading) -> None:
    (value,) = reading(
        "# -- M.\n# @schema {type: object, additionalProperties: true}\nm:\n  a: 1\n"
    )
    assert [leaf.key for leaf in value.leaves()] == ["m"]


def test_a_map_without_is_closed_and_its_keys_are_described(reading) -> None:
    (value,) = reading("# -- M.\nm:\n  # -- A.\n  a: 1\n  # -- B.\n  b: 2\n")
    assert [leaf.key for leaf in value.leaves()] == ["m.a", "m.b"]


def test_what_the_code_describes_is_not_described_again(reading) -> None:
    with pytest.raises(ValuesError, match="replicas is described in the code"):
        reading(DESCRIBED, elsewhere={("replicas",)})
    (value,) = reading("replicas: 2\n", elsewhere={("replicas",)})
    assert value.default == 2


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("@settings\n", "no `@values` names replicas"),
        ("@values replicas other\n", "other is no value"),
        ("@values replicas\n@values replicas\n", "replicas is named twice"),
    ],
)
def test_each_value_is_in_one_table(reading, template, problem) -> None:
    with pytest.raises(ValuesError, match=problem):
        readme_text(template, reading(DESCRIBED))


def test_a_bar_does_not_break_a_table(reading) -> None:
    values = reading('# -- One | other.\nn: "a|b"\n')
    assert '| `n` | string | `"a\\|b"` | One \\| other. |' in readme_text("@values n\n", values)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["a", "b"]}, "`a`, `b`"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer, ≥ 1, ≤ 9"),
        ({"type": ["array", "null"], "items": {"type": "object"}}, "list of maps or null"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "map of strings"),
        ({"type": "array", "items": {"enum": ["a"]}}, "list of `a`"),
    ],
)
def test_types_are_told_in_words(schema, words) -> None:
    assert type_of(schema) == words


def _all_of(key: str, schema) -> set[str]:
    if isinstance(schema, list):
        return set().union(*(_all_of(key, part) for part in schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema[key]} if isinstance(schema.get(key), str) else set()
    return own.union(*(_all_of(key, part) for part in schema.values()))
