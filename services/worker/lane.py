"""What the parts of a worker share: its lane, and how it is doing."""

import time
from dataclasses import dataclass, field
from typing import Any

import redis
from celery.exceptions import BackendError
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from laneway.observability.attempts import Attempts
from laneway.observability.metrics import Metrics
from laneway.tasks.broker.link import LaneLink
from laneway.tasks.queues import Queue

LOOP_SILENCE_LIMIT_S = 60.0
"""An event loop that has not ticked for so long is dead: tasks hold no loop, only bugs do."""

TICK_S = 1.0

STORE_ERRORS = (BackendError, RedisError, OperationalError)
"""What the worker's parent meets when it stores an outcome, or calls errbacks, with Redis away."""


@dataclass
class Pulse:
    """Whether the worker's event loop turns, and whether it consumes its lane."""

    ticked_at_s: float = field(default_factory=time.monotonic)
    waiting_for_broker: bool = False
    consuming: bool = False
    draining: bool = False

    def tick(self) -> float:
        """Called by the event loop, once every TICK_S; by how many seconds it was late."""
        now_s = time.monotonic()
        late_s, self.ticked_at_s = now_s - self.ticked_at_s - TICK_S, now_s
        return max(0.0, late_s)

    def live(self) -> tuple[bool, str]:
        """Whether the event loop is alive. Never depends on Redis."""
        if self.waiting_for_broker:
            return True, "waiting for Redis"
        silence_s = time.monotonic() - self.ticked_at_s
        if silence_s > LOOP_SILENCE_LIMIT_S:
            return False, f"the event loop has not turned for {silence_s:.0f} s"
        return True, "the event loop turns"

    def ready(self) -> tuple[bool, str]:
        """Whether the worker takes messages from its lane."""
        if self.draining:
            return False, "draining"
        if self.waiting_for_broker:
            return False, "waiting for Redis"
        if not self.consuming:
            return False, "starting"
        live, reason = self.live()
        return live, "consuming" if live else reason


@dataclass
class Lane:
    """The lane a worker serves, and what its parts need to serve it."""

    name: str
    queue: Queue
    client: "redis.Redis"
    link: LaneLink
    attempts: Attempts
    metrics: Metrics
    pulse: Pulse = field(default_factory=Pulse)
    remembers_success: bool = False
    """Whether Celery is to remember what succeeded, for its own deduplication."""
    drain_requeued: int = 0
    """Tasks that ran and were given back as the drain ran out of time."""
    holding: dict[str, Any] = field(default_factory=dict)
    """Claim to the request that holds it."""
