"""Further brokers by name: how they are given, and that nothing secret is told."""

import pytest

from laneway.tasks.errors import SettingsError
from laneway.tasks.settings import load_settings, setting_sources

pytestmark = pytest.mark.unit


def test_brokers_come_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("LANEWAY_BROKERS", "hot=redis://hot:6379/0, cold=rediss://me@cold/1")
    settings = load_settings()
    assert settings.broker_named("hot") == "redis://hot:6379/0"
    assert settings.broker_named("cold") == "rediss://me@cold/1"
    assert settings.broker_named("none") is None
    assert settings.broker_named(None) == settings.broker


def test_brokers_may_be_json_or_a_yaml_map(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LANEWAY_BROKERS", '{"hot": "redis://:a,b=c@hot/0"}')
    assert load_settings().broker_named("hot") == "redis://:a,b=c@hot/0"
    monkeypatch.delenv("LANEWAY_BROKERS")
    file = tmp_path / "config.yaml"
    file.write_text("brokers: {hot: 'redis://hot/0'}")
    monkeypatch.setenv("LANEWAY_CONFIG_FILE", str(file))
    assert load_settings().broker_named("hot") == "redis://hot/0"


def test_each_password_may_be_a_file_of_its_own(monkeypatch, tmp_path) -> None:
    (tmp_path / "broker_password").write_text("home")
    (tmp_path / "broker_password_hot-one").write_text("h@t\n")
    monkeypatch.setenv("LANEWAY_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("LANEWAY_BROKERS", "hot-one=redis://me@hot/0,cold=redis://cold/0")
    settings = load_settings()
    assert settings.broker_named("hot-one") == "redis://me@hot/0"
    assert settings.broker_named("cold") == "redis://cold/0"
    assert settings.broker == "redis://127.0.0.1:6379/0"
    assert setting_sources()["broker_passwords"].endswith("broker_password_*")
    assert "h@t" not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        "hot=http://:hush@hot",
        "hot=redis://:hush@hot:99999999",
        "Hot=redis://:hush@hot",
        "hot",
        "hot=redis://:pass,hush@hot",
        "hot=redis://:hush@a,hot=redis://:hush@b",
        '{"hot": "redis://:hush@hot"',
    ],
)
def test_what_is_no_map_of_brokers_is_refused_without_a_word_of_it(monkeypatch, given) -> None:
    monkeypatch.setenv("LANEWAY_BROKERS", given)
    with pytest.raises(SettingsError, match="LANEWAY_BROKERS") as caught:
        load_settings()
    assert "hush" not in str(caught.value)
