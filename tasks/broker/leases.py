"""Keeping what a live worker holds from being given to another.

Stock kombu records when a message was delivered and gives it back after the visibility time-out,
run or not. A worker that renews that record holds its messages for as long as it lives: those
that run long, those delayed, and those that wait for their turn under a rate limit.
"""

import time
from collections.abc import Iterable

import redis

from laneway.tasks.broker import keys

RENEWALS = 3
"""Renewals in one lease: two may fail before another worker takes over."""


def renew(client: "redis.Redis", lane: str, delivery_tags: Iterable[str]) -> None:
    """Count the lease of these deliveries from now; what is no longer held stays so."""
    now = time.time()
    held = dict.fromkeys(delivery_tags, now)
    if held:
        client.zadd(keys.unacked_index(lane), held, xx=True)
