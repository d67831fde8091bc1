"""The instruments of one process, in a registry of its own."""

from collections.abc import Callable, Iterable

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from laneway.observability import catalogue
from laneway.observability.backlog import BACKLOG_METRICS, CachedBacklog, ReadBacklog
from laneway.observability.instruments import Counter, Gauge, Histogram
from laneway.observability.labels import LabelGuard
from laneway.observability.metric import Metric
from laneway.observability.outcomes import Outcome
from laneway.observability.pool import POOL_METRICS
from laneway.observability.scrape import Reading, ScrapeCollector

COUNTED_FROM_0 = (
    Outcome.SUCCESS,
    Outcome.RETRY,
    Outcome.FAILURE,
    Outcome.REJECTED,
    Outcome.SOFT_TIMEOUT,
    Outcome.HARD_TIMEOUT,
    Outcome.WORKER_LOST,
)


class Metrics:
    """Every metric of the catalogue, as typed attributes.

    It belongs to the process that made it: a forked child must not touch it, because a lock may
    have been held at the fork.

    Args:
        registry: Where to register; a new one if not given, never the global one.
        tasks: Task names that may appear as labels; others become `__unknown__`.
        enabled: Whether anything is counted; without, only what runs here is served.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        tasks: Iterable[str] = (),
        *,
        enabled: bool = True,
    ) -> None:
        self._enabled = enabled
        # The _created series would double what Prometheus keeps, for nothing it uses.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()
        self._guard = LabelGuard(tasks)

        self.published = self._counter(catalogue.PUBLISHED)
        self.publish_duration = self._histogram(catalogue.PUBLISH_DURATION)
        self.published_bytes = self._histogram(catalogue.PUBLISHED_BYTES)
        self._make_attempts()
        self._make_worker()
        self.telemetry_dropped = self._counter(catalogue.TELEMETRY_DROPPED)
        self.http_requests = self._counter(catalogue.HTTP_REQUESTS)
        self.http_duration = self._histogram(catalogue.HTTP_DURATION)
        self._build, self._config = self._info(catalogue.BUILD), self._info(catalogue.CONFIG)

    def _make_attempts(self) -> None:
        self.attempts = self._counter(catalogue.ATTEMPTS)
        self.attempt_duration = self._histogram(catalogue.ATTEMPT_DURATION)
        self.queue_wait = self._histogram(catalogue.QUEUE_WAIT)
        self.prefetch_wait = self._histogram(catalogue.PREFETCH_WAIT)
        self.end_to_end = self._histogram(catalogue.END_TO_END)
        self.task_attempts = self._histogram(catalogue.TASK_ATTEMPTS)
        self.errors = self._counter(catalogue.ERRORS)
        self.retry_delay = self._histogram(catalogue.RETRY_DELAY)
        self.soft_timeouts = self._counter(catalogue.SOFT_TIMEOUTS)
        self.redelivered = self._counter(catalogue.REDELIVERED)
        self.rate_limited = self._counter(catalogue.RATE_LIMITED)
        self.last_success = self._gauge(catalogue.LAST_SUCCESS)
        self.clock_skew = self._counter(catalogue.CLOCK_SKEW)

        self.slo_events = self._counter(catalogue.SLO_EVENTS)
        self.slo_threshold = self._gauge(catalogue.SLO_THRESHOLD)
        self.slo_objective = self._gauge(catalogue.SLO_OBJECTIVE)

    def _make_worker(self) -> None:
        self.time_limit = self._gauge(catalogue.TIME_LIMIT)
        self.child_exits = self._counter(catalogue.CHILD_EXITS)
        self.loop_lag = self._histogram(catalogue.LOOP_LAG)
        self.consuming = self._gauge(catalogue.CONSUMING)
        self.draining = self._gauge(catalogue.DRAINING)
        self.shutdown_tasks = self._counter(catalogue.SHUTDOWN_TASKS)
        self.broker_reconnects = self._counter(catalogue.BROKER_RECONNECTS)
        self.broker_op = self._histogram(catalogue.BROKER_OP)
        self.probe_duration = self._histogram(catalogue.PROBE_DURATION)
        self.late_ends = self._counter(catalogue.LATE_ENDS)
        self.recovered = self._counter(catalogue.RECOVERED)
        self.dead_lettered = self._counter(catalogue.DEAD_LETTERED)

    def know_tasks(self, tasks: Iterable[str]) -> None:
        """Let these task names through as labels."""
        self._guard.know_tasks(tasks)

    def precreate(self, queue: str, tasks: Iterable[str]) -> None:
        """Know these tasks, and start the outcomes at 0 that alerts count.

        A series that begins at 1 hides the first failure of a new pod from `increase()`.
        """
        names = list(tasks)
        self.know_tasks(names)
        for task in names:
            for outcome in COUNTED_FROM_0:
                self.attempts.inc(0, queue=queue, task=task, outcome=outcome)

    def build_info(self, **versions: str) -> None:
        """Say what runs here, for example `version`, `celery` and `python`."""
        self._build.info(versions)

    def config_info(self, digest: str) -> None:
        """Say which configuration is in force, by a hash of it."""
        self._config.info({"hash": digest})

    def span_dropped(self, reason: str, count: int) -> None:
        """Count lost spans; `start_tracing` takes it as `on_drop`."""
        self.telemetry_dropped.inc(count, signal="traces", reason=reason)

    def watch_backlog(self, read: ReadBacklog) -> None:
        """Serve what lies in the broker; `read` may be slow or raise."""
        cached = CachedBacklog(read, on_read=self.probe_duration.observe)
        self._at_scrape(BACKLOG_METRICS, cached.readings)

    def watch_running(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Serve the attempts in flight and the time slots were busy."""
        running = (catalogue.RUNNING, catalogue.RUNNING_OLDEST, catalogue.SLOT_BUSY)
        self._at_scrape(running, read)

    def watch_pool(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Serve a worker's slots, and what its processes use; see `pool.PoolState`."""
        self._at_scrape(POOL_METRICS, read)

    def watch_spans(self, waiting: Callable[[], int]) -> None:
        """Serve how many spans wait for the collector."""
        self._at_scrape(
            (catalogue.TELEMETRY_QUEUE,),
            lambda: [Reading(catalogue.TELEMETRY_QUEUE, waiting(), ("traces",))],
        )

    def _at_scrape(
        self, metrics: tuple[Metric, ...], read: Callable[[], Iterable[Reading]]
    ) -> None:
        if not self._enabled:
            return

        def failed() -> None:
            self.telemetry_dropped.inc(signal="metrics", reason="read_failed")

        self.registry.register(ScrapeCollector(metrics, read, self._guard, failed))

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric, self._guard, self._of_numbers)

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric, self._guard, self._of_numbers)

    @property
    def _of_numbers(self) -> CollectorRegistry | None:
        return self.registry if self._enabled else None

    def _info(self, metric: Metric) -> prometheus.Info:
        return prometheus.Info(
            metric.name.removesuffix("_info"), metric.help, registry=self.registry
        )

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric, self._guard, self._of_numbers)


def metrics_payload(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """What `/metrics` answers: body and content type.

    OpenMetrics, with exemplars, if the `Accept` header asks for it; else Prometheus' text.
    """
    if "application/openmetrics-text" in (accept or ""):
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return body, openmetrics.CONTENT_TYPE_LATEST
    return prometheus.generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
