"""What a pool runs for a message that took the light way: Celery's tracer, after a look at the body."""

from json import JSONDecoder
from typing import Any

from celery.app import trace
from kombu.utils.json import object_hook

NO_ARGUMENTS = "the body is not [args, kwargs, embed]: publish the task with a Celery client"


_JSON = JSONDecoder(object_hook=object_hook)
"""What kombu makes of JSON: dates, UUIDs and whatever else was registered with it come back."""


class BodyRefused(Exception):
    """The body cannot be a task's; the message is a dead letter. `kind` is one of a few words."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason


def run_body(
    task: str,
    uuid: str,
    request: dict[str, Any],
    body: bytes | str,
    content_type: str,
    content_encoding: str,
) -> tuple[int, Any, float]:
    """Decode a message's body and run its task.

    Returns:
        Whether it failed, its result's text or its error, and its run time in seconds: what
        Celery's own `fast_trace_task` returns.

    Raises:
        BodyRefused: the body is no task's.
    """
    tasks, _, hostname = trace._localized  # noqa: SLF001 - set up for each pool process
    del content_type, content_encoding  # `is_light` let UTF-8 JSON through and nothing else
    try:
        decoded = _JSON.decode(body if isinstance(body, str) else str(body, "utf-8"))
    except (ValueError, TypeError, RecursionError) as error:
        raise BodyRefused("undecodable body", type(error).__name__) from None
    match decoded:
        case [list() as args, dict() as kwargs, dict() | None as embed]:
            pass
        case _:
            raise BodyRefused("invalid task", NO_ARGUMENTS)
    request.update(args=args, kwargs=kwargs, hostname=hostname, is_eager=False, **embed or {})
    result, failure, runtime_s, text = tasks[task].__trace__(uuid, args, kwargs, request)
    return (1, result, runtime_s) if failure else (0, text, runtime_s)
