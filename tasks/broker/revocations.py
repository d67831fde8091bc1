"""Revocations that a worker started later still knows.

Celery tells running workers by broadcast and keeps the rest in their memory. The set here is
read by a worker when it starts to consume.
"""

import time

import redis

from laneway.tasks.broker import keys

KEPT_S = 86_400


def remember(client: "redis.Redis", task_id: str) -> None:
    """Keep a revocation for a day and forget the ones older than that."""
    now = time.time()
    with client.pipeline() as pipe:
        pipe.zremrangebyscore(keys.revoked(), "-inf", now)
        pipe.zadd(keys.revoked(), {task_id: now + KEPT_S})
        pipe.expire(keys.revoked(), KEPT_S)
        pipe.execute()


def remembered(client: "redis.Redis") -> list[str]:
    """Ids of every task revoked within the last day."""
    return [str(task_id) for task_id in client.zrangebyscore(keys.revoked(), time.time(), "+inf")]
