"""`celery worker` on Laneway's transport: nothing of ours but the transport."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord

from celery_user import GET_S, lines
from celery_worker import CeleryWorker, client_app, ready
from lane_client import Hold
from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import Backlog, read_backlogs
from redis_server import RedisServer
from task_modules import plain_app
from worker_harness import wait_for

pytestmark = pytest.mark.platform

GUARDED = False  # a plain worker sends events, and a stock one keeps keys of its own

LANE, OTHER, OWN = "plain", "plain-too", "plain-own"


class PlainWorker(CeleryWorker):
    """A worker of `plain_app`. `transport` is kombu's own if empty."""

    transport = plain_app.TRANSPORT

    def __init__(self, server: RedisServer, folder: Path, lanes: str, *options: str) -> None:
        environment = {"PLAIN_BROKER_URL": server.url, "PLAIN_TRANSPORT": self.transport}
        super().__init__("plain_app", folder, lanes, environment, *options)


def plain_worker(
    server: RedisServer, folder: Path, lanes: str, *options: str
) -> AbstractContextManager[CeleryWorker]:
    return ready(PlainWorker(server, folder, lanes, *options))


@pytest.fixture(scope="module")
def app(module_redis: RedisServer) -> Iterator[Celery]:
    with client_app(plain_app.create(module_redis.url)) as made:
        yield made


@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def worker(
    request: pytest.FixtureRequest,
    module_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CeleryWorker]:
    folder = tmp_path_factory.mktemp("worker")
    with plain_worker(
        module_redis, folder, f"{LANE},{OTHER}", "-P", request.param, "-c", "2"
    ) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
def backlog(module_redis: RedisServer):
    def read(lane: str = LANE) -> Backlog:
        with module_redis.client() as client:
            return read_backlogs(client, [lane])[lane]

    return read


def sig(app: Celery, task: str, *args: Any, queue: str = LANE, **kwargs: Any) -> Any:
    return app.tasks[f"user.{task}"].s(*args, **kwargs).set(queue=queue)


