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


def intake(lane: str) -> str:
    """List: messages between a waiting worker's wake-up and its claim, a moment later."""
    return f"laneway:{{{lane}}}:intake"


def claims(lane: str) -> str:
    """Hash: claim id (`worker/number`) -> record of the message that the worker holds."""
    return f"laneway:{{{lane}}}:claims"


def leases(lane: str) -> str:
    """Sorted set: worker by the time its lease runs out, milliseconds of Redis's clock."""
    return f"laneway:{{{lane}}}:leases"


def epochs(lane: str) -> str:
    """Hash: worker -> number of its present connection; what an older one sends is refused."""
    return f"laneway:{{{lane}}}:epochs"


def delayed(lane: str) -> str:
    """Sorted set: record of a message that waits for its time, by that time in milliseconds."""
    return f"laneway:{{{lane}}}:delayed"


def stock_unacked(lane: str) -> str:
    """Hash: what workers on kombu's own transport hold of a lane; two keys more begin with it."""
    return f"laneway:{{{lane}}}:unacked"


def dead_letters(lane: str) -> str:
    """Sorted set: dead-letter id by time of death, milliseconds."""
    return f"laneway:{{{lane}}}:dead"


def dead_records(lane: str) -> str:
    """Hash: dead-letter id -> its record."""
    return f"laneway:{{{lane}}}:dead-records"


def dead_log(lane: str) -> str:
    """List: what was done to dead letters, by whom and why; the newest first."""
    return f"laneway:{{{lane}}}:dead-log"


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
