"""Waiting for a task, and calling one off that no longer is."""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from laneway.services.cli import look, work
from laneway.services.cli.main import app
from laneway.tasks import app as tasks_app
from laneway.tasks import status
from laneway.tasks.rag import search
from laneway.tasks.status import TaskStatus

pytestmark = pytest.mark.unit


@pytest.fixture
def called_off(monkeypatch):
    """Ids that were called off."""
    ids = []
    monkeypatch.setattr(status, "revoke", lambda _app, task_id, **_options: ids.append(task_id))
    return ids


@pytest.fixture
def outcome(monkeypatch):
    """Sets what is known of every task; time passes only when somebody sleeps."""
    now_s = [0.0]
    clock = SimpleNamespace(
        monotonic=lambda: now_s[0],
        sleep=lambda s: now_s.__setitem__(0, now_s[0] + s),
    )
    results = SimpleNamespace(settings=SimpleNamespace(results="redis://:hush@here/0"))
    monkeypatch.setattr(work, "time", clock)
    monkeypatch.setattr(tasks_app, "get_app", lambda: results)

    def known(state, **fields):
        found = TaskStatus("1", state, **fields)
        monkeypatch.setattr(status, "read_status", lambda _app, _id: found)

    return known


def run(*words):
    return CliRunner().invoke(app, words)


def test_a_wait_ends_when_its_time_is_up_and_says_the_state(outcome):
    outcome("STARTED", queue="documents")
    waited = run("result", "1", "--wait", "--timeout", "20")
    assert waited.exit_code == 3
    assert "1 is STARTED after 20 s" in waited.stderr
    assert "LANEWAY_RESULT_URL" not in waited.stderr


def test_a_wait_for_a_task_that_never_says_a_word_hints_at_the_result_url_once(outcome):
    outcome("PENDING", queue="documents")
    waited = run("result", "1", "--wait", "--timeout", "30")
    assert waited.exit_code == 3
    assert "1 is PENDING after 30 s" in waited.stderr
    assert waited.stderr.count("LANEWAY_RESULT_URL") == 1
    assert "hush" not in waited.stderr


def test_a_short_wait_hints_at_nothing(outcome):
    outcome("PENDING", queue="documents")
    waited = run("result", "1", "--wait", "--timeout", "5")
    assert waited.exit_code == 3
    assert "LANEWAY_RESULT_URL" not in waited.stderr


def test_submit_wait_ends_when_its_time_is_up(outcome, monkeypatch):
    outcome("STARTED", queue="documents")
    sent = SimpleNamespace(task_id="1", queue="documents")
    monkeypatch.setattr("laneway.tasks.dispatch.submit", lambda *_words, **_options: sent)
    waited = run("submit", "lane.add", "--wait", "--timeout", "3", "--json")
    assert waited.exit_code == 3
    assert json.loads(waited.stdout)["state"] == "STARTED"
    assert "1 is STARTED after 3 s" in waited.stderr


@pytest.mark.parametrize("words", [("submit", "lane.add"), ("result", "1")])
def test_a_timeout_without_a_wait_is_refused(words):
    refused = run(*words, "--timeout", "3")
    assert refused.exit_code == 2
    assert "--wait" in refused.stderr


def test_an_ended_task_is_not_said_to_be_called_off(outcome, called_off):
    outcome("SUCCESS", queue="documents")
    refused = run("revoke", "1")
    assert refused.exit_code == 1
    assert "1 has ended (SUCCESS); nothing was called off" in refused.stderr
    asked = run("revoke", "1", "--json")
    assert (asked.exit_code, json.loads(asked.stdout)["revoked"]) == (1, False)
    assert called_off == []


def test_an_unknown_task_is_called_off_should_it_still_come(outcome, called_off):
    outcome("PENDING")
    revoked = run("revoke", "1")
    assert revoked.exit_code == 0
    assert "called off, should it still come: no task of this id is known here" in revoked.stdout
    assert called_off == ["1"]


def test_a_waiting_task_is_called_off(outcome, called_off):
    outcome("PENDING", queue="documents")
    assert run("revoke", "1").stdout == "1 is called off\n"
    assert called_off == ["1"]


def test_a_hits_text_is_cut_in_the_table_and_whole_in_json(monkeypatch):
    hit = SimpleNamespace(score=0.5, file_path="f.txt", ordinal=0, text="§" * 300)
    monkeypatch.setattr(search, "search", lambda *_words, **_options: [hit])
    shown = run("search", "q", "--collection", "books").stdout
    assert shown.count("§") == look.SHOWN_CHARACTERS
    assert "…" in shown
    assert "1 hits in collection 'books' of " in shown
    assert run("search", "q", "--json").stdout.count("§") == 300
