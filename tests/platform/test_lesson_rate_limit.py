"""A rate limit is the task's, not a worker's: two workers of a lane share it."""

from pathlib import Path

import pytest

from lesson_harness import MODULES, client_of
from redis_server import RedisServer
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

LANE = "high-priority"
TASKS, PER_S = 7, 1


def test_two_workers_together_keep_the_rate(module_redis: RedisServer, tmp_path: Path) -> None:
    mark = tmp_path / "turns"
    settings = {"task_modules": MODULES}
    with (
        client_of(module_redis) as app,
        running_worker(LANE, tmp_path, module_redis.url, **settings) as one,
        running_worker(LANE, tmp_path, module_redis.url, **settings) as other,
    ):
        task = app.tasks["lesson.limited"]
        for result in [task.apply_async([str(mark)], queue=LANE) for _ in range(TASKS)]:
            result.get(timeout=60)
        wait_for(lambda: len(one.attempts() + other.attempts()) == TASKS, "the last line")
        assert all(worker.attempts() for worker in (one, other))
    turns_s = sorted(map(float, mark.read_text().split()))
    for start_s in turns_s:
        for window_s in (1, 2, 3):
            within = [turn_s for turn_s in turns_s if start_s <= turn_s < start_s + window_s]
            assert len(within) <= window_s * PER_S + 1
