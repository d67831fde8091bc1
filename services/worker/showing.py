"""What a worker shows of itself when Prometheus asks: its pool, its lane, its configuration."""

import hashlib
import json
from typing import Any

from celery.apps.worker import Worker
from celery.worker import state

from laneway.observability.backlog import BrokerBacklog
from laneway.observability.metrics import Metrics
from laneway.observability.objectives import Objectives
from laneway.observability.pool import PoolState, ProcessTimes
from laneway.services.surveying import lane_backlog
from laneway.services.worker.burial import KINDS
from laneway.services.worker.lane import Lane
from laneway.services.worker.pool.exits import EXIT_REASONS
from laneway.tasks.broker.survey import survey
from laneway.tasks.queues import Queue

_HASH_LENGTH = 12


def objectives_of(name: str, queue: Queue) -> Objectives:
    """What a lane promises, by its catalogue entry."""
    return Objectives(name, queue.wait_target, queue.finish_limit_s, queue.objective)


def start_at_zero(metrics: Metrics, queue: str) -> None:
    """Let the counts of what goes wrong begin at 0: `increase()` would miss a first one otherwise."""
    for reason in KINDS:
        metrics.dead_lettered.inc(0, queue=queue, reason=reason)
    for reason in EXIT_REASONS:
        metrics.child_exits.inc(0, queue=queue, reason=reason)
    for fate in ("finished", "requeued"):
        metrics.shutdown_tasks.inc(0, queue=queue, fate=fate)
    for counter in (metrics.late_ends, metrics.recovered, metrics.clock_skew):
        counter.inc(0, queue=queue)
    metrics.broker_reconnects.inc(0)
    for reason in ("queue_full", "export_failed"):
        metrics.span_dropped(reason, 0)


def show_lane(lane: Lane) -> None:
    """Show what lies in the lane, and how it is configured."""

    def backlog() -> BrokerBacklog:
        found = survey(lane.client, [lane.name])
        lanes = {name: lane_backlog(one) for name, one in found.lanes.items()}
        return BrokerBacklog(lanes, found.memory_bytes, found.memory_limit_bytes)

    metrics, queue = lane.metrics, lane.queue
    metrics.watch_backlog(backlog)
    metrics.time_limit.set(queue.time_limit, queue=lane.name)
    metrics.config_info(_digest(queue))


def show_pool(worker: Worker, lane: Lane) -> None:
    """Show slots and processes."""
    times = ProcessTimes()

    def readings() -> Any:
        pool = worker.pool
        alive = pool.alive() if pool else 0
        busy = len(state.active_requests)
        slots = {
            "busy": busy,
            "idle": max(0, alive - busy),
            "starting": max(0, lane.queue.concurrency - alive),
        }
        reserved = max(0, len(state.reserved_requests) - busy)
        pids = pool.pids() if pool else ()
        return PoolState(lane.name, slots, reserved, pids, times.used_s(pids)).readings()

    lane.metrics.watch_pool(readings)


def _digest(queue: Queue) -> str:
    fields = json.dumps(queue.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()[:_HASH_LENGTH]
