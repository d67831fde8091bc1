"""A client of Laneway for a test: Celery's own API over an app that knows the tests' tasks."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery

from laneway.tasks.app import LanewayApp, create_app, load_team_modules
from laneway.tasks.broker import keys
from laneway.tasks.broker.client import broker_client, result_client
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer
from worker_harness import TASKS_FOLDER, wait_for

MODULES = "lane_tasks,lesson_tasks"


@contextmanager
def client_of(server: RedisServer, **settings: Any) -> Iterator[LanewayApp]:
    """An app that publishes to `server` and reads results from its database 1."""
    if str(TASKS_FOLDER) not in sys.path:
        sys.path.append(str(TASKS_FOLDER))
    given = {
        "broker_url": server.url,
        "result_url": server.url.removesuffix("/0") + "/1",
        "task_modules": MODULES,
        **settings,
    }
    loaded = load_settings(**given)
    app = create_app(loaded, load_catalogue(loaded.queues_file))
    load_team_modules(app)
    try:
        yield app
    finally:
        forget_results(app)
        app.close()
        broker_client(loaded).close()
        result_client(loaded).close()


def forget_results(app: Celery) -> None:
    """Close what the results hold open; one that is collected later is not to open it anew."""
    consumer = app.backend.result_consumer
    consumer.stop()
    consumer._pubsub = None
    app.backend.client.connection_pool.disconnect()


def write_catalogue(path: Path, text: str) -> str:
    """The packaged lanes and those of `text`: YAML, one `name: {fields}` a line."""
    lanes = ["high-priority: {}", "documents: {}", "notifications: {}", *text.splitlines()]
    path.write_text("queues:\n" + "\n".join(f"  {lane.strip()}" for lane in lanes if lane.strip()))
    return str(path)


def wait_for_state(result: Any, state: str) -> Any:
    """The meta of a task once it is in `state`."""
    wait_for(lambda: result.state == state, f"{state}, last {result.state}")
    return result.info


def wait_for_file(path: Path) -> None:
    wait_for(path.exists, f"the file {path.name}")


def held(server: RedisServer, lane: str, task_id: str) -> list[dict[str, Any]]:
    """The messages of a task that workers of the lane hold."""
    with server.client() as client:
        return of_task(client.hvals(keys.claims(lane)), task_id)


def delayed(server: RedisServer, lane: str, task_id: str) -> list[dict[str, Any]]:
    """The messages of a task that wait in the lane for their time."""
    with server.client() as client:
        return of_task(client.zrange(keys.delayed(lane), 0, -1), task_id)


def of_task(records: list[str], task_id: str) -> list[dict[str, Any]]:
    """The messages of a task among records of Laneway's."""
    messages = [json.loads(record.partition("\n")[2]) for record in records]
    return [message for message in messages if message["headers"]["id"] == task_id]


def ready(server: RedisServer, name: str) -> list[dict[str, Any]]:
    """The messages in one list of a lane, the next one to run first."""
    with server.client() as client:
        return [json.loads(entry) for entry in reversed(client.lrange(name, 0, -1))]


def scheduled_retry(server: RedisServer, lane: str, task_id: str) -> dict[str, Any]:
    """Headers of a task's next try, which waits until it is due."""

    def found() -> dict[str, Any] | None:
        messages = delayed(server, lane, task_id)
        again = [m["headers"] for m in messages if m["headers"]["retries"] > 0]
        return again[0] if again else None

    headers: dict[str, Any] = wait_for(found, "a scheduled retry")
    return headers


def delay_s(headers: dict[str, Any]) -> int:
    """Whole seconds between a message's publishing and its eta."""
    due_s = datetime.fromisoformat(headers["eta"]).timestamp()
    return round(due_s - float(headers["laneway_enqueued_at"]))


def fails_with(result: Any, kind: str) -> Callable[[], bool]:
    """Whether a task has ended with an error of this class name."""
    return lambda: result.state == "FAILURE" and type(result.result).__name__ == kind


def order(server: RedisServer, orders: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    """Let a producer that knows nothing of Laneway send tasks, and read what became of them."""
    command = [sys.executable, str(Path(__file__).with_name("stock_producer.py")), server.url]
    done = subprocess.run(
        [*command, *options],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
