"""From a task's death to its second life, by a real worker and the real command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lane_client import LaneClient, Sent, lane_client, write_catalogue
from lane_holder import envelope, lane_holder
from laneway.tasks.broker import keys
from laneway.tasks.broker.client import broker_client
from laneway.tasks.broker.dead_letters import DeadLetter, iterate
from redis_server import RedisServer
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

LANE = "mortal"
KEPT = {
    "dead.kept": "ValueError, try 1",
    "dead.plain": "ValueError, try 1",
    "dead.retried": "ConnectionError, try 2",
    "dead.rejected": "Reject, try 1",
    "dead.slow": "hard limit of 1 s, try 1",
    "dead.softly": "SoftTimeLimitExceeded, try 1",
}
NOT_KEPT = ("dead.dropped", "dead.early")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    fields = {"concurrency": 4, "maxDeliveries": 2, "tasks": ["lane.*", "dead.*"]}
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), mortal=fields)


@pytest.fixture(scope="module")
def worker(module_redis: RedisServer, catalogue, tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    modules = {"task_modules": "lane_tasks,dead_tasks", "queues_file": str(catalogue)}
    with running_worker(LANE, folder, module_redis.url, **modules) as worker:
        yield worker


@pytest.fixture(scope="module")
def client(module_redis: RedisServer, catalogue, worker):
    with lane_client(module_redis.url, LANE, catalogue) as client:
        yield client


@pytest.fixture
def laneway(client: LaneClient, catalogue):
    """Runs `laneway dead` as a user does; what it printed as JSON."""

    def run(verb: str, *words: str):
        settings = client.app.settings
        done = subprocess.run(
            [sys.executable, "-m", "laneway.services.cli.main", "dead", verb, LANE, *words],
            env={
                **os.environ,  # noqa: TID251 - handed on
                "LANEWAY_BROKER_URL": settings.broker,
                "LANEWAY_RESULT_URL": settings.results,
                "LANEWAY_QUEUES_FILE": str(catalogue),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)

    return run


def letters_of(client: LaneClient, *sent: Sent) -> dict[str, DeadLetter]:
    """By task id."""
    ids = {each.id for each in sent}
    found = iterate(broker_client(client.app.settings), LANE)
    return {letter.task_id: letter for letter in found if letter.task_id in ids}


def test_what_killed_its_worker_too_often_runs_again_once_it_is_replayed(
    client, laneway, tmp_path
) -> None:
    mark = tmp_path / "mark"
    sent = client.send("lane.kill", survive_after=2, mark=str(mark))
    assert client.wait(sent) == ["FAILURE"]
    (letter,) = wait_for(lambda: list(letters_of(client, sent).values()), "its dead letter")
    assert (letter.kind, letter.deliveries) == ("delivery limit", 2)

    words = ("--task", "lane.kill", "--why", "the third time works", "--json")
    assert laneway("replay", *words)["count"] == 1

    assert client.wait(sent) == ["SUCCESS"]
    assert sent.result == "survived"
    assert letters_of(client, sent) == {}
    (told,) = laneway("log", "--json")
    assert (told["verb"], told["count"], told["why"]) == ("replay", 1, "the third time works")


def test_a_final_failure_is_kept_if_the_task_asks_for_it(client, worker, laneway, tmp_path) -> None:
    cure = tmp_path / "cure"
    kept = [client.send(task, cure=str(cure)) for task in KEPT]
    others = [client.send(task, cure=str(cure)) for task in NOT_KEPT]
    assert set(client.wait(*kept, *others)) == {"FAILURE"}
    wait_for(lambda: len(letters_of(client, *kept)) == len(kept), "their dead letters")
    wait_for(lambda: worker.metric("laneway_queue_unacked", queue=LANE) == 0, "empty hands")

    letters = letters_of(client, *kept, *others)
    assert {letter.task: letter.reason for letter in letters.values()} == KEPT
    assert {letter.kind for letter in letters.values()} == {"task failed"}
    assert worker.metric("laneway_dead_lettered_total", reason="task failed") == len(KEPT)
    assert "secret of the task" not in worker.log()

    cure.touch()
    done = laneway("replay", "--kind", "task failed", "--why", "mended", "--rate", "20/s", "--json")
    assert done["count"] == len(KEPT)
    assert set(client.wait(*kept)) == {"SUCCESS"}
    assert {each.result for each in kept} == {"mended"}
    assert letters_of(client, *kept) == {}


def test_what_is_kept_for_too_long_goes_while_a_worker_lives(module_redis, tmp_path) -> None:
    fields = {"deadLetterRetention": {"seconds": 60}, "tasks": ["lane.*"]}
    catalogue = write_catalogue(tmp_path, brief=fields)
    with lane_holder(module_redis, "brief") as holder:
        old, young = holder.bury(envelope()), holder.bury(envelope())
        name = keys.dead_letters("brief")
        holder.client.zadd(name, {old: -61_000}, xx=True, incr=True)
        settings = {"queues_file": str(catalogue)}
        with running_worker("brief", tmp_path, module_redis.url, **settings):
            wait_for(lambda: holder.client.zscore(name, old) is None, "the end of the old one")
        assert holder.client.hkeys(keys.dead_records("brief")) == [young.encode()]
