"""What holds of the chart as it comes and of each example."""

import difflib
import json
from fnmatch import fnmatchcase

import pytest
import yaml

from chart.golden import EXAMPLES, FOLDER, VALUES, golden_file, golden_text
from chart.kube_score import IGNORED, Finding, findings
from chart.programs import CHART, NEWEST, OLDEST
from chart.rendering import Rendered, helm, notes, render
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings

pytestmark = pytest.mark.chart


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_renders_to_what_is_kept_of_it(path) -> None:
    kept = golden_file(path)
    before = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    now = golden_text(path).splitlines()
    diff = list(difflib.unified_diff(before, now, str(kept.name), "now", lineterm=""))
    assert not diff, "\n".join([*diff, "", "If it should be so: make golden"])


def test_no_render_is_kept_of_an_example_that_is_gone() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {path.name for path in EXAMPLES}


def test_the_readme_names_each_example() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"(examples/{path.name})" not in readme] == []


def test_helm_finds_no_fault(values) -> None:
    told = helm("lint", str(CHART), "--strict", "--kube-version", NEWEST, "--values", "-",
                stdin=json.dumps(values))  # fmt: skip
    assert "1 chart(s) linted, 0 chart(s) failed" in told


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_it_renders_for_each_kubernetes(values, version) -> None:
    assert render(values, kube_version=version)


def test_it_renders_the_same_each_time(values) -> None:
    secret = ("Secret",)
    once, again = (
        [one for one in render(values, api_versions=[name]) if one["kind"] not in secret]
        for name in ("a/v1", "b/v1")
    )
    assert once == again


def test_kube_score_finds_nothing_that_is_not_explained(values) -> None:
    found = _findings(render(values))
    assert [str(one) for one in found if not one.ignored] == []


def test_no_check_is_ignored_without_need() -> None:
    found = [one for values in VALUES.values() for one in _findings(render(values))]
    needless = [
        f"{check}: {ignored.objects}"
        for check, entries in IGNORED.items()
        for ignored in entries
        if not any(one.check == check and fnmatchcase(one.target, ignored.objects) for one in found)
    ]
    assert needless == []


def test_the_processes_read_catalogue_and_settings(values, tmp_path, monkeypatch) -> None:
    config = render(values).one("ConfigMap", "laneway-config")["data"]
    for name, text in config.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("LANEWAY_CONFIG_FILE", str(tmp_path / "settings.yaml"))
    monkeypatch.delenv("LANEWAY_STORAGE_URL")
    assert load_settings().storage_url.startswith("s3://")
    lanes = {name for name, lane in (values.get("queues") or {}).items() if lane is not None}
    assert lanes <= load_catalogue(tmp_path / "queues.yaml").keys()


def test_the_notes_say_what_is_for_trial_only() -> None:
    trial, production = notes(), notes(VALUES["production"])
    for word in ("redis.external.url", "storage.external.url", "mail.host", "helm uninstall"):
        assert word in trial
        assert word not in production


def test_the_notes_show_no_password() -> None:
    values = {"redis": {"external": {"url": "redis://laneway@redis:6379/0"}}}
    assert "redis://redis:6379/0" in notes(values)


def test_the_notes_name_the_redis_that_results_are_on() -> None:
    told = notes(VALUES["two-redises"])
    assert "\n  broker: redis://lanes.redis:6379/0\n" in told
    assert "\n  backend: redis://results.redis:6379/0\n" in told
    assert "\n  broker and backend: redis://producer:PASSWORD@laneway-redis.lanes" in notes()


def test_the_notes_name_sentinels_as_celery_does() -> None:
    url = "sentinel://s1:26379,s2:26380/0?master=lanes"
    assert (
        "broker and backend: sentinel://s1:26379/0;sentinel://s2:26380/0, "
        "with master_name lanes in its transport options"
    ) in notes({"redis": {"external": {"url": url}}})


def test_the_notes_name_the_user_of_a_producer_and_the_label_that_lets_it_in() -> None:
    trial, production = notes(), notes(VALUES["production"])
    assert "rediss://redis.example.org:6380/0, as its user producer\n" in production
    assert "laneway/producer=true" in trial
    assert "laneway/producer=true" not in production
    assert "laneway/producer=true" not in notes({"networkPolicy": {"enabled": False}})


def test_the_notes_remove_no_volumes_of_other_charts_of_the_release() -> None:
    """As a part of another chart, it shares the release's name with that chart's parts."""
    (line,) = [one for one in notes().splitlines() if "delete persistentvolumeclaim" in one]
    selector = dict(one.split("=") for one in line.rpartition(" ")[2].split(","))
    for one in render().all("StatefulSet"):
        assert selector.items() <= one["spec"]["selector"]["matchLabels"].items()
    assert selector["app.kubernetes.io/name"] == "laneway"


def _findings(rendered: Rendered) -> list[Finding]:
    return list(findings(yaml.safe_dump_all(rendered)))
