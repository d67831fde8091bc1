import json
import shutil

import pytest

from laneway.tasks.errors import ConfigurationError, SettingsError
from laneway.tasks.settings import Settings, current_settings, load_settings, setting_sources

pytestmark = pytest.mark.unit


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """Files as a mounted Secret shows them."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("LANEWAY_SECRETS_DIR", str(folder))
    return folder


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The YAML file of the settings."""
    file = tmp_path / "laneway.yaml"
    file.write_text("{}")
    monkeypatch.setenv("LANEWAY_CONFIG_FILE", str(file))
    return file


def test_every_setting_has_a_default_and_a_description():
    assert load_settings().smtp_port == 25
    assert all(field.description for field in Settings.model_fields.values())
    assert not any(field.is_required() for field in Settings.model_fields.values())


def test_the_environment_comes_before_a_secret_before_yaml_before_the_default(
    monkeypatch, secrets, config
):
    assert load_settings().smtp_host == "127.0.0.1"
    config.write_text("smtp_host: from-yaml\nsmtp_port: 26")
    assert load_settings().smtp_host == "from-yaml"
    (secrets / "smtp_host").write_text("from-secret\n")
    assert load_settings().smtp_host == "from-secret"
    monkeypatch.setenv("LANEWAY_SMTP_HOST", "from-environment")
    assert load_settings().smtp_host == "from-environment"
    assert load_settings(smtp_host="given").smtp_host == "given"
    assert load_settings().smtp_port == 26


def test_it_can_be_asked_where_a_value_comes_from(monkeypatch, secrets, config):
    config.write_text("smtp_host: a\nsmtp_port: 26\nsmtp_username: b")
    (secrets / "smtp_username").write_text("c")
    (secrets / "smtp_password").write_text("d")
    monkeypatch.setenv("LANEWAY_SMTP_HOST", "e")
    sources = setting_sources()
    assert sources.keys() == Settings.model_fields.keys()
    assert sources["smtp_host"] == "environment LANEWAY_SMTP_HOST"
    assert sources["smtp_port"] == f"file {config}"
    assert sources["smtp_username"] == f"file {secrets / 'smtp_username'}"
    assert sources["smtp_password"] == f"file {secrets / 'smtp_password'}"
    assert sources["smtp_from"] == "default"


def test_a_file_of_another_name_in_the_secret_is_left_alone(secrets):
    (secrets / "tls.crt").write_text("x")
    assert load_settings().smtp_password is None


@pytest.mark.parametrize(
    "name",
    ["broker_password", "storage_access_key", "storage_secret_key", "embedding_api_key",
     "smtp_password"],
)  # fmt: skip
def test_a_secret_is_hidden_wherever_settings_are_shown(secrets, name):
    (secrets / name).write_text("hush")
    settings = load_settings()
    assert getattr(settings, name).get_secret_value() == "hush"
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())]
    assert not any("hush" in text for text in shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_PORT", "99999"),
        ("SMTP_PORT", "hush"),
        ("SMTP_TIMEOUT_S", "0"),
        ("SMTP_SECURITY", "hush"),
        ("RESULT_EXPIRES_S", "59"),
        ("BROKER_TIMEOUT_S", "61"),
        ("BROKER_MEMORY_WATERMARK", "1.1"),
        ("BROKER_URL", "amqp://hush"),
        ("RESULT_URL", "https://hush"),
        ("EMBEDDER", "hush"),
        ("LOG_LEVEL", "hush"),
        ("LOG_FORMAT", "hush"),
        ("CHUNK_CHARS", "49"),
        ("GATEWAY_BULK_LIMIT", "0"),
        ("DOCUMENT_PRIVATE_HOSTS", "hush"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_not_repeated(monkeypatch, name, value):
    monkeypatch.setenv(f"LANEWAY_{name}", value)
    with pytest.raises(SettingsError, match=f"LANEWAY_{name}: ") as error:
        load_settings()
    assert "hush" not in str(error.value)
    assert "laneway settings" in str(error.value)
    assert isinstance(error.value, ConfigurationError)


def test_every_bad_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("LANEWAY_SMTP_PORT", "x")
    monkeypatch.setenv("LANEWAY_EMBEDDER", "x")
    with pytest.raises(SettingsError, match=r"(?s)LANEWAY_EMBEDDER.*LANEWAY_SMTP_PORT"):
        load_settings()


def test_an_unknown_setting_in_yaml_is_refused(config):
    config.write_text("smtp_prot: 25")
    with pytest.raises(SettingsError, match="LANEWAY_SMTP_PROT"):
        load_settings()


@pytest.mark.parametrize("ask", [load_settings, setting_sources])
def test_a_config_file_that_is_missing_is_named_with_the_cure(config, ask):
    config.unlink()
    with pytest.raises(SettingsError, match=r"LANEWAY_CONFIG_FILE.*unset"):
        ask()


@pytest.mark.parametrize("ask", [load_settings, setting_sources])
def test_a_secrets_folder_that_is_missing_is_named_with_the_cure(secrets, ask):
    shutil.rmtree(secrets)
    with pytest.raises(SettingsError, match=r"LANEWAY_SECRETS_DIR.*unset"):
        ask()


@pytest.mark.parametrize("name", ["task_modules", "document_roots", "document_hosts"])
def test_names_are_separated_by_commas_or_a_list_in_yaml(monkeypatch, config, name):
    assert getattr(load_settings(), name) == ()
    config.write_text(json.dumps({name: ["a", "b"]}))
    assert getattr(load_settings(), name) == ("a", "b")
    monkeypatch.setenv(f"LANEWAY_{name.upper()}", " c, d ,")
    assert getattr(load_settings(), name) == ("c", "d")


@pytest.mark.parametrize(
    ("given", "broker"),
    [
        ({"broker_url": "redis://h:1/0"}, "redis://h:1/0"),
        ({"broker_url": "redis://h:1/0", "broker_password": "p"}, "redis://:p@h:1/0"),
        (
            {"broker_url": "redis://h:1/0", "broker_password": "p", "broker_username": "me"},
            "redis://me:p@h:1/0",
        ),
        ({"broker_url": "redis://u@h/2", "broker_password": "p@/:?#"}, "redis://u:p%40%2F%3A%3F%23@h/2"),
        ({"broker_url": "redis://:own@h/2", "broker_password": "p"}, "redis://:own@h/2"),
    ],
)  # fmt: skip
def test_credentials_that_came_separately_join_the_url(given, broker):
    settings = load_settings(**given)
    assert settings.broker == broker
    assert settings.results == broker


def test_results_may_have_a_redis_of_their_own():
    settings = load_settings(result_url="rediss://results:6380/1", broker_password="p")
    assert settings.results == "rediss://:p@results:6380/1"
    assert settings.broker.endswith("127.0.0.1:6379/0")


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().smtp_port = 26


def test_a_process_reads_its_settings_once(monkeypatch):
    current_settings.cache_clear()
    try:
        first = current_settings()
        monkeypatch.setenv("LANEWAY_SMTP_PORT", "26")
        assert current_settings() is first
    finally:
        current_settings.cache_clear()
