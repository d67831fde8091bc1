"""Policies open the ports of servers elsewhere, of which no pod is known: all that it takes, and no more."""

from typing import Any

import pytest

from chart.refusals import TAKEN
from chart.rendering import Rendered, render

pytestmark = pytest.mark.chart

SENTINELS = "sentinel://lanes@[fd00::1],two:26380/0?master=lanes"
PORTS_OF_SENTINELS = {26379, 26380, 6379}


@pytest.mark.parametrize(
    "redis",
    [
        {"external": {"url": SENTINELS}},
        {"results": {"url": SENTINELS}},
        {"others": {"hot": {"url": SENTINELS}}},
    ],
    ids=lambda redis: next(iter(redis)),
)
def test_each_sentinel_and_the_primary_can_be_reached(redis) -> None:
    rendered = render({"redis": redis})
    for name in ("laneway-worker-documents", "laneway-gateway", "laneway-test"):
        assert _opened(rendered, name) >= PORTS_OF_SENTINELS, name


def test_storage_in_a_folder_opens_no_port() -> None:
    folder = TAKEN["a folder in a volume that all pods share"]
    bucket = {"storage": {"external": {"url": "s3://bucket"}}}
    for name in ("laneway-worker-documents", "laneway-gateway"):
        assert _opened(render(bucket), name) == {443}
        assert _opened(render(folder), name) == set()


def _opened(rendered: Rendered, name: str) -> set[Any]:
    """The ports that a policy opens to everywhere."""
    rules = rendered.one("NetworkPolicy", name)["spec"]["egress"]
    return {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}
