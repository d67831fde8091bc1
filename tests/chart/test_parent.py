"""A chart that has this one as a part, under a name of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from chart.programs import CHART
from chart.rendering import Object, helm

pytestmark = pytest.mark.chart


@pytest.fixture
def rendered(tmp_path: Path) -> Callable[..., list[Object]]:
    """What the parent renders when its values say this of the part."""
    part = {
        "name": "laneway",
        "alias": "lanes",
        "version": yaml.safe_load((CHART / "Chart.yaml").read_text())["version"],
        "repository": f"file://{CHART}",
        "condition": "lanes.enabled",
    }
    chart = {"apiVersion": "v2", "name": "shop", "version": "1.0.0", "dependencies": [part]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    helm("dependency", "update", str(tmp_path))

    def render(**values: object) -> list[Object]:
        text = helm(
            "template", "shop", str(tmp_path), "--values", "-", stdin=yaml.safe_dump(values)
        )
        return [one for one in yaml.safe_load_all(text) if one]

    return render


def test_a_part_is_rendered_unless_the_parents_condition_says_no(rendered) -> None:
    assert rendered(lanes={"enabled": False}) == []
    on = rendered(lanes={"enabled": True}, **{"global": {"region": "north"}})
    assert {one["kind"] for one in on} >= {"Deployment", "StatefulSet", "Service"}


def test_a_part_takes_values_from_below_its_name(rendered) -> None:
    objects = rendered(lanes={"queues": {"documents": {"replicas": 5}}})
    (documents,) = [
        one
        for one in objects
        if one["kind"] == "Deployment"
        and one["metadata"]["labels"].get("laneway/queue") == "documents"
    ]
    assert documents["spec"]["replicas"] == 5
