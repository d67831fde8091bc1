"""What the commands that run something say before and instead of running it."""

import pytest
import yaml
from typer.testing import CliRunner

from laneway.services.cli.main import app
from laneway.tasks.settings import current_settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _forgotten_settings():
    yield
    current_settings.cache_clear()


def test_a_token_can_be_bound_to_users():
    made = CliRunner().invoke(app, ["token", "shop", "--user", "ann", "--user", "bob"])
    assert made.exit_code == 0
    (entry,) = yaml.safe_load(made.stdout.partition("TOKENS_FILE:\n")[2])
    assert entry["users"] == ["ann", "bob"]


def test_a_token_without_users_reaches_everybodys_documents():
    made = CliRunner().invoke(app, ["token", "shop"])
    (entry,) = yaml.safe_load(made.stdout.partition("TOKENS_FILE:\n")[2])
    assert "users" not in entry


@pytest.mark.parametrize(
    ("words", "service"),
    [
        (["worker", "-q", "documents"], "laneway.services.worker.main.run"),
        (["gateway"], "laneway.services.gateway.main.run"),
        (["up"], "laneway.services.local.main.run"),
        (["demo"], "laneway.services.local.main.run"),
    ],
)
def test_a_misspelt_setting_is_warned_of_once_when_something_starts(monkeypatch, words, service):
    monkeypatch.setattr(service, lambda *_words, **_options: 0)
    assert "LANEWAY_" not in CliRunner().invoke(app, words).stderr
    monkeypatch.setenv("LANEWAY_BROKER_ULR", "redis://:hush@elsewhere/0")
    started = CliRunner().invoke(app, words)
    assert started.exit_code == 0
    assert started.stderr.count("LANEWAY_BROKER_ULR: Did you mean LANEWAY_BROKER_URL?") == 1
    assert "hush" not in started.stderr
    assert started.stdout == ""
