"""The tasks Laneway brings, known by name without importing any of their code.

A producer, the gateway or the worker of another lane needs a task's contract, limits and home
lane, but not its libraries: the code itself is imported from `module` by the workers that run it.
"""

from dataclasses import dataclass

from laneway.tasks import contracts


@dataclass(frozen=True)
class BuiltinTask:
    """What is known of a task without its code. Limits are in seconds."""

    module: str
    contract: type[contracts.Contract]
    queue: str
    soft_time_limit_s: int
    time_limit_s: int


BUILTIN_TASKS = {
    "documents.process": BuiltinTask(
        module="laneway.tasks.documents.tasks",
        contract=contracts.DocumentsProcess,
        queue="documents",
        soft_time_limit_s=540,
        time_limit_s=600,
    ),
    "documents.embed": BuiltinTask(
        module="laneway.tasks.documents.tasks",
        contract=contracts.DocumentsEmbed,
        queue="documents",
        soft_time_limit_s=240,
        time_limit_s=300,
    ),
    "rag.index_collection": BuiltinTask(
        module="laneway.tasks.rag.tasks",
        contract=contracts.RagIndexCollection,
        queue="documents",
        soft_time_limit_s=540,
        time_limit_s=600,
    ),
    "notifications.send_email": BuiltinTask(
        module="laneway.tasks.notifications.tasks",
        contract=contracts.NotificationsSendEmail,
        queue="notifications",
        soft_time_limit_s=50,
        time_limit_s=60,
    ),
}

HIGH_PRIORITY_QUEUE = "high-priority"
"""Where a task with `priority="high"` in its payload goes, if the caller names no queue."""


def home_queue(task: str, payload: dict[str, object]) -> str | None:
    """The queue a built-in task goes to when the caller names none; None for other tasks."""
    builtin = BUILTIN_TASKS.get(task)
    if builtin is None:
        return None
    return HIGH_PRIORITY_QUEUE if payload.get("priority") == "high" else builtin.queue
