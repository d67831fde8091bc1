"""Remote control: asking a worker, and telling it, while it runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_user import GET_S, User, celery_user, lines
from lane_client import Hold
from lesson_harness import ready, write_catalogue
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

LANE, LAST = "high-priority", "last"
ANSWER_S = 5.0


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("catalogue")
    return write_catalogue(folder / "queues.yaml", f"{LAST}: {{concurrency: 1}}")


@pytest.fixture(scope="module")
def user(
    module_redis: RedisServer, file: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    folder = tmp_path_factory.mktemp("worker")
    with celery_user(module_redis, folder, LANE, queues_file=file) as running:
        yield running


def asked(user: User, command: str, **arguments):
    """The answer of the lane's worker."""
    answers = user.app.control.broadcast(
        command, arguments=arguments, reply=True, timeout=ANSWER_S, limit=1
    )
    ((name, answer),) = answers[0].items()
    assert name.startswith(f"{user.lane}@")
    return answer


def test_it_answers_a_ping(user) -> None:
    assert asked(user, "ping") == {"ok": "pong"}


def test_it_answers_who_is_named_alone(user) -> None:
    name = next(iter(user.app.control.inspect(timeout=1).ping()))
    assert name.startswith(f"{LANE}@")
    inspect = user.app.control.inspect
    assert inspect([name], timeout=ANSWER_S, limit=1).ping() == {name: {"ok": "pong"}}
    assert inspect(["nobody@nowhere"], timeout=0.2).ping() is None


