"""Names that YAML would read as something else, and names that Kubernetes would not take."""

import pytest

from chart.rendering import Rendered, refused, render

pytestmark = pytest.mark.chart

NUMBER, BOOLEAN = "2026", "no"
"""What YAML reads as a number and as a boolean, and what are names all the same."""

OF_SECRETS = {
    "imagePullSecrets": [NUMBER],
    "settingsSecret": {"name": NUMBER, "keys": ["embedding_api_key"]},
    "redis": {
        "external": {
            "url": "rediss://redis:6379/0",
            "existingSecret": NUMBER,
            "passwordKey": NUMBER,
            "caSecret": NUMBER,
        },
        "results": {
            "url": "redis://results:6379/0",
            "existingSecret": NUMBER,
            "passwordKey": NUMBER,
        },
        "others": {
            BOOLEAN: {
                "url": "redis://other:6379/0",
                "existingSecret": NUMBER,
                "passwordKey": NUMBER,
            }
        },
    },
    "storage": {"external": {"url": "s3://bucket", "existingSecret": NUMBER}},
    "mail": {
        "host": "smtp",
        "username": "lanes",
        "existingSecret": NUMBER,
        "passwordKey": NUMBER,
        "caSecret": NUMBER,
    },
    "gateway": {
        "tokens": {"existingSecret": NUMBER},
        "ingress": {
            "enabled": True,
            "hosts": ["a.example.org"],
            "tlsSecret": NUMBER,
            "className": NUMBER,
        },
    },
}
OF_EMBEDDED = {
    "redis": {
        "embedded": {
            "existingSecret": NUMBER,
            "persistence": {"size": NUMBER, "storageClass": NUMBER},
        }
    },
    "storage": {"embedded": {"existingSecret": NUMBER, "persistence": {"storageClass": NUMBER}}},
    "queueDefaults": {"priorityClassName": NUMBER},
}


def test_release_and_namespace_may_look_like_a_number_or_a_boolean() -> None:
    rendered = render(release=BOOLEAN, namespace=NUMBER)
    assert {one["metadata"]["namespace"] for one in rendered} == {NUMBER}
    assert _labels(rendered, "app.kubernetes.io/instance") == {BOOLEAN}


def test_the_name_of_the_chart_may_look_like_a_boolean() -> None:
    assert _labels(render({"nameOverride": BOOLEAN}), "app.kubernetes.io/name") == {BOOLEAN}


@pytest.mark.parametrize("lane", [NUMBER, BOOLEAN])
def test_a_lane_may_look_like_a_number_or_a_boolean(lane) -> None:
    rendered = render({"queues": {lane: {}}})
    deployment = rendered.one("Deployment", f"laneway-worker-{lane}")
    (worker,) = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["spec"]["selector"]["matchLabels"]["laneway/queue"] == lane
    assert worker["args"] == ["worker", "--queue", lane]
    assert lane in rendered.file("laneway-config", "queues.yaml")["queues"]


@pytest.mark.parametrize("values", [OF_SECRETS, OF_EMBEDDED], ids=["external", "embedded"])
def test_secrets_and_classes_may_look_like_numbers(values) -> None:
    assert render(values)


def test_a_redis_may_look_like_a_boolean() -> None:
    settings = render(OF_SECRETS).file("laneway-config", "settings.yaml")
    assert settings["brokers"] == {BOOLEAN: "redis://other:6379/0"}


@pytest.mark.parametrize("release", ["2026", "lanes.a"])
def test_a_release_of_a_name_that_no_service_may_have_takes_another_for_its_objects(
    release,
) -> None:
    told = refused({}, release=release)
    assert f'the names of objects would begin with "{release}-laneway"' in told
    rendered = render({"fullnameOverride": "lanes"}, release=release)
    assert _labels(rendered, "app.kubernetes.io/instance") == {release}


def test_the_longest_name_of_a_release_that_runs_no_server_of_its_own() -> None:
    values = {
        "queues": {"a": {}, "documents": None, "high-priority": None, "notifications": None},
        "redis": {"external": {"url": "redis://redis:6379/0"}},
        "storage": {"external": {"url": "s3://bucket"}},
    }
    longest = "r" * (63 - len("-laneway-mail-sink"))
    rendered = render(values, release=longest)
    assert max(len(one["metadata"]["name"]) for one in rendered.all("Service")) == 63
    assert "which has 64 characters; 63 are allowed" in refused(values, release=f"{longest}r")


def _labels(rendered: Rendered, label: str) -> set[str]:
    """What objects and pods have for a label."""
    made = [one["metadata"] for one in rendered] + [pod["metadata"] for _, pod in rendered.pods()]
    return {metadata["labels"][label] for metadata in made}
