"""What is known when an attempt begins, and the spans that say so."""

from dataclasses import dataclass, field

from laneway.observability.headers import PERIODIC, PREVIOUS, TRACEPARENT, Headers, texts
from laneway.observability.spans import NO_SPAN, Span, Tracer

LINK_AFTER_S = 600.0
"""What waited longer has a trace of its own: nobody looks for it in one that ended long ago."""


@dataclass(slots=True)
class AttemptStart:
    """What is known when an attempt is handed to the pool. Made for every attempt, so not frozen.

    Times ending in `_at_s` and `eta_s` are seconds since the epoch; None where the producer sent
    none. `attempt` counts from 1. `headers` are those of the message.
    """

    task_id: str
    task: str
    queue: str
    received_at_s: float
    attempt: int = 1
    redelivered: bool = False
    headers: Headers = field(default_factory=dict)
    enqueued_at_s: float | None = None
    first_enqueued_at_s: float | None = None
    eta_s: float | None = None
    root_id: str | None = None
    parent_id: str | None = None
    soft_limit_s: float | None = None
    hard_limit_s: float | None = None
    pool: str | None = None

    @property
    def periodic(self) -> bool:
        """Whether Celery's beat published it."""
        return PERIODIC in self.headers

    @property
    def ready_at_s(self) -> float:
        """When it could have run: published or due, whichever is later."""
        enqueued_s = self.received_at_s if self.enqueued_at_s is None else self.enqueued_at_s
        return max(enqueued_s, self.eta_s or 0.0)

    @property
    def task_began_at_s(self) -> float:
        """Where end-to-end time begins: the ready time of the task's first attempt."""
        if self.attempt == 1 or self.first_enqueued_at_s is None:
            first_s = self.first_enqueued_at_s or self.ready_at_s
            return max(first_s, self.eta_s or 0.0)
        return self.first_enqueued_at_s

    @property
    def wait_kind(self) -> str:
        """The label that says what its waiting time means."""
        if self.enqueued_at_s is None:
            return "claimed"
        if self.redelivered:
            return "redelivered"
        return "first" if self.attempt == 1 else "retry"


def process_span(tracer: Tracer | None, start: AttemptStart, began_at_s: float) -> Span:
    """Start `process {queue}`: a child of the first send, linked to the attempt it retries.

    What beat published, or what waited for long, begins a trace of its own, linked to its send.
    """
    if tracer is None:
        return NO_SPAN
    apart = start.periodic or began_at_s - start.ready_at_s > LINK_AFTER_S
    attributes = {
        **_destination(start),
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "celery.attempt": start.attempt,
        "celery.redelivered": start.redelivered,
        "celery.parent_id": start.parent_id,
        "celery.pool": start.pool,
        "celery.soft_time_limit_s": start.soft_limit_s,
        "celery.time_limit_s": start.hard_limit_s,
    }
    return tracer.start(
        f"process {start.queue}",
        "consumer",
        attributes,
        parent={} if apart else start.headers,
        links={
            "retry_of": texts(start.headers, PREVIOUS).get(PREVIOUS),
            "sent_by": texts(start.headers, TRACEPARENT).get(TRACEPARENT) if apart else None,
        },
        start_s=began_at_s,
    )


def wait_span(tracer: Tracer | None, start: AttemptStart, until_s: float) -> None:
    """Record `wait {queue}`, from ready to the hand-over, if the producer sent its time."""
    if tracer is None or start.enqueued_at_s is None:
        return
    begin_s = min(start.ready_at_s, until_s)
    span = tracer.start(
        f"wait {start.queue}",
        "internal",
        {**_destination(start), "celery.claimed_after_s": max(0.0, start.received_at_s - begin_s)},
        parent=start.headers,
        start_s=begin_s,
    )
    span.end(until_s)


def _destination(start: AttemptStart) -> dict[str, str | None]:
    return {
        "messaging.system": "redis",
        "messaging.destination.name": start.queue,
        "messaging.message.id": start.task_id,
        "messaging.message.conversation_id": start.root_id,
        "celery.task.name": start.task,
    }
