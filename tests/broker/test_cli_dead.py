"""`laneway dead` against a real Redis."""

import base64
import getpass
import json
import stat

import pytest
from typer.testing import CliRunner

from lane_holder import envelope, lane_holder
from laneway.services.cli import dead
from laneway.services.cli.main import app
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import keys
from laneway.tasks.errors import BrokerUnavailable, LanewayError, UnknownQueue
from laneway.tasks.settings import current_settings
from redis_server import RedisServer

pytestmark = pytest.mark.broker

LANE = "documents"
CANARY = "canary-77aa"
BINARY = b"\x00\xff no text"


@pytest.fixture(autouse=True)
def _settings(redis_server: RedisServer, monkeypatch):
    monkeypatch.setenv("LANEWAY_BROKER_URL", redis_server.url)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(LanewayApp, "in_use", None)
    current_settings.cache_clear()
    yield
    if LanewayApp.in_use is not None:
        LanewayApp.in_use.close()
    current_settings.cache_clear()


@pytest.fixture
def holder(redis_server: RedisServer):
    with lane_holder(redis_server, LANE) as holder:
        yield holder


def run(verb: str, *words: str, queue: str = LANE):
    return CliRunner().invoke(app, ["dead", verb, queue, *words])


def answer(verb: str, *words: str):
    """The JSON that a command prints."""
    done = run(verb, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def mail(task_id: str = "t-1") -> bytes:
    body = base64.b64encode(json.dumps([[], {"to": CANARY}, {}]).encode()).decode()
    return envelope("a.b", task_id, body)


def test_a_list_tells_why_and_nothing_of_what_was_given(holder) -> None:
    letter = holder.bury(mail(), "invalid task", "no id")
    other = holder.bury(CANARY.encode(), "malformed envelope")
    table = run("list")
    assert table.exit_code == 0
    assert CANARY not in table.stdout
    for told in (letter, "invalid task", "no id", "a.b", other, "malformed envelope"):
        assert told in table.stdout
    (found,) = answer("list", "--kind", "invalid task")
    assert (found["id"], found["task"], found["task_id"]) == (letter, "a.b", "t-1")
    assert "message" not in found


def test_a_list_says_when_there_is_nothing_and_when_there_is_more(holder) -> None:
    assert run("list").stdout == f"No dead letters in '{LANE}'.\n"
    assert answer("list") == []
    holder.bury(mail())
    holder.bury(mail())
    assert "the youngest 1 (--limit shows more)" in run("list", "--limit", "1").stdout
    assert "--limit" not in run("list", "--limit", "2").stdout


def test_one_is_shown_with_what_its_task_was_given(holder) -> None:
    letter = holder.bury(mail())
    shown = run("show", letter).stdout
    assert json.dumps({"args": [], "kwargs": {"to": CANARY}}) in shown
    assert mail().decode() in shown
    assert answer("show", letter)["message"] == mail().decode()


def test_what_a_stranger_wrote_does_not_steer_the_terminal(holder) -> None:
    evil = b'{"headers": {"task": "\\u001b[2J\\ud800", "id": "\\u009b1m"}}'
    holder.bury(evil, reason="why\x07")
    letter = holder.bury(b"\x1b[2J")
    for told in (run("list"), run("show", letter), run("replay", "--all", "--dry-run")):
        assert told.exit_code == 0
        assert not {"\x1b", "\x07", "\x9b", "\ud800"} & set(told.stdout)
        assert r"\x1b[2J" in told.stdout


def test_bytes_that_are_no_text_are_shown_as_base64(holder) -> None:
    letter = holder.bury(BINARY)
    assert base64.b64encode(BINARY).decode() in run("show", letter).stdout
    assert answer("show", letter)["encoding"] == "base64"


def test_a_letter_that_is_not_there_ends_with_1_and_where_to_look(holder) -> None:
    done = run("show", "0" * 16)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "laneway dead list documents" in done.stderr


def test_letters_are_replayed_by_id_and_the_missing_are_named(holder) -> None:
    first, second = holder.bury(mail("1")), holder.bury(mail("2"))
    done = run("replay", second, first, "0" * 16, "--why", "mended", "--by", "ann")
    assert done.exit_code == 1
    assert done.stdout == f"2 dead letters of '{LANE}' replayed\n"
    assert "0" * 16 in done.stderr
    assert [claim.message for claim in holder.claim()] == [mail("2"), mail("1")]


def test_letters_are_replayed_by_filter_up_to_a_limit(holder) -> None:
    for number in range(3):
        holder.bury(envelope("a.b", str(number)))
    other = holder.bury(envelope("a.c"))
    done = answer("replay", "--task", "a.b", "--limit", "2", "--why", "try two")
    assert (done["count"], done["more"], done["missing"]) == (2, True, [])
    assert answer("replay", "--task", "a.b", "--why", "the rest")["count"] == 1
    assert [letter["id"] for letter in answer("list")] == [other]


def test_a_rate_spreads_them(holder) -> None:
    for number in range(3):
        holder.bury(mail(str(number)))
    done = run("replay", "--all", "--rate", "6/m", "--why", "gently")
    assert "; the last is due " in done.stdout
    due = holder.client.zrange(keys.delayed(LANE), 0, -1, withscores=True)
    assert [at_ms - due[0][1] for _, at_ms in due] == [0, 10_000, 20_000]


def test_letters_are_discarded_by_age(holder) -> None:
    letters = [holder.bury(mail(str(number))) for number in range(2)]
    holder.client.zadd(keys.dead_letters(LANE), {letters[0]: -7_200_000}, xx=True, incr=True)
    done = run("discard", "--before", "1h", "--why", "too late to matter")
    assert (done.exit_code, done.stdout) == (0, f"1 dead letter of '{LANE}' discarded\n")
    assert [letter["id"] for letter in answer("list")] == letters[1:]


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_dry_run_asks_no_reason_and_changes_nothing(holder, verb: str) -> None:
    letters = {holder.bury(mail()), holder.bury(mail())}
    told = run(verb, "--all", "--dry-run")
    assert f"Would {verb} 2 dead letters of '{LANE}'; nothing was changed" in told.stdout
    found = answer(verb, "--all", "--dry-run")
    assert found["matched"] == [{"kind": "unknown task", "task": "a.b", "count": 2}]
    assert {letter["id"] for letter in answer("list")} == letters
    assert answer("log") == []


REFUSED = [
    ([], "say which dead letters are meant"),
    (["--why", "a"], "say which dead letters are meant"),
    (["--all", "--kind", "a", "--why", "a"], "in one way"),
    (["0" * 16, "--all", "--why", "a"], "in one way"),
    (["--all"], "--why"),
    (["--all", "--why", "  "], "--why"),
    (["--all", "--why", "x" * 501], "name the ticket"),
    (["task-1", "--why", "a"], "is no id of a dead letter"),
    (["--before", "soon", "--why", "a"], "is no time"),
]


@pytest.mark.parametrize("verb", ["replay", "discard"])
@pytest.mark.parametrize(("words", "told"), REFUSED)
def test_an_order_without_choice_or_reason_is_refused(holder, verb, words, told) -> None:
    letter = holder.bury(mail())
    done = run(verb, *words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert [one["id"] for one in answer("list")] == [letter]


@pytest.mark.parametrize("rate", ["0", "fast", "-1/s", "1/d"])
def test_a_rate_that_is_none_is_refused(holder, rate: str) -> None:
    done = run("replay", "--all", "--why", "a", f"--rate={rate}")
    assert done.exit_code == 2
    assert "10/s, 100/m or 5/h" in done.stderr


def test_an_export_is_lines_that_hold_every_byte(holder, tmp_path) -> None:
    messages = [mail(), BINARY, "æøå".encode(), b""]
    for message in messages:
        holder.bury(message)
    file = tmp_path / "dead.jsonl"
    done = run("export", "--out", str(file))
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"4 dead letters of '{LANE}' in {file}" in done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == run("export").stdout
    decode = {"utf-8": str.encode, "base64": base64.b64decode}
    found = list(map(json.loads, file.read_text().splitlines()))
    assert {decode[one["encoding"]](one["message"]) for one in found} == set(messages)
    assert {one["queue"] for one in found} == {LANE}
    assert run("export", "--task", "nobody").stdout == ""


def test_an_export_does_not_write_over_a_file(holder, tmp_path) -> None:
    file = tmp_path / "dead.jsonl"
    file.write_text("precious")
    done = run("export", "--out", str(file))
    assert done.exit_code == 2
    assert "name a new file" in done.stderr
    assert file.read_text() == "precious"
    done = run("export", "--out", str(tmp_path / "nowhere" / "dead.jsonl"))
    assert isinstance(done.exception, LanewayError)
    assert "--out" in str(done.exception)


def test_the_log_tells_who_and_why(holder, monkeypatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "bob")
    letters = [holder.bury(mail(str(number))) for number in range(3)]
    assert run("replay", letters[0], "--why", "mended", "--by", "ann").exit_code == 0
    assert run("export", "--task", "a.b").exit_code == 0
    assert run("discard", "--all", "--why", "spam").exit_code == 0
    fields = ("verb", "count", "by", "via", "why", "chosen")
    assert [tuple(one[name] for name in fields) for one in answer("log")] == [
        ("discard", 2, "bob", "cli", "spam", "all"),
        ("export", 2, "bob", "cli", "", "task a.b"),
        ("replay", 1, "ann", "cli", "mended", letters[0]),
    ]
    assert "mended" in run("log").stdout
    assert len(answer("log", "--limit", "1")) == 1


def test_the_log_of_a_lane_where_nothing_was_done_says_so(holder) -> None:
    assert run("log").stdout == f"Nothing was done to dead letters of '{LANE}'.\n"


def test_a_user_without_a_login_name_is_asked_for_one(holder, monkeypatch) -> None:
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    holder.bury(mail())
    done = run("discard", "--all", "--why", "a")
    assert done.exit_code == 2
    assert "--by" in done.stderr
    assert run("discard", "--all", "--why", "a", "--by", "ann").exit_code == 0


@pytest.mark.parametrize("verb", ["list", "log", "export"])
def test_an_unknown_lane_and_a_redis_that_is_away_are_told(monkeypatch, verb: str) -> None:
    assert isinstance(run(verb, queue="nope").exception, UnknownQueue)
    monkeypatch.setenv("LANEWAY_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(LanewayApp, "in_use", None)
    current_settings.cache_clear()
    assert isinstance(run(verb).exception, BrokerUnavailable)


def test_queues_tell_the_dead_and_the_delayed(holder) -> None:
    holder.bury(mail())
    rows = json.loads(CliRunner().invoke(app, ["queues", "--json"]).stdout)
    (lane,) = [row for row in rows if row["queue"] == LANE]
    assert (lane["ready"], lane["delayed"], lane["dead"]) == (0, 0, 1)


def test_moments_are_ages_or_dates() -> None:
    assert dead.parse_moment("1970-01-02") == 86_400
    assert dead.parse_moment("1970-01-01T02:00+02:00") == 0
    assert dead.parse_moment("2d") - dead.parse_moment("1h") == pytest.approx(-47 * 3_600, abs=60)
