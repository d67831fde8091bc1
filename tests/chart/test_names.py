"""Names that YAML would read as something else, and names that Kubernetes would not take."""

import pytest

from chart.rendering import Rendered, render

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


def _labels(rendered: Rendered, label: str) -> set[str]:
    """What objects and pods have for a label."""
    made = [one["metadata"] for one in rendered] + [pod["metadata"] for _, pod in rendered.pods()]
    return {metadata["labels"][label] for metadata in made}
