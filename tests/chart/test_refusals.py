"""Values that contradict each other are refused, all at once, each with its cure."""

import re
from functools import cache
from typing import Any

import pytest

from chart.programs import CHART
from chart.refusals import REFUSALS, TAKEN
from chart.rendering import refused, render

pytestmark = pytest.mark.chart

HEAD = "The values cannot be used:"
BULLET = "\n  - "
TEMPLATES = [path for path in (CHART / "templates").rglob("*") if path.is_file()]
VALIDATE = (CHART / "templates" / "_validate.tpl").read_text(encoding="utf-8")

_MESSAGE = re.compile(r'^- \{\{ (?:printf )?"((?:[^"\\]|\\.)*)".* \| quote \}\}$', re.MULTILINE)
_TOLD = re.compile(r"^- ", re.MULTILINE)
_FAILS = re.compile(r"[{(|-]\s*(?:fail|required)\b")
_FIELDS = {"%d": r"\d+", "%s": r"\S*( \S+)*", "%q": '"[^"]*"', "%v": r"[\d.]+"}

SCHEMAS_OWN = {
    "an unknown value": ({"queue": {}}, "additional properties 'queue' not allowed"),
    "an unknown field of a lane": (
        {"queues": {"documents": {"concurency": 2}}},
        "additional properties 'concurency' not allowed",
    ),
    "an unknown setting": (
        {"settings": {"log_levle": "info"}},
        "additional properties 'log_levle' not allowed",
    ),
    "a wrong type": ({"gateway": {"replicas": "two"}}, "got string, want integer"),
    "a number that is too small": ({"gateway": {"replicas": -1}}, "minimum: got -1, want 0"),
    "a word that is none of those": (
        {"redis": {"external": {"users": "each"}}},
        "value must be one of 'single', 'perRole'",
    ),
    "a text of another shape": (
        {"metrics": {"podMonitor": {"interval": "often"}}},
        "'often' does not match pattern",
    ),
    "a name that no lane may have": (
        {"queues": {"Documents": {}}},
        "invalid propertyName 'Documents'",
    ),
    "a name that no Redis may have": (
        {"redis": {"others": {"hot_2": {"url": "redis://hot:6379"}}}},
        "invalid propertyName 'hot_2'",
    ),
    "a name that no label may have": (
        {"nameOverride": "our lanes", "fullnameOverride": "lanes"},
        "'our lanes' does not match pattern",
    ),
    "a value taken away": ({"image": {"tag": None}}, "missing property 'tag'"),
    "another engine than there is": ({"autoscaling": {"engine": "keda"}}, "value must be 'none'"),
}


@cache
def message(case: str) -> str:
    """What Helm says of the values of a case."""
    return refused(REFUSALS[case].values)


@pytest.mark.parametrize("case", REFUSALS)
def test_it_is_refused_for_this_and_nothing_else(case) -> None:
    told = _told(message(case))
    assert len(told) == 1, told
    assert REFUSALS[case].told in told[0]


@pytest.mark.parametrize("values", TAKEN.values(), ids=TAKEN)
def test_what_is_next_to_it_is_taken(values) -> None:
    assert render(values)


@pytest.mark.parametrize("case", REFUSALS)
def test_it_says_where_and_the_cure(case) -> None:
    (told,) = _told(message(case))
    cures = "Set|Raise|Lower|Add|Name|Give|Leave|Remove|Put|Rename|Shorten|Correct"
    assert re.match(r"[a-zA-Z]+[a-zA-Z_.:-]*( |$)", told)
    assert re.search(rf"\. ({cures})\b.*\.$", told), told


def test_all_are_told_at_once() -> None:
    values = {
        "queues": {"reports": {"softTimeLimit": 900, "broker": "hot"}, "documents-large": {}},
        "redis": {"embedded": {"config": {"maxmemory-policy": "allkeys-lru"}}},
        "storage": {"external": {"endpoint": "https://s3.example.org"}},
        "mail": {"caSecret": "ca"},
        "gateway": {"ingress": {"enabled": True}},
        "commonLabels": {"laneway/queue": "mine"},
    }
    places = [one.split(" ")[0] for one in _told(refused(values))]
    assert places == [
        "queues.reports.softTimeLimit",
        "queues.reports.broker",
        "queues:",
        "redis.embedded.config.maxmemory-policy",
        "storage.external.url",
        "mail.host",
        "gateway.ingress",
        "commonLabels",
    ]


def test_each_refusal_of_the_templates_is_in_the_table() -> None:
    messages = _MESSAGE.findall(VALIDATE)
    assert len(messages) == len(_TOLD.findall(VALIDATE))
    told = [one for case in REFUSALS for one in _told(message(case))]
    untried = [one for one in messages if not any(map(_pattern(one).fullmatch, told))]
    assert untried == []


def test_all_refusals_are_in_one_place() -> None:
    fails = {
        path.name: len(found)
        for path in TEMPLATES
        if (found := _FAILS.findall(path.read_text(encoding="utf-8")))
    }
    assert fails == {"_validate.tpl": 1}


def test_nothing_is_rendered_of_what_is_refused() -> None:
    for template in ("extra.yaml", "gateway/service.yaml"):
        values = {**REFUSALS["no lane"].values, "extraObjects": [{"kind": "ConfigMap"}]}
        assert HEAD in refused(values, show_only=[template])


def test_a_refusal_shows_no_password() -> None:
    assert "hush" not in message("a password in a URL")


@pytest.mark.parametrize(("values", "told"), SCHEMAS_OWN.values(), ids=SCHEMAS_OWN)
def test_the_schema_refuses(values: dict[str, Any], told: str) -> None:
    said = refused(values)
    assert told in said
    assert HEAD not in said


def _told(said: str) -> list[str]:
    """The reasons for which values were refused."""
    assert HEAD in said, said
    _, *told = said.partition(HEAD)[2].split(BULLET)
    return [one.splitlines()[0] for one in told]


def _pattern(message: str) -> re.Pattern[str]:
    """What a message of the templates matches, whatever stands in its places."""
    parts = re.split("(%[dsqv])", message.replace('\\"', '"'))
    return re.compile("".join(_FIELDS.get(part) or re.escape(part) for part in parts))
