"""The worker of one lane: everything it is made of, put together."""

import os
import socket
import warnings
from contextlib import suppress

from billiard.util import get_logger as get_billiard_logger
from celery import signals
from celery.apps.worker import Worker
from celery.platforms import SecurityWarning
from redis.exceptions import RedisError

import laneway
from laneway.observability.attempts import Attempts
from laneway.observability.child_metrics import ChildMetrics
from laneway.observability.health import HealthBindError, HealthServer
from laneway.observability.logs import get_logger, setup_logging
from laneway.observability.metrics import Metrics
from laneway.observability.tracing import Tracing, start_tracing
from laneway.services.build import tell_build
from laneway.services.publishing import observe_publishing
from laneway.services.worker.child import Child
from laneway.services.worker.consumer import LaneConsumer, PulseStep
from laneway.services.worker.drain import Drain
from laneway.services.worker.lane import Lane
from laneway.services.worker.listener import LaneListener
from laneway.services.worker.pool import (
    CeleryProcessPool,
    CeleryThreadPool,
    ProcessPool,
    ThreadPool,
    watch_exits,
)
from laneway.services.worker.request import ObservedRequest
from laneway.services.worker.revoking import observe_revocations
from laneway.services.worker.showing import objectives_of, show_lane, show_pool, start_at_zero
from laneway.tasks.app import CELERYS_OWN, LanewayApp, create_app, prepare_worker
from laneway.tasks.broker.client import lane_client
from laneway.tasks.broker.survey import tell_drained
from laneway.tasks.errors import SettingsError
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import Settings

logger = get_logger(__name__)

PARENT_RESULT_TRIES = 1

POOLS = {
    ("laneway", "prefork"): ProcessPool,
    ("laneway", "threads"): ThreadPool,
    ("celery", "prefork"): CeleryProcessPool,
    ("celery", "threads"): CeleryThreadPool,
}


def run(settings: Settings, queue: str) -> int:
    """Serve one lane until SIGTERM. Returns the exit code: 0 after a clean drain.

    Raises:
        ConfigurationError: settings, catalogue or task modules cannot be used.
        UnknownQueue: the catalogue has no such queue.
    """
    setup_logging(settings.log_level, settings.log_format)
    app = create_app(settings, load_catalogue(settings.queues_file))
    prepare_worker(app, queue)
    metrics = _metrics(app, queue)
    tracing = _start_tracing(settings, queue, metrics)
    lane = _lane(app, queue, metrics, tracing)
    health = _health(settings, lane)
    worker = _worker(app, lane)
    observe_publishing(app, lane.metrics, tracing.tracer)
    told_by_children = ChildMetrics()
    told_by_children.serve(metrics)
    Child(app, tracing, health, told_by_children).install()
    logger.info("starting", queue=queue, concurrency=lane.queue.concurrency)
    try:
        worker.start()
    finally:
        lane.link.leave()
        if lane.drain_requeued:
            with suppress(RedisError):
                tell_drained(lane.client, queue, lane.drain_requeued)
        health.close()
        tracing.shutdown()
    exit_code = int(worker.exitcode or 0)
    logger.info("stopped", queue=queue, exit_code=exit_code)
    if getattr(worker.pool, "abandoned", False):
        os._exit(exit_code)  # Python would wait for the threads
    return exit_code


class LaneWorker(Worker):
    """Celery's worker, which leaves the signals of stopping to `Drain`."""

    def install_platform_tweaks(self, worker: Worker) -> None:
        """Celery's hook for signal handlers, called once the pool is up."""
        Drain(LaneConsumer.lane, worker).install()


def _start_tracing(settings: Settings, queue: str, metrics: Metrics) -> Tracing:
    attributes = {"service.version": laneway.__version__, "laneway.queue": queue}
    return start_tracing(
        settings.otlp_endpoint,
        "laneway-worker",
        attributes,
        on_drop=metrics.span_dropped,
        share=settings.trace_share,
    )


def _health(settings: Settings, lane: Lane) -> HealthServer:
    pulse, registry = lane.pulse, lane.metrics.registry
    health = HealthServer(settings.health_bind, registry, live=pulse.live, ready=pulse.ready)
    try:
        health.start()
    except HealthBindError as error:
        raise SettingsError(str(error)) from None
    return health


def _metrics(app: LanewayApp, name: str) -> Metrics:
    admits = app.catalogue[name].admits
    tasks = [task for task in app.tasks if not task.startswith(CELERYS_OWN) and admits(task)]
    metrics = Metrics(enabled=app.settings.metrics)
    metrics.precreate(name, tasks)
    start_at_zero(metrics, name)
    tell_build(metrics)
    metrics.consuming.set(0, queue=name)
    metrics.draining.set(0, queue=name)
    return metrics


def _lane(app: LanewayApp, name: str, metrics: Metrics, tracing: Tracing) -> Lane:
    queue, logger = app.catalogue[name], get_logger("laneway.attempts").bind()
    lane = Lane(
        name=name,
        queue=queue,
        client=lane_client(app.settings, queue),
        link=app.link,
        attempts=Attempts(metrics, tracing.tracer, logger, objectives_of(name, queue)),
        metrics=metrics,
        remembers_success=bool(app.conf.worker_deduplicate_successful_tasks),
    )
    app.link.listener = LaneListener(app, lane)
    metrics.watch_spans(tracing.waiting)
    show_lane(lane)
    return lane


def _worker(app: LanewayApp, lane: Lane) -> Worker:
    LaneConsumer.lane = ObservedRequest.lane = lane
    app.Task.Request = f"{ObservedRequest.__module__}:{ObservedRequest.__qualname__}"
    watch_exits(lambda reason: lane.metrics.child_exits.inc(queue=lane.name, reason=reason))
    pool = POOLS[app.settings.pool, lane.queue.pool]
    app.conf.worker_pool = f"{pool.__module__}:{pool.__qualname__}"
    app.conf.worker_consumer = f"{LaneConsumer.__module__}:{LaneConsumer.__qualname__}"
    app.steps["consumer"].add(PulseStep)
    observe_revocations(lane)
    # Logging is set up already; a receiver of this signal keeps Celery from doing it anew.
    signals.setup_logging.connect(_keep_logging, weak=False)
    # Its advice, --uid, is of Celery's own command line.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # billiard keeps its lines to itself, and Python then prints them raw.
    get_billiard_logger().propagate = True
    worker = LaneWorker(
        app=app,
        hostname=f"{lane.name}@{socket.gethostname()}-{os.getpid()}",
        queues=[lane.name],
        loglevel=app.settings.log_level.upper(),
        quiet=True,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )
    # The parent stores a few outcomes itself, in its event loop: it must not wait there for long.
    app.backend.max_retries = PARENT_RESULT_TRIES
    show_pool(worker, lane)
    # What may be claimed at once; Celery's own bounds would be the pool's size alone.
    claims = lane.queue.concurrency + lane.queue.prefetch
    worker.max_concurrency = worker.consumer.initial_prefetch_count = claims
    return worker


def _keep_logging(**_: object) -> None:
    return None
