"""What the commands that run something say before and instead of running it."""

import pytest
import yaml
from typer.testing import CliRunner

from laneway.services.cli.main import app
from laneway.services.gateway.tokens import TOKEN_PREFIX, VERBS, read_tokens
from laneway.tasks.settings import current_settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _forgotten_settings():
    yield
    current_settings.cache_clear()


def test_a_token_can_be_bound_to_users():
    made = CliRunner().invoke(app, ["token", "shop", "--user", "ann", "--user", "bob"])
    assert made.exit_code == 0
    (entry,) = yaml.safe_load(made.stdout)
    assert entry["users"] == ["ann", "bob"]


def test_a_token_without_users_reaches_everybodys_documents():
    made = CliRunner().invoke(app, ["token", "shop"])
    (entry,) = yaml.safe_load(made.stdout)
    assert "users" not in entry


def test_a_tokens_entry_can_be_appended_to_the_file_and_its_secret_stays_out_of_it(tmp_path):
    file = tmp_path / "tokens.yaml"
    for name in ("shop", "kiosk"):
        made = CliRunner().invoke(app, ["token", name])
        with file.open("a") as tokens:
            tokens.write(made.stdout)
        secret = made.stderr.strip().rpartition(" ")[2]
        assert secret.startswith(TOKEN_PREFIX)
        assert secret not in made.stdout
    assert [token.name for token in read_tokens(file)] == ["shop", "kiosk"]


def test_the_help_of_token_lists_the_verbs_and_the_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    text = CliRunner().invoke(app, ["token", "--help"]).stdout
    assert f"{', '.join(VERBS)}. Default: submit and read." in text
    (entry,) = yaml.safe_load(CliRunner().invoke(app, ["token", "shop"]).stdout)
    assert entry["verbs"] == ["submit", "read"]


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
