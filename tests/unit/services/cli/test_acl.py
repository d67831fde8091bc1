"""What `laneway acl` prints, and what it refuses to print."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from laneway.services.cli.main import app
from laneway.tasks.broker.acl_roles import ROLES
from laneway.tasks.errors import SettingsError, UnknownQueue
from laneway.tasks.settings import current_settings

pytestmark = pytest.mark.unit

LANES = ("high-priority", "documents", "notifications")
SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "300")
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()


def printed(*words: str) -> str:
    done = CliRunner().invoke(app, ["acl", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["acl", *words])
    assert done.exit_code == 2, done.output
    return " ".join(done.output.replace("│", " ").split())


def users(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines()]


def test_there_is_a_user_for_every_role_and_one_for_every_lane_and_no_default() -> None:
    roles = [role for role in ROLES if role != "worker"]
    workers = [f"worker-{lane}" for lane in LANES]
    assert sorted(users(printed())) == sorted([*roles, *workers, "default"])
    assert printed().splitlines()[-1].startswith("user default off ")
    last = printed("--format", "commands").splitlines()[-1]
    assert last.startswith("ACL SETUSER default off ")


def test_the_help_lists_the_roles() -> None:
    assert f"{', '.join(ROLES)}." in " ".join(printed("--help").replace("│", " ").split())


def test_a_choice_leaves_the_default_user_alone() -> None:
    assert users(printed("--role", "observer", "--role", "keda")) == ["observer", "keda"]
    assert users(printed("--role", "worker", "-q", "documents")) == ["worker-documents"]
    assert "high-priority" not in printed("--role", "producer", "-q", "documents")


def test_json_carries_the_same_for_a_chart() -> None:
    (found,) = json.loads(printed("--role", "worker", "-q", "documents", "--format", "json"))
    assert (found["user"], found["role"], found["queue"]) == (
        "worker-documents",
        "worker",
        "documents",
    )
    line = printed("--role", "worker", "-q", "documents")
    assert line.strip().endswith(" ".join([found["password"], *found["rules"]]))


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        ("6.2", ["+client|setinfo"], ["(", "%R~", "+waitaof"]),
        ("7.0", ["(", "%R~"], ["+client|setinfo", "+waitaof"]),
        ("7.2", ["(", "%R~", "+client|setinfo", "+waitaof"], []),
        ("8", ["(", "%R~", "+client|setinfo", "+waitaof"], []),
    ],
)
def test_each_redis_gets_what_it_understands(version: str, has, lacks) -> None:
    text = printed("--redis", version)
    assert [word for word in has if word not in text] == []
    assert [word for word in lacks if word in text] == []


def test_who_has_6_2_is_told_what_it_cannot_do() -> None:
    done = CliRunner().invoke(app, ["acl", "--redis", "6.2"])
    assert "all its commands on all its keys" in done.stderr


def test_passwords_come_from_files_as_hashes(tmp_path: Path) -> None:
    (tmp_path / "observer").write_text(f"{SECRET}\n")
    text = printed("--role", "observer", "--passwords", str(tmp_path))
    assert f" #{sha256(SECRET.encode()).hexdigest()} " in text
    assert SECRET not in text


def test_a_user_without_a_password_is_named(tmp_path: Path) -> None:
    (tmp_path / "observer").write_text(SECRET)
    words = ("--role", "observer", "--role", "scaler", "--passwords", str(tmp_path))
    assert "has no file scaler." in refused(*words)


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "observer").write_text("swordfish")
    told = refused("--role", "observer", "--passwords", str(tmp_path))
    assert "has 9 bytes" in told
    assert "swordfish" not in told


def test_an_unknown_role_queue_or_broker_is_refused() -> None:
    assert "there is no role 'boss'" in refused("--role", "boss")
    for option in ("--queue", "--onward"):
        with pytest.raises(UnknownQueue, match="Known queues"):
            printed(option, "nope")
    with pytest.raises(SettingsError, match="names no broker 'far'"):
        printed("--broker", "far")


def test_each_broker_has_the_users_of_its_lanes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text("queues: {near: {}, far: {broker: other}}")
    monkeypatch.setenv("LANEWAY_QUEUES_FILE", str(file))
    monkeypatch.setenv("LANEWAY_BROKERS", "other=redis://other:6379/3")
    there = printed("--broker", "other")
    assert "worker-near" not in there
    assert "celery-task-meta" not in there
    assert "%W~near" not in there
    assert "&/3.celery.pidbox" in there
    here = printed()
    assert "~laneway:{near}:claims" in here
    assert "{far}" not in here
    # It locks and notes what its tasks submit where everybody looks for it.
    assert "~laneway:submission:*" in printed("--role", "worker", "-q", "far")


def test_a_file_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    out = tmp_path / "users.acl"
    assert printed("--role", "observer", "--out", str(out)) == ""
    assert out.read_text() == printed("--role", "observer")
    assert out.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [out]
