"""A Celery user's view of a lane: signatures of the tests' tasks, and what ran where."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery.canvas import Signature

from laneway.tasks.app import LanewayApp
from laneway.tasks.broker.backlog import Backlog, read_backlogs
from lesson_harness import client_of
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker

MODULES = "user_tasks,lesson_tasks,lane_tasks,fate_tasks"
GET_S = 30


class User:
    """Somebody with Celery's manual, an app and a lane.

    `worker` is the lane's worker, if the test file runs one.
    """

    def __init__(self, app: LanewayApp, server: RedisServer, lane: str) -> None:
        self.app, self.server, self.lane = app, server, lane
        self.worker: RunningWorker | None = None

    def sig(self, task: str, *args: Any, **kwargs: Any) -> Signature:
        """A signature of `user.TASK` that goes to the lane."""
        found: Signature = self.app.tasks[f"user.{task}"].s(*args, **kwargs).set(queue=self.lane)
        return found

    def send(self, task: str, *args: Any, **options: Any) -> Any:
        """Publish `user.TASK`; `options` are those of `apply_async`."""
        return self.sig(task, *args).apply_async(**options)

    def get(self, task: str, *args: Any, **options: Any) -> Any:
        """The result of `user.TASK`."""
        return self.send(task, *args, **options).get(timeout=GET_S)

    def backlog(self) -> Backlog:
        """What the lane holds."""
        with self.server.client() as client:
            return read_backlogs(client, [self.lane])[self.lane]

    def outcomes(self, task_id: str) -> list[str]:
        """Of the ended attempts of a task."""
        assert self.worker is not None
        return [attempt["outcome"] for attempt in self.worker.attempts(task_id)]


@contextmanager
def celery_user(
    server: RedisServer, folder: Path, lane: str, *, work: bool = True, **settings: str
) -> Iterator[User]:
    """A user of `lane`, by default with a worker of it. `settings` go to both."""
    given = {"task_modules": MODULES, **settings}
    with client_of(server, **given) as app:
        user = User(app, server, lane)
        if not work:
            yield user
            return
        with running_worker(lane, folder, server.url, **given) as worker:
            user.worker = worker
            yield user


def lines(mark: Path) -> list[str]:
    """What tasks left in the file `mark` so far."""
    return mark.read_text().splitlines() if mark.exists() else []
