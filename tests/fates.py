"""Every way an attempt can end, and what must be seen of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lane_client import LaneClient, Sent
from laneway.tasks.status import revoke
from otlp_collector import Collector, attributes
from worker_harness import RunningWorker, wait_for

LIVED = {"success", "retry", "failure", "rejected", "requeued", "ignored", "soft_timeout"}
"""Outcomes whose code ran to its end: its span is there too."""


@dataclass(frozen=True)
class Fate:
    """One task's way: the outcomes of its attempts in order, and the state its caller reads."""

    name: str
    task: str
    outcomes: tuple[str, ...]
    state: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    marks: bool = False
    """Whether the task wants a file of its own, `mark`."""

    @property
    def ends_its_process(self) -> bool:
        return not {"worker_lost", "hard_timeout", "terminated"}.isdisjoint(self.outcomes)

    def __str__(self) -> str:
        return self.name


# Celery stores the state RETRY after it has published the retry: at once, another slot may be faster.
SOON = {"countdown": 0.5}

ON_EVERY_POOL = (
    Fate("success", "lane.add", ("success",), "SUCCESS", {"x": 1, "y": 2}),
    Fate("retried", "lane.retry", ("retry", "success"), "SUCCESS", SOON),
    Fate(
        "retries used up",
        "lane.retry",
        ("retry", "retry", "failure"),
        "FAILURE",
        {**SOON, "fail_times": 9},
    ),
    Fate("failure", "lane.fail", ("failure",), "FAILURE"),
    Fate("out of memory", "lane.exhaust", ("failure",), "FAILURE"),
    Fate("rejected", "lane.reject", ("rejected",), "FAILURE"),
    Fate("requeued", "fate.requeue", ("requeued", "success"), "SUCCESS", marks=True),
    # Celery stores nothing for Ignore: what the task reported last stays.
    Fate("ignored", "lane.ignore", ("ignored",), "STARTED"),
)

ON_PROCESSES = (
    Fate("soft limit", "lane.soft_limit", ("soft_timeout",), "FAILURE"),
    Fate("soft limit handled", "fate.soft_handled", ("success",), "SUCCESS"),
    Fate("hard limit", "lane.hard_limit", ("hard_timeout",), "FAILURE"),
    Fate(
        "killed once",
        "lane.kill",
        ("worker_lost", "success"),
        "SUCCESS",
        {"survive_after": 1},
        marks=True,
    ),
    Fate("killed too often", "lane.kill", ("worker_lost", "worker_lost"), "FAILURE"),
    Fate("left once", "fate.leave", ("worker_lost", "success"), "SUCCESS", marks=True),
    Fate("left too often", "fate.leave", ("worker_lost", "worker_lost"), "FAILURE"),
)

BY_ORDER = (
    Fate("revoked", "lane.plain", ("revoked",), "REVOKED", {"x": 1}),
    Fate("expired", "lane.plain", ("expired",), "REVOKED", {"x": 1}),
)
TERMINATED = Fate("terminated", "fate.hold", ("terminated",), "REVOKED")


@dataclass
class Lived:
    """A worker after all its fates, and where they were seen."""

    worker: RunningWorker
    client: LaneClient
    collector: Collector
    sent: dict[str, Sent]

    def spans(self, fate: Fate, name: str) -> list[Any]:
        task_id = self.sent[fate.name].id
        return [s for s in self.collector.of_task(task_id) if s.name == name]

    def publish(self, fate: Fate) -> None:
        mark = self.worker.log_file.parent / fate.name.replace(" ", "-")
        kwargs = {**fate.kwargs, **({"mark": str(mark)} if fate.marks else {})}
        self.sent[fate.name] = _send(self.client, fate, kwargs, mark)

    def has_met(self, fate: Fate) -> bool:
        """Whether all that must be seen of a fate has come, though perhaps more is to come."""
        lane, ends = self.client.lane, len(fate.outcomes)
        ran = sum(outcome in LIVED for outcome in fate.outcomes)
        return (
            len(self.worker.attempts(self.sent[fate.name].id)) >= ends
            and len(self.spans(fate, f"process {lane}")) >= ends
            and len(self.spans(fate, f"run {fate.task}")) >= ran
            and len(self.spans(fate, f"send {lane}")) >= 1
        )


def live_through(
    fates: tuple[Fate, ...], worker: RunningWorker, client: LaneClient, collector: Collector
) -> Lived:
    """Publish a task for each fate, and wait until all have met theirs.

    A process that ends takes the spans with it that it has not sent yet. So those that end theirs
    come after those that do not, and one by one where they live on in the end.
    """
    lived = Lived(worker, client, collector, {})
    gentle = [fate for fate in fates if not fate.ends_its_process]
    deadly = [fate for fate in fates if fate.ends_its_process and LIVED.isdisjoint(fate.outcomes)]
    rest = [[fate] for fate in fates if fate not in gentle and fate not in deadly]
    for together in (gentle, deadly, *rest):
        for fate in together:
            lived.publish(fate)
        for fate in together:
            wait_for(lambda fate=fate: lived.has_met(fate), f"the fate: {fate}")
    return lived


def _send(client: LaneClient, fate: Fate, kwargs: dict[str, Any], mark: Path) -> Sent:
    if fate.name == "revoked":
        task_id = f"revoked-on-{client.lane}"
        # Workers of other lanes live too, and one that is ready may not listen yet.
        this = {"pattern": f"{client.lane}@*", "matcher": "glob", "reply": True, "limit": 1}
        wait_for(lambda: client.app.control.revoke(task_id, timeout=2, **this), "an answer")
        return client.send_with(fate.task, {"task_id": task_id}, **kwargs)
    if fate.name == "expired":
        past = datetime.now(UTC) + timedelta(milliseconds=1)
        return client.send_with(fate.task, {"expires": past, "countdown": 1}, **kwargs)
    if fate.name == "terminated":
        begun = mark.with_suffix(".begun")
        result = client.send(fate.task, release=str(mark), mark=str(begun))
        wait_for(begun.exists, "the task that is to be terminated")
        revoke(client.app, result.id, terminate=True)
        return result
    return client.send(fate.task, **kwargs)


def outcome_of(span: Any) -> object:
    return attributes(span)["celery.outcome"]
