"""What waits in a pool does not outlive its expiry."""

import time

import pytest

from laneway.services.worker.pool import ProcessPool, ThreadPool
from pool_harness import Marks, running_pool
from task_modules import pool_tasks as tasks

pytestmark = pytest.mark.platform


@pytest.mark.parametrize("pool_class", [ProcessPool, ThreadPool])
def test_what_expires_while_it_waits_does_not_run(pool_class, tmp_path):
    expired = []
    with running_pool(pool_class, concurrency=1) as run:
        release = tmp_path / "release"
        holding = run.send(tasks.hold, str(Marks(tmp_path).path), str(release))
        run.until(lambda: holding.accepted, "the task to run")
        soon_s = time.time() + 0.2
        sent = run.send(
            tasks.give, expires_s=soon_s, on_expired=lambda: sent.events.append("expired")
        )
        lasting = run.send(tasks.give, expires_s=soon_s + 3_600, on_expired=expired.append)
        run.until(lambda: time.time() > soon_s, "its expiry")
        release.touch()
        run.until_told(holding, sent, lasting)
    assert [told.events for told in (holding, sent, lasting)] == [
        ["success"],
        ["expired"],
        ["success"],
    ]
    assert (sent.accepted, expired) == ([], [])