def test_it_runs_tasks_of_every_queue_it_was_given(app, worker, backlog) -> None:
    sent = [
        sig(app, "add", n, n, queue=lane).apply_async() for n in range(20) for lane in (LANE, OTHER)
    ]
    assert [result.get(timeout=GET_S) for result in sent] == [2 * (n // 2) for n in range(40)]
    for lane in (LANE, OTHER):
        wait_for(lambda lane=lane: backlog(lane).waiting == 0, "an empty lane")


def test_it_runs_a_canvas(app, worker) -> None:
    assert chain(sig(app, "add", 1, 1), sig(app, "double")).apply_async().get(timeout=GET_S) == 4
    header = [sig(app, "add", n, n) for n in range(3)]
    assert chord(header, sig(app, "total")).apply_async().get(timeout=GET_S) == 6


def test_a_retry_and_a_countdown_wait_in_redis(app, worker, backlog) -> None:
    retried = sig(app, "autoretry", "oserror", 1).apply_async()
    delayed = sig(app, "now_s").apply_async(countdown=1)
    assert backlog().delayed >= 1
    assert retried.get(timeout=GET_S) == 1
    assert delayed.get(timeout=GET_S)


def test_it_answers_remote_control(app, worker) -> None:
    (answer,) = app.control.ping(timeout=10, limit=1)
    assert list(answer.values()) == [{"ok": "pong"}]
    assert app.control.inspect(timeout=10, limit=1).stats()


def test_its_failures_are_stored(app, worker) -> None:
    result = sig(app, "fail").apply_async()
    wait_for(lambda: result.state == "FAILURE", "its failure")


def test_what_is_no_message_is_kept_and_the_worker_lives(
    app, worker, module_redis, backlog
) -> None:
    before = backlog().dead
    with module_redis.client() as client:
        client.lpush(LANE, "no message", "[]", '{"body": 1}')
    wait_for(lambda: backlog().dead == before + 3, "three dead letters")
    assert sig(app, "add", 1, 1).apply_async().get(timeout=GET_S) == 2


def test_cut_connections_cost_nothing(app, worker, module_redis, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    sent = [sig(app, "note", n, mark=str(mark)).apply_async() for n in range(50)]
    with module_redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    sent += [sig(app, "note", n, mark=str(mark)).apply_async() for n in range(50, 100)]
    for result in sent:
        result.get(timeout=GET_S)
    assert sorted(map(int, lines(mark))) == list(range(100))


def test_a_stop_gives_back_what_waits(app, module_redis, backlog, tmp_path: Path) -> None:
    hold, mark = Hold(tmp_path), tmp_path / "ran"
    with plain_worker(module_redis, tmp_path, OWN, "-c", "1") as worker:
        held = sig(
            app, "hold", hold.kwargs["release"], hold.kwargs["mark"], queue=OWN
        ).apply_async()
        wait_for(lambda: lines(Path(hold.kwargs["mark"])), "its beginning")
        waiting = [sig(app, "note", n, mark=str(mark), queue=OWN).apply_async() for n in range(8)]
        worker.process.terminate()
        time.sleep(0.2)
        hold.release()
        assert worker.process.wait(30) == 0
        assert held.get(timeout=GET_S) == "released"
    assert lines(Path(hold.kwargs["mark"])) == [held.id]
    assert backlog(OWN).in_flight == 0
    assert backlog(OWN).ready == 8 - len(lines(mark))
    with plain_worker(module_redis, tmp_path, OWN, "-c", "1"):
        for result in waiting:
            result.get(timeout=GET_S)
    assert sorted(map(int, lines(mark))) == list(range(8))


def test_what_a_killed_worker_held_runs_on_another(
    app, module_redis, backlog, tmp_path: Path
) -> None:
    hold, mark = Hold(tmp_path), tmp_path / "ran"
    with ExitStack() as stack:
        worker = stack.enter_context(plain_worker(module_redis, tmp_path, OWN, "-c", "1"))
        held = sig(
            app, "hold", hold.kwargs["release"], hold.kwargs["mark"], queue=OWN
        ).apply_async()
        wait_for(lambda: lines(Path(hold.kwargs["mark"])), "its beginning")
        waiting = [sig(app, "note", n, mark=str(mark), queue=OWN).apply_async() for n in range(8)]
        wait_for(lambda: backlog(OWN).in_flight > 1, "what it prefetched")
        worker.kill()
        hold.release()
        with module_redis.client() as client:
            # As if a minute had passed.
            for name in client.zrange(keys.leases(OWN), 0, -1):
                client.zadd(keys.leases(OWN), {name: 1})
        stack.enter_context(plain_worker(module_redis, tmp_path, OWN, "-c", "1"))
        for result in (held, *waiting):
            result.get(timeout=GET_S)
        wait_for(lambda: backlog(OWN).waiting == 0, "an empty lane")
    assert lines(Path(hold.kwargs["mark"])) == [held.id] * 2
    assert sorted(map(int, lines(mark))) == list(range(8))


class StockWorker(PlainWorker):
    """`celery worker` on kombu's own transport, with nothing of ours at all."""

    transport = ""


def test_a_stock_worker_runs_what_came_back_to_the_lane(app, module_redis, tmp_path: Path) -> None:
    """A worker of ours that died leaves a note in front of its message: see `records.lua`."""
    mark = tmp_path / "ran"
    result = sig(app, "note", 1, mark=str(mark), queue=OWN).apply_async()
    with module_redis.client() as client:
        message = client.rpop(OWN)
        client.lpush(OWN, '{"laneway":[1,2,"gone",0,1],' + message.removeprefix("{"))
    worker = StockWorker(module_redis, tmp_path, OWN, "-P", "solo")
    try:
        worker.wait_until_ready()
        assert result.get(timeout=GET_S) == 1
        assert worker.stop() == 0
    finally:
        worker.kill()
    assert lines(mark) == ["1"]
