"""A password that lies in a file: where it goes, and what is read when."""

import asyncio
import json

import pytest
from kombu.utils.json import dumps

from laneway.tasks.broker.credentials import credentials_of
from laneway.tasks.broker.options import producer_options
from laneway.tasks.broker.results import result_backend
from laneway.tasks.settings import load_settings
from laneway.tasks.settings_files import PasswordFile
from secret_folder import mounted

pytestmark = pytest.mark.unit


@pytest.fixture
def secret(monkeypatch, tmp_path):
    return mounted(
        monkeypatch,
        tmp_path / "secret",
        broker_password="one",
        broker_password_hot="h1",
        result_password="r1",
    )


def login(access):
    return credentials_of(access).get_credentials()


def test_a_password_from_a_file_is_in_no_url_and_read_at_each_login(secret) -> None:
    settings = load_settings(
        broker_url="redis://broker:1/0",
        broker_username="me",
        brokers={"hot": "redis://you@hot:1/0", "own": "redis://:own@own:1/0"},
        result_url="redis://results:1/0",
    )
    assert settings.broker == "redis://me@broker:1/0"
    assert settings.broker_named("hot") == "redis://you@hot:1/0"
    assert settings.results == "redis://results:1/0"
    secret.write(broker_password="two", broker_password_hot="h2", result_password="r2")
    assert login(settings.broker_access(None)) == ("me", "two")
    assert login(settings.broker_access("hot")) == ("you", "h2")
    assert login(settings.result_access) == ("r2",)
    assert credentials_of(settings.broker_access("own")) is None


def test_who_knows_celery_alone_is_given_the_password_in_the_url(secret) -> None:
    settings = load_settings(broker_url="redis://broker:1/0", broker_username="me")
    assert settings.own_access.url_with_password == "redis://me:one@broker:1/0"
    settings = load_settings(broker_url="redis://:own@broker:1/0")
    assert settings.own_access.url_with_password == "redis://:own@broker:1/0"


def test_results_on_the_brokers_server_have_its_file(secret) -> None:
    secret.forget("result_password")
    settings = load_settings(broker_url="redis://broker:1/0", result_url="redis://broker:1/1")
    assert login(settings.result_access) == ("one",)
    elsewhere = load_settings(broker_url="redis://broker:1/0", result_url="redis://results:1/1")
    assert credentials_of(elsewhere.result_access) is None


def test_a_password_from_elsewhere_stays_as_it_is(secret, monkeypatch) -> None:
    monkeypatch.setenv("LANEWAY_BROKER_PASSWORD", "environment")
    monkeypatch.setenv("LANEWAY_RESULT_URL", "redis://:url@results/0")
    settings = load_settings()
    assert settings.broker == "redis://:environment@127.0.0.1:6379/0"
    assert settings.results == "redis://:url@results/0"
    assert credentials_of(settings.broker_access(None)) is None
    assert credentials_of(settings.result_access) is None
    assert producer_options(settings)["credential_provider"] is None
    assert result_backend(settings.result_access)["redis_backend_credential_provider"] is None


def test_a_file_that_is_away_or_empty_or_no_text_leaves_what_was_known_last(secret) -> None:
    access = load_settings().broker_access(None)
    secret.write(broker_password="two")
    assert login(access) == ("two",)
    secret.forget("broker_password")
    assert login(access) == ("two",)
    secret.write_plainly(broker_password="")
    assert login(access) == ("two",)
    (secret.path / "broker_password").write_bytes(b"\xff\xfe")
    assert login(access) == ("two",)
    (secret.path / "broker_password").unlink()
    (secret.path / "broker_password").mkdir()
    assert login(access) == ("two",)
    (secret.path / "broker_password").rmdir()
    secret.write_plainly(broker_password="three")
    assert asyncio.run(credentials_of(access).get_credentials_async()) == ("three",)


def test_a_file_that_is_empty_at_the_start_is_no_password_yet(secret) -> None:
    secret.write(broker_password="")
    access = load_settings().broker_access(None)
    assert login(access) == ()
    secret.write(broker_password="one")
    assert login(access) == ("one",)


def test_settings_are_the_same_by_password_and_file(secret, tmp_path) -> None:
    before = load_settings()
    assert (load_settings(), hash(load_settings())) == (before, hash(before))
    assert credentials_of(load_settings().result_access) is credentials_of(before.result_access)
    one = PasswordFile("one", tmp_path / "one")
    assert one == PasswordFile("one", tmp_path / "one")
    assert one != PasswordFile("one", tmp_path / "other")
    secret.write(broker_password="two")
    assert load_settings() != before


def test_nobody_is_shown_the_password(secret) -> None:
    secret.write(broker_password="hush")
    settings = load_settings(broker_username="me")
    credentials = producer_options(settings)["credential_provider"]
    assert json.loads(dumps([credentials])) == [repr(credentials)]
    shown = f"{credentials!r} {settings!r} {settings.broker} {settings.broker_access(None)!r}"
    assert "hush" not in shown
    assert str(secret.path / "broker_password") in repr(credentials)
