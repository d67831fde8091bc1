"""Every Redis key, and every message header, that Laneway spells.

A lane's ready messages are Celery's own plain list `LANE`; what Laneway adds is named
`laneway:{LANE}:…`. The braces are literal: in Redis Cluster they put all keys of a lane, its
list included, on one slot, and no lane's name can be a prefix of another's.

Each function's docstring says the key's type, what it holds and who writes it. `tools/keys_page.py`
makes `docs/keys.md` of them, `acl.py` the rights of every process.
"""

PUBLISHED_AT = "laneway_enqueued_at"
FIRST_PUBLISHED_AT = "laneway_first_enqueued_at"
"""Headers: when this message, and the task's first one, were published. Unix seconds, as text."""

PRIORITY_SEPARATOR = "\x06\x16"
PRIORITY_STEPS = (0, 3, 6, 9)
"""kombu's sub-lists: 0 is the lane's plain list and served first."""

CONTROL = "celery.pidbox"
CONTROL_REPLIES = "reply.celery.pidbox"
"""Exchanges of Celery's remote control: orders go out on the one, answers come on the other."""


def ready_lists(lane: str) -> list[str]:
    """List: ready messages, the next one at the right end; then the sub-lists of lower priority.

    Written by: producer, submitter, gateway, worker, scaler, ops.
    """
    lists = [f"{lane}{PRIORITY_SEPARATOR}{step}" for step in PRIORITY_STEPS if step]
    return [lane, *lists]


def list_globs(queue: str) -> list[str]:
    """Patterns that match a queue's list and its sub-lists alone, without a byte that is no text."""
    # The separator's bytes are the only unprintable ones in any key.
    steps = "".join(str(step) for step in PRIORITY_STEPS if step)
    return [queue, f"{queue}{'[^!-~]' * len(PRIORITY_SEPARATOR)}[{steps}]"]


def intake(lane: str) -> str:
    """List: messages between a waiting worker's wake-up and its claim, a moment later.

    Written by: worker.
    """
    return f"laneway:{{{lane}}}:intake"


def claims(lane: str) -> str:
    """Hash: claim id (`worker/number`) -> record of the message that the worker holds.

    Written by: worker, scaler.
    """
    return f"laneway:{{{lane}}}:claims"


def leases(lane: str) -> str:
    """Sorted set: worker by the time its lease runs out, milliseconds of Redis's clock.

    Written by: worker, scaler.
    """
    return f"laneway:{{{lane}}}:leases"


def epochs(lane: str) -> str:
    """Hash: worker -> number of its present connection; what an older one sends is refused.

    `?` and worker -> how often it was missed after its lease ran out, and when last.

    Written by: worker, scaler.
    """
    return f"laneway:{{{lane}}}:epochs"


def delayed(lane: str) -> str:
    """Sorted set: record of a message that waits for its time, by that time in milliseconds.

    Written by: submitter, gateway, worker, scaler, ops.
    """
    return f"laneway:{{{lane}}}:delayed"


def stock_unacked(lane: str) -> str:
    """Hash: what workers with LANEWAY_TRANSPORT=kombu hold of a lane; two keys more begin with it.

    Written by: worker.
    """
    return f"laneway:{{{lane}}}:unacked"


def tally(lane: str) -> str:
    """Hash: counts that outlive their worker; `drain_requeued` is what drains gave back half done.

    Written by: worker.
    """
    return f"laneway:{{{lane}}}:tally"


def dead_letters(lane: str) -> str:
    """Sorted set: dead-letter id by time of death, milliseconds.

    Written by: worker, gateway, ops.
    """
    return f"laneway:{{{lane}}}:dead"


def dead_records(lane: str) -> str:
    """Hash: dead-letter id -> its record.

    Written by: worker, gateway, ops.
    """
    return f"laneway:{{{lane}}}:dead-records"


def dead_log(lane: str) -> str:
    """List: what was done to dead letters, by whom and why; the newest first.

    Written by: gateway, ops.
    """
    return f"laneway:{{{lane}}}:dead-log"


def rate_limit(task: str) -> str:
    """String: when the next run of a rate-limited task is due, microseconds.

    Written by: worker.
    """
    return f"laneway:rate:{task}"


def revoked() -> str:
    """Sorted set: revoked task id by the time the revocation is forgotten, seconds.

    Written by: gateway, ops, worker.
    """
    return "laneway:revoked"


def submission(task_id: str) -> str:
    """Hash: what a door accepted under this task id.

    Written by: gateway, submitter, worker.
    """
    return f"laneway:submission:{task_id}"


def idempotency(digest: str) -> str:
    """Hash: request digest, task id and state behind one idempotency key.

    Written by: gateway, submitter, worker.
    """
    return f"laneway:idempotency:{digest}"


def lock(name: str) -> str:
    """String: token of the process that holds the lock.

    Written by: worker.
    """
    return f"laneway:lock:{name}"


def durability_fence() -> str:
    """String: a counter, written after a publish to wait for what came before it.

    Written by: gateway, submitter, worker.
    """
    return "laneway:durability-fence"


def result(task_id: str) -> str:
    """String: Celery's state and result of a task, and the channel that tells of it; others forget it.

    Written by: producer, submitter, gateway, worker, ops.
    """
    return f"celery-task-meta-{task_id}"


def group(group_id: str) -> str:
    """String: Celery's record of a group; with `.s` and other ends, what a chord counts.

    Written by: producer, submitter, worker.
    """
    return f"celery-taskset-meta-{group_id}"


def binding(exchange: str) -> str:
    """Set: kombu's list of an exchange's queues.

    Written by: producer, worker, ops.
    """
    return f"_kombu.binding.{exchange}"


def lasting_binding(exchange: str) -> str:
    """Set: those of kombu's bindings that no time-out ends.

    Written by: producer, worker, ops.
    """
    return f"_kombu.binding_permanent.{exchange}"


def binding_deadlines() -> str:
    """Sorted set: exchange by the time its bindings end unless somebody renews them.

    Written by: worker, ops.
    """
    return "_kombu.binding_deadlines"


def control_queue(worker: str) -> str:
    """List: of a worker's remote control; nothing is put there, as orders come by broadcast.

    Written by: worker.
    """
    return f"{worker}.{CONTROL}"


def control_reply(client: str) -> str:
    """List: answers of workers to one client of Celery's remote control.

    Written by: worker, ops.
    """
    return f"{client}.{CONTROL_REPLIES}"


def control_channel(database: int) -> str:
    """Channel: Celery's remote control, of the broker's database.

    Written by: gateway, ops.
    """
    return f"/{database}.{CONTROL}"
