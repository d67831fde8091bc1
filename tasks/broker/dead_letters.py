"""Messages that cannot run, kept with the reason instead of dropped."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import redis

from laneway.tasks.broker import keys
from laneway.tasks.queues import DeadLetterRetention

RECORD_VERSION = 1


@dataclass(frozen=True)
class DeadLetter:
    """One message and why it died. `message` is as much of the envelope as could be read."""

    reason: str
    task_id: str | None
    task: str | None
    worker: str
    deliveries: int
    died_at_s: float
    message: dict[str, Any]


def bury(
    client: "redis.Redis", lane: str, letter: DeadLetter, retention: DeadLetterRetention
) -> None:
    """Keep a dead letter, and no more or older ones than the lane's retention allows."""
    record = json.dumps({"version": RECORD_VERSION, **asdict(letter)}, default=repr)
    name = keys.dead_letters(lane)
    with client.pipeline() as pipe:
        pipe.zadd(name, {record: letter.died_at_s})
        pipe.zremrangebyscore(name, "-inf", time.time() - retention.seconds)
        pipe.zremrangebyrank(name, 0, -retention.count - 1)
        pipe.execute()


def read_dead_letters(client: "redis.Redis", lane: str, limit: int = 100) -> list[dict[str, Any]]:
    """The lane's youngest dead letters, youngest first."""
    return [
        json.loads(str(record))
        for record in client.zrevrange(keys.dead_letters(lane), 0, limit - 1)
    ]


def count_lost_delivery(client: "redis.Redis", lane: str, task_id: str, kept_s: int) -> int:
    """How often this message has taken its pool process with it, this time included."""
    name = keys.lost_deliveries(lane, task_id)
    with client.pipeline() as pipe:
        pipe.incr(name)
        pipe.expire(name, kept_s)
        count, _ = pipe.execute()
    return int(count)
