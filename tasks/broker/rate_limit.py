"""Rate limits that hold across all workers of a Redis.

A turn is taken for a message before it takes a slot. If the turn is later, the message waits for it
among the lane's delayed ones, and carries the turn along: so each is parked once.
"""

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.scripting import run


def take_turn(client: "redis.Redis", task: str, rate_per_s: float, given_ms: int) -> int | None:
    """Take the next turn of a rate-limited task.

    Args:
        client: of the broker.
        task: its name; the rate is shared by every worker that uses it.
        rate_per_s: turns a second.
        given_ms: the turn this message was given before, 0 for none.

    Returns:
        None if it may run now; else the time of its turn, milliseconds since the epoch.
    """
    interval_us = round(1_000_000 / rate_per_s)
    turn_ms = int(run(client, "take_turn", [keys.rate_limit(task)], [interval_us, given_ms]))
    return turn_ms or None
