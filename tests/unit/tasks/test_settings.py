import json
import shutil

import pytest
from typer.testing import CliRunner

from laneway.services.cli.main import app
from laneway.tasks.errors import ConfigurationError, SettingsError
from laneway.tasks.redis_urls import parse_sentinel
from laneway.tasks.settings import (
    Settings,
    current_settings,
    load_settings,
    setting_sources,
    unknown_variables,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """Files as a mounted Secret shows them."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("LANEWAY_SECRETS_DIR", str(folder))
    return folder


@pytest.fixture
def _fresh():
    """What a process keeps of its settings is forgotten before and after."""
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()


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
    ["broker_password", "result_password", "storage_access_key", "storage_secret_key", "embedding_api_key",
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
        ("BROKER_URL", "sentinel://hush:26379/0"),
        ("RESULT_URL", "unix:///hush.sock"),
        ("BROKER_URL", "redis://:hush/hush@host/0"),
        ("BROKER_URL", "redis://[hush"),
        ("BROKER_URL", "redis://:hush\u2100@host/0"),
        ("BROKER_URL", "sentinel://:hush\u2100@host/0?master=m"),
        ("BROKER_URL", "sentinel://:hush@host:x/0?master=m"),
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
    assert str(Settings.model_fields[name.lower()].description) in str(error.value)
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
        ({"broker_url": "redis://a%40b@h/2", "broker_password": "p"}, "redis://a%40b:p@h/2"),
        (
            {"broker_url": "redis://h/2", "broker_password": "p", "broker_username": "a@b"},
            "redis://a%40b:p@h/2",
        ),
    ],
)  # fmt: skip
def test_credentials_that_came_separately_join_the_url(given, broker):
    settings = load_settings(**given)
    assert settings.broker == broker
    assert settings.results == broker


def test_results_may_have_a_redis_of_their_own():
    settings = load_settings(
        result_url="rediss://results:6380/1",
        result_username="me",
        result_password="q",
        broker_password="p",
    )
    assert settings.results == "rediss://me:q@results:6380/1"
    assert settings.broker == "redis://:p@127.0.0.1:6379/0"


@pytest.mark.parametrize("url", ["redis://other:6379/0", "redis://broker:6380/0", "rediss://b/0"])
def test_the_brokers_password_is_not_sent_to_another_server(url):
    settings = load_settings(
        broker_url="redis://broker/0", broker_username="me", broker_password="p", result_url=url
    )
    assert settings.results == url


@pytest.mark.parametrize("url", ["redis://broker/1", "redis://broker:6379/1", "redis://BROKER/1"])
def test_results_on_the_brokers_server_share_its_password(url):
    settings = load_settings(
        broker_url="redis://broker:6379/0", broker_password="p", result_url=url
    )
    assert settings.results == url.replace("//", "//:p@")


@pytest.mark.usefixtures("_fresh")
def test_a_password_inside_a_url_does_not_show(monkeypatch):
    monkeypatch.setenv("LANEWAY_BROKER_URL", "redis://me:hush@broker/0")
    monkeypatch.setenv("LANEWAY_RESULT_URL", "redis://me:hush@results/0")
    shown = CliRunner().invoke(app, ["settings", "--json"])
    assert shown.exit_code == 0
    assert "redis://me:***@results/0" in shown.stdout
    assert not any("hush" in text for text in (repr(load_settings()), shown.stdout))


def test_the_cure_of_a_sentinel_without_its_primarys_name_is_told():
    with pytest.raises(SettingsError, match=r"sentinel://host:26379/0\?master=NAME"):
        load_settings(broker_url="sentinel://host:26379/0")


def test_sentinels_take_credentials_that_come_separately():
    url = "sentinel://one:1,two:2/0?master=lanes"
    found = load_settings(broker_url=url, broker_username="me", broker_password="p:w")
    assert found.broker == "sentinel://me:p%3Aw@one:1,two:2/0?master=lanes"
    assert found.results == found.broker
    elsewhere = load_settings(
        broker_url=url, broker_password="p:w", result_url="sentinel://one:1,two:2/0?master=results"
    )
    assert elsewhere.results == "sentinel://one:1,two:2/0?master=results"


def test_sentinels_of_a_named_broker_may_part_their_hosts_by_an_encoded_comma(monkeypatch):
    monkeypatch.setenv("LANEWAY_BROKERS", "hot=sentinel://one:1%2Ctwo:2/0?master=m,cold=redis://c")
    url = load_settings().broker_named("hot")
    assert parse_sentinel(url).hosts == (("one", 1), ("two", 2))


def test_a_wait_that_redis_time_out_would_cut_off_is_refused():
    with pytest.raises(SettingsError, match=r"GATEWAY_WAIT_MS of 1000 ms.*BROKER_TIMEOUT_S of 1 s"):
        load_settings(gateway_wait_ms=1_000, broker_timeout_s=1)
    assert load_settings(gateway_wait_ms=999, broker_timeout_s=1).gateway_wait_ms == 999


def test_a_wait_that_is_not_given_fits_the_time_out():
    assert load_settings().gateway_wait_ms == 2_000
    assert load_settings(broker_timeout_s=1).gateway_wait_ms == 500
    with pytest.raises(SettingsError) as error:
        load_settings(broker_timeout_s=61)
    assert "GATEWAY_WAIT_MS" not in str(error.value)


def test_a_misspelt_variable_is_named_with_what_it_may_mean(monkeypatch):
    assert unknown_variables() == {}
    monkeypatch.setenv("LANEWAY_BROKER_ULR", "hush")
    monkeypatch.setenv("LANEWAY_SMPT_PORT", "26")
    monkeypatch.setenv("LANEWAY_UNHEARD_OF", "hush")
    unknown = unknown_variables()
    assert list(unknown) == ["LANEWAY_BROKER_ULR", "LANEWAY_SMPT_PORT", "LANEWAY_UNHEARD_OF"]
    assert unknown["LANEWAY_BROKER_ULR"] == "Did you mean LANEWAY_BROKER_URL?"
    assert "LANEWAY_SMTP_PORT" in unknown["LANEWAY_SMPT_PORT"]
    assert unknown["LANEWAY_UNHEARD_OF"].startswith("Remove it")
    assert "hush" not in str(unknown)


def test_what_a_shell_and_kubernetes_set_is_no_misspelt_setting(monkeypatch):
    for name in (
        "_LANEWAY_COMPLETE",
        "LANEWAY_CONFIG_FILE",
        "LANEWAY_SERVICE_HOST",
        "LANEWAY_SERVICE_PORT",
        "LANEWAY_PORT",
        "LANEWAY_GATEWAY_SERVICE_HOST",
        "LANEWAY_GATEWAY_SERVICE_PORT",
        "LANEWAY_GATEWAY_SERVICE_PORT_HTTP",
        "LANEWAY_GATEWAY_PORT",
        "LANEWAY_GATEWAY_PORT_8080_TCP",
        "LANEWAY_GATEWAY_PORT_8080_TCP_ADDR",
    ):
        monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    assert unknown_variables() == {}


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().smtp_port = 26


@pytest.mark.usefixtures("_fresh")
def test_a_process_reads_its_settings_once(monkeypatch):
    first = current_settings()
    monkeypatch.setenv("LANEWAY_SMTP_PORT", "26")
    assert current_settings() is first


def test_an_endpoint_for_embeddings_must_be_named(monkeypatch):
    monkeypatch.setenv("LANEWAY_EMBEDDER", "openai")
    with pytest.raises(SettingsError, match="LANEWAY_EMBEDDING_URL must name the endpoint"):
        load_settings()
