"""Every Redis key, and every message header, that Laneway spells.

A lane's ready messages are Celery's own plain list `LANE`; what Laneway adds is named
`laneway:{LANE}:…`. The braces are literal: in Redis Cluster they put all keys of a lane, its
list included, on one slot, and no lane's name can be a prefix of another's.
"""

PUBLISHED_AT = "laneway_enqueued_at"
FIRST_PUBLISHED_AT = "laneway_first_enqueued_at"
"""Headers: when this message, and the task's first one, were published. Unix seconds, as text."""

PRIORITY_SEPARATOR = "\x06\x16"
PRIORITY_STEPS = (0, 3, 6, 9)
"""kombu's sub-lists: 0 is the lane's plain list and served first."""


def ready_lists(lane: str) -> list[str]:
    """The lane's ready messages: its plain list, then the priority sub-lists."""
    lists = [f"{lane}{PRIORITY_SEPARATOR}{step}" for step in PRIORITY_STEPS if step]
    return [lane, *lists]


def unacked(lane: str) -> str:
    """Hash: delivery tag -> message that a worker holds."""
    return f"laneway:{{{lane}}}:unacked"


def unacked_index(lane: str) -> str:
    """Sorted set: delivery tag by time of delivery."""
    return f"laneway:{{{lane}}}:unacked_index"


def unacked_mutex(lane: str) -> str:
    """Lock of the sweep that restores messages of dead workers."""
    return f"laneway:{{{lane}}}:unacked_mutex"


def dead_letters(lane: str) -> str:
    """Sorted set: dead-letter record by time of death."""
    return f"laneway:{{{lane}}}:dead"


def lost_deliveries(lane: str, task_id: str) -> str:
    """Counter: deliveries of one message that ended with its pool process lost."""
    return f"laneway:{{{lane}}}:lost:{task_id}"


def rate_limit(task: str) -> str:
    """String: when the next run of a rate-limited task is due, microseconds."""
    return f"laneway:rate:{task}"


def revoked() -> str:
    """Sorted set: revoked task id by the time the revocation is forgotten."""
    return "laneway:revoked"


def submission(task_id: str) -> str:
    """Hash: what a door accepted under this task id."""
    return f"laneway:submission:{task_id}"


def idempotency(digest: str) -> str:
    """Hash: request digest, task id and state behind one idempotency key."""
    return f"laneway:idempotency:{digest}"


def lock(name: str) -> str:
    """String: token of the process that holds the lock."""
    return f"laneway:lock:{name}"


def durability_fence() -> str:
    """Counter: written after a publish, to wait for what came before it."""
    return "laneway:durability-fence"
