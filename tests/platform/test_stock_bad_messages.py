"""Messages that cannot run: each is kept with its reason, and no worker is lost over it."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from bad_messages import (
    BROKEN_ENVELOPES,
    BROKEN_FIELDS,
    BROKEN_PROPERTIES,
    NO_MESSAGES,
    ODD,
    WAITING_CASE,
    Change,
    body,
)
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import keys
from laneway.tasks.broker.dead_letters import DeadLetter, iterate
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


def letters(server: RedisServer) -> list[DeadLetter]:
    with server.client() as client:
        return list(iterate(client, LANE))


def dead(server: RedisServer, task_id: str) -> DeadLetter:
    """The dead letter of a task, once it is there."""

    def found() -> list[DeadLetter]:
        return [letter for letter in letters(server) if letter.task_id == task_id]

    (letter,) = wait_for(found, f"a dead letter of {task_id}")
    return letter


def died_of(server: RedisServer, entry: bytes) -> str:
    """The kind of the dead letter that has just these bytes, once it is there."""

    def found() -> list[str]:
        return [letter.kind for letter in letters(server) if letter.message == entry]

    (kind,) = wait_for(found, f"a dead letter of {entry[:80]!r}")
    return str(kind)


def dead_ids(server: RedisServer, entry: bytes) -> list[str | None]:
    """The task id that the dead letter of these bytes tells."""
    return [letter.task_id for letter in letters(server) if letter.message == entry]


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
    letter = dead(module_redis, answer["id"])
    assert (letter.kind, letter.task, letter.deliveries) == ("unknown task", name, 1)
    assert json.loads(b64decode(letter.envelope["body"]))[1] == {"x": 1}


def test_pickle_is_refused_unread(app, module_redis, worker) -> None:
    orders = [{"name": "lane.add", "args": [1, 2], "queue": LANE, "serializer": "pickle"}]
    (answer,) = order(module_redis, orders)
    assert answer["state"] == "FAILURE"
    assert "pickle" in answer["error"]
    letter = dead(module_redis, answer["id"])
    assert letter.envelope["content-type"] == "application/x-python-serialize"
    assert letter.kind == "refused content type"


def copy_of_a_message(app: LanewayApp, server: RedisServer) -> dict[str, Any]:
    """What a producer sends, taken from a lane without a worker."""
    app.tasks["lane.add"].apply_async((1, 2), queue="documents")
    with server.client() as client:
        message: dict[str, Any] = json.loads(str(client.rpop("documents")))
    return message


def send_changed(app: LanewayApp, server: RedisServer, change: Change) -> tuple[str, bytes]:
    """Push a message with a change; its id before the change, and what was pushed."""
    message = copy_of_a_message(app, server)
    task_id = message["headers"]["id"]
    change(message)
    entry = json.dumps(message).encode()
    with server.client() as client:
        client.lpush(LANE, entry)
    return task_id, entry


KINDS = {
    "eta": "malformed envelope",
    "body is no base64": "undecodable body",
    "body is no JSON": "undecodable body",
    "body is no UTF-8": "undecodable body",
    "body is nested too deep": "undecodable body",
    "content type": "refused content type",
    "content type is pickle": "refused content type",
    "content type is YAML": "refused content type",
    "unknown task": "unknown task",
}
"""What a message with a broken field dies of; the others are `invalid task`."""

RUNS_AND_FAILS = ("arguments do not fit",)


@pytest.mark.parametrize("name", [name for name in BROKEN_FIELDS if name not in RUNS_AND_FAILS])
def test_a_message_with_a_broken_field_fails_its_task_and_is_kept(
    app, module_redis, worker, name: str
) -> None:
    task_id, entry = send_changed(app, module_redis, BROKEN_FIELDS[name])
    assert fails(app, task_id)
    assert died_of(module_redis, entry) == KINDS.get(name, "invalid task")
    assert not held(module_redis, LANE, task_id)


@pytest.mark.parametrize("name", RUNS_AND_FAILS)
def test_what_can_run_and_fails_is_no_dead_letter(app, module_redis, worker, name: str) -> None:
    task_id, entry = send_changed(app, module_redis, BROKEN_FIELDS[name])
    assert fails(app, task_id)
    wait_for(lambda: not held(module_redis, LANE, task_id), "the ack")
    assert entry not in [letter.message for letter in letters(module_redis)]


NO_PROPERTY_NEEDED = ("no delivery tag",)
BROKEN = {**BROKEN_ENVELOPES, **BROKEN_PROPERTIES}


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in NO_PROPERTY_NEEDED])
def test_an_envelope_that_is_none_is_kept(app, module_redis, worker, name: str) -> None:
    task_id, entry = send_changed(app, module_redis, BROKEN[name])
    assert died_of(module_redis, entry) == "malformed envelope"
    if dead_ids(module_redis, entry) == [task_id]:
        assert fails(app, task_id)  # whoever waits for it learns
    wait_for(lambda: worker_holds_nothing(module_redis), "the ack")


@pytest.mark.parametrize("name", NO_PROPERTY_NEEDED)
def test_what_lacks_only_what_stock_kombu_needs_runs(app, module_redis, worker, name: str) -> None:
    task_id, _ = send_changed(app, module_redis, BROKEN[name])
    assert app.AsyncResult(task_id).get(timeout=30) == 3


@pytest.mark.parametrize("name", ODD)
def test_an_odd_message_has_an_end(app, module_redis, worker, name: str) -> None:
    task_id, entry = send_changed(app, module_redis, ODD[name])
    assert fails(app, task_id)
    if name in (WAITING_CASE, "stamped_headers is a number"):
        assert died_of(module_redis, entry) in {"malformed envelope", "invalid task"}
    wait_for(lambda: worker_holds_nothing(module_redis), "the ack")


@pytest.mark.parametrize("text", NO_MESSAGES)
def test_what_is_no_message_at_all_is_kept(module_redis, worker, text: str) -> None:
    entry = text.encode(errors="surrogateescape")
    with module_redis.client() as client:
        client.lpush(LANE, entry)
    assert died_of(module_redis, entry) == "malformed envelope"


def worker_holds_nothing(server: RedisServer) -> bool:
    with server.client() as client:
        return not client.exists(keys.claims(LANE))


def test_a_message_of_celerys_first_protocol_runs(app, module_redis, worker) -> None:
    task_id = str(uuid4())
    payload = {"task": "lane.add", "id": task_id, "args": [1, 2], "kwargs": {}}
    send_changed(app, module_redis, lambda m: m.update(headers={}, body=body(payload)))
    assert app.AsyncResult(task_id).get(timeout=30) == 3


def test_dead_letters_are_counted(module_redis, worker) -> None:
    order(module_redis, [{"name": "nobody.knows", "queue": LANE}])
    assert worker.metric("laneway_dead_lettered_total", queue=LANE) > 0