def test_it_tells_what_runs_and_what_it_is_asked_about(user, tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    held = user.app.tasks["fate.hold"].apply_async(kwargs=hold.kwargs, queue=LANE)
    wait_for(lambda: hold.begun() == 1, "its beginning")
    (active,) = wait_for(lambda: asked(user, "active"), "a running task")
    assert (active["id"], active["name"]) == (held.id, "fate.hold")
    assert active["kwargs"] == hold.kwargs
    assert active["worker_pid"] in user.worker.pool_processes()
    assert active["acknowledged"] is False
    state, known = asked(user, "query_task", ids=[held.id])[held.id]
    assert (state, known["id"]) == ("active", held.id)
    hold.release()
    held.get(timeout=GET_S)
    wait_for(lambda: asked(user, "active") == [], "nothing that runs")
    assert asked(user, "query_task", ids=[held.id]) == {}


def test_it_tells_what_it_can_run_and_from_where(user) -> None:
    registered = asked(user, "registered")
    assert {"user.add", "lane.add"} <= set(registered)
    assert "lane.limited [rate_limit=2/s]" in registered
    assert [queue["name"] for queue in asked(user, "active_queues")] == [LANE]


def test_it_tells_its_numbers(user) -> None:
    result = user.send("add", 1, 2)
    result.get(timeout=GET_S)
    wait_for(lambda: user.outcomes(result.id), "its end")
    stats = asked(user, "stats")
    assert stats["pid"] == user.worker.process.pid
    assert stats["total"]["user.add"] >= 1
    assert stats["pool"]["max-concurrency"] == 2
    assert sorted(stats["pool"]["processes"]) == sorted(user.worker.pool_processes())


def test_it_tells_no_secrets_with_its_configuration(user) -> None:
    assert asked(user, "conf")["task_acks_late"] is True


def test_a_new_rate_limit_holds_at_once_and_can_be_lifted(user, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert "ok" in asked(user, "rate_limit", task_name="user.limited", rate_limit="1/h")
    limited = [user.sig("limited", mark=str(mark)).apply_async() for _ in range(3)]
    wait_for(lambda: user.backlog().delayed == 2, "two that wait for their turn")
    assert limited[0].state == "SUCCESS" or wait_for(limited[0].ready, "the first")
    assert len(lines(mark)) == 1
    for result in limited[1:]:
        result.revoke()
    assert "ok" in asked(user, "rate_limit", task_name="user.limited", rate_limit=None)
    assert user.sig("limited", mark=str(mark)).apply_async().get(timeout=GET_S) is None
    assert len(lines(mark)) == 2
    assert "error" in asked(user, "rate_limit", task_name="user.unknown", rate_limit="1/s")


def test_a_new_time_limit_holds_at_once(user) -> None:
    given = {"task_name": "lane.sleep", "soft": None, "hard": 0.3}
    assert "ok" in asked(user, "time_limit", **given)
    result = user.app.tasks["lane.sleep"].apply_async((20,), queue=LANE)
    wait_for(lambda: result.state == "FAILURE", "its end")
    assert "TimeLimitExceeded" in type(result.result).__name__


def test_its_pool_grows_and_shrinks(user) -> None:
    assert "ok" in asked(user, "pool_grow", n=1)
    wait_for(lambda: len(user.worker.pool_processes()) == 3, "a third process")
    assert user.get("add", 1, 2) == 3
    assert "ok" in asked(user, "pool_shrink", n=1)
    wait_for(lambda: len(user.worker.pool_processes()) == 2, "two processes")
    assert user.get("add", 1, 2) == 3


def test_a_grown_pool_runs_more_at_once(user, tmp_path: Path) -> None:
    asked(user, "pool_grow", n=1)
    hold = Hold(tmp_path)
    task = user.app.tasks["fate.hold"]
    held = [task.apply_async(kwargs=hold.kwargs, queue=LANE) for _ in range(3)]
    wait_for(lambda: hold.begun() == 3, "three at once")
    hold.release()
    for result in held:
        result.get(timeout=GET_S)
    asked(user, "pool_shrink", n=1)
    wait_for(lambda: len(user.worker.pool_processes()) == 2, "two processes")


def test_a_restart_of_the_pool_is_refused_unless_it_was_allowed(user) -> None:
    before = user.worker.pool_processes()
    assert "error" in asked(user, "pool_restart")
    assert user.worker.pool_processes() == before


def test_it_pauses_and_goes_on_when_told_so(user) -> None:
    """`cancel_consumer` and `add_consumer`: how a worker is taken out of service for a while."""
    assert "ok" in asked(user, "cancel_consumer", queue=LANE)
    wait_for(lambda: asked(user, "active_queues") == [], "its lane given up")
    result = user.send("add", 1, 2)

    def waiting() -> int:
        # Of this task alone: others may become due meanwhile, those that a rate limit held back.
        return sum(one["headers"]["id"] == result.id for one in ready(user.server, LANE))

    wait_for(lambda: waiting() == 1, "the message that waits")
    asked(user, "ping")
    assert waiting() == 1
    assert user.backlog().in_flight == 0
    assert "ok" in asked(user, "add_consumer", queue=LANE)
    assert result.get(timeout=GET_S) == 3


def test_a_lost_answer_is_nobodys_loss(user) -> None:
    """Whoever asks may be gone when the answer comes."""
    user.app.control.broadcast("ping", reply=True, timeout=0.0)
    assert asked(user, "ping") == {"ok": "pong"}


def test_it_ends_when_told_so_and_loses_nothing(module_redis, file, tmp_path: Path) -> None:
    with celery_user(module_redis, tmp_path, LAST, queues_file=file) as last:
        hold = Hold(tmp_path)
        held = last.app.tasks["fate.hold"].apply_async(kwargs=hold.kwargs, queue=LAST)
        wait_for(lambda: hold.begun() == 1, "its beginning")
        waiting = last.send("add", 1, 2)
        last.app.control.shutdown()
        wait_for(lambda: "draining" in last.worker.get("/readyz")[1], "its stopping")
        hold.release()
        assert last.worker.wait_until_ended() == 0
        assert held.get(timeout=GET_S) == "released"
        assert hold.begun() == 1
        assert waiting.state == "PENDING"
        assert (last.backlog().ready, last.backlog().in_flight) == (1, 0)
