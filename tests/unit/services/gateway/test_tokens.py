"""Making and reading tokens."""

import hashlib

import pytest
import yaml

from laneway.services.gateway.tokens import Token, TokenFile, new_token, read_tokens
from laneway.tasks.errors import SettingsError

pytestmark = pytest.mark.unit


def test_a_new_token_is_found_by_its_secret_and_its_entry_does_not_hold_it(tmp_path) -> None:
    secret, entry = new_token("shop", ["notifications"], ["submit"], ["bob"])
    file = tmp_path / "tokens.yaml"
    file.write_text(entry)

    token = TokenFile(file).find(secret)

    assert token is not None
    assert (token.name, token.queues, token.verbs) == ("shop", {"notifications"}, {"submit"})
    assert token.users == {"bob"}
    assert secret not in entry
    assert yaml.safe_load(entry)[0]["sha256"] == hashlib.sha256(secret.encode()).hexdigest()


def test_no_two_tokens_are_the_same() -> None:
    assert len({new_token("a")[0] for _ in range(100)}) == 100


def test_entries_can_be_put_one_after_the_other(tmp_path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text(new_token("one")[1] + new_token("two")[1])
    assert [token.name for token in read_tokens(file)] == ["one", "two"]


@pytest.mark.parametrize(
    "arguments", [("a b",), ("a", ["A b"]), ("a", []), ("a", ["*"], ["fly"]), ("a", ["*"], [])]
)
def test_a_token_that_could_not_be_read_again_is_not_made(arguments) -> None:
    with pytest.raises(SettingsError):
        new_token(*arguments)


def test_a_file_that_is_not_there_is_told_with_its_cure(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"LANEWAY_GATEWAY_TOKENS_FILE.*Mount it"):
        TokenFile(tmp_path / "none.yaml")


def test_an_error_in_the_file_repeats_no_value(tmp_path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text("- {name: a, sha256: lwy_put-in-by-mistake, queues: ['*'], verbs: [read]}")
    with pytest.raises(SettingsError) as caught:
        read_tokens(file)
    assert "put-in-by-mistake" not in str(caught.value)


def test_a_token_reaches_its_queues_and_users() -> None:
    entry = yaml.safe_load(new_token("a", ["documents"], ["read"], ["bob"])[1])[0]
    token = Token.model_validate(entry)
    assert token.may_use("documents")
    assert not token.may_use("notifications")
    assert not token.may_use(None)
    assert token.may_act_for("bob")
    assert not token.may_act_for(None)
