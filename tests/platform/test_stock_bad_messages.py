"""Messages that cannot run: each is kept with its reason, and no worker is lost over it."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from bad_messages import BROKEN_ENVELOPES, BROKEN_FIELDS, NO_MESSAGES, Change, body
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import keys
from laneway.tasks.broker.dead_letters import read_dead_letters
from lesson_harness import MODULES, client_of, held, order, write_catalogue
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

LANE = "reports"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("catalogue") / "queues.yaml"
    return write_catalogue(file, f"{LANE}: {{tasks: ['lane.*']}}")


@pytest.fixture(scope="module")
def app(module_redis: RedisServer, catalogue: str) -> Iterator[LanewayApp]:
    settings = {"queues_file": catalogue, "result_url": module_redis.url}
    with client_of(module_redis, **settings) as client:
        yield client


@pytest.fixture(scope="module")
def running(
    module_redis: RedisServer, catalogue: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("worker")
    settings = {
        "task_modules": MODULES,
        "queues_file": catalogue,
        "result_url": module_redis.url,
    }
    with running_worker(LANE, folder, module_redis.url, **settings) as running:
        yield running


@pytest.fixture
def worker(running: RunningWorker, app: LanewayApp) -> Iterator[RunningWorker]:
    """The worker, which after the test still is the same process and still works."""
    before = (running.process.pid, running.pool_processes())
    yield running
    assert app.tasks["lane.add"].apply_async((1, 2), queue=LANE).get(timeout=30) == 3
    assert (running.process.poll(), running.process.pid, running.pool_processes()) == (
        None,
        *before,
    )


def dead(server: RedisServer, **known: Any) -> dict[str, Any]:
    """The lane's one dead letter with these fields, once it is there."""

    def found() -> list[dict[str, Any]]:
        return [letter for letter in letters(server) if known.items() <= letter.items()]

    (letter,) = wait_for(found, f"a dead letter with {known}")
    return letter


def letters(server: RedisServer) -> list[dict[str, Any]]:
    with server.client() as client:
        return read_dead_letters(client, LANE)


def fails(app: LanewayApp, task_id: str) -> str:
    """How the task's failure reads to a client."""
    result = app.AsyncResult(task_id)
    wait_for(lambda: result.state == "FAILURE", "FAILURE")
    return f"{type(result.result).__name__}: {result.result}"


@pytest.mark.parametrize("name", ["nobody.knows", "lesson.see"])
def test_an_unknown_or_not_admitted_task_is_kept_and_failed(
    app, module_redis, worker, name: str
) -> None:
    (answer,) = order(module_redis, [{"name": name, "kwargs": {"x": 1}, "queue": LANE}])
    assert answer["state"] == "FAILURE"
    assert answer["error"].startswith("NotRegistered: ")
    assert name in answer["error"]
    letter = dead(module_redis, task_id=answer["id"])
    assert (letter["reason"], letter["task"]) == ("unknown task", name)
    assert json.loads(letter["message"]["body"])[1] == {"x": 1}


def test_pickle_is_refused_unread(app, module_redis, worker) -> None:
    orders = [{"name": "lane.add", "args": [1, 2], "queue": LANE, "serializer": "pickle"}]
    (answer,) = order(module_redis, orders)
    assert answer["state"] == "FAILURE"
    assert "pickle" in answer["error"]
    letter = dead(module_redis, task_id=answer["id"])
    assert letter["message"]["content_type"] == "application/x-python-serialize"
    assert "content type" in letter["reason"]


def send_changed(app: LanewayApp, server: RedisServer, change: Change) -> dict[str, Any]:
    """Publish a task to a lane without a worker, and move it to ours with a change."""
    app.tasks["lane.add"].apply_async((1, 2), queue="documents")
    with server.client() as client:
        message: dict[str, Any] = json.loads(str(client.rpop("documents")))
        change(message)
        client.lpush(LANE, json.dumps(message))
    return message


@pytest.mark.parametrize("name", BROKEN_FIELDS)
def test_a_message_with_a_broken_field_fails_its_task(app, module_redis, worker, name: str) -> None:
    message = send_changed(app, module_redis, BROKEN_FIELDS[name])
    task_id = message["headers"]["id"]
    assert fails(app, task_id)
    wait_for(lambda: not held(module_redis, LANE, task_id), "the ack")


@pytest.mark.parametrize("name", BROKEN_ENVELOPES)
def test_an_envelope_that_is_none_is_kept(app, module_redis, worker, name: str) -> None:
    before = len(letters(module_redis))
    message = send_changed(app, module_redis, BROKEN_ENVELOPES[name])
    wait_for(lambda: len(letters(module_redis)) == before + 1, "its dead letter")
    letter = letters(module_redis)[0]
    assert letter["reason"] == "malformed envelope"
    assert message["properties"]["delivery_tag"] in json.dumps(letter["message"])
    wait_for(lambda: worker_holds_nothing(module_redis), "the ack")


@pytest.mark.parametrize("entry", NO_MESSAGES)
def test_what_is_no_message_at_all_is_kept(module_redis, worker, entry: str) -> None:
    before = len(letters(module_redis))
    with module_redis.client() as client:
        client.lpush(LANE, entry.encode(errors="surrogateescape"))
    wait_for(lambda: len(letters(module_redis)) == before + 1, "its dead letter")
    letter = letters(module_redis)[0]
    assert letter["reason"] == "malformed envelope"
    assert letter["message"]["entry"] == entry.replace("\udcff", r"\xff")


def worker_holds_nothing(server: RedisServer) -> bool:
    with server.client() as client:
        return not client.exists(keys.unacked(LANE))


def test_a_message_of_celerys_first_protocol_runs(app, module_redis, worker) -> None:
    task_id = str(uuid4())
    payload = {"task": "lane.add", "id": task_id, "args": [1, 2], "kwargs": {}}
    send_changed(app, module_redis, lambda m: m.update(headers={}, body=body(payload)))
    assert app.AsyncResult(task_id).get(timeout=30) == 3


def test_dead_letters_are_counted(module_redis, worker) -> None:
    order(module_redis, [{"name": "nobody.knows", "queue": LANE}])
    assert worker.metric("laneway_dead_lettered_total", queue=LANE) > 0
