"""The metric catalogue: the only place that spells a metric's name.

It makes the instruments; what a query, a dashboard or a page may name is what stands here.
"""

from laneway.observability.metric import Metric

_PUBLISH_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_HTTP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ATTEMPT_S = (0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300, 900, 3_600)
_WAIT_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600)
_END_TO_END_S = (0.05, 0.5, 5, 30, 120, 600, 3_600, 86_400)
_RETRY_S = (1, 5, 15, 60, 300, 900, 3_600)
_LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_BROKER_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_SIZE_BYTES = (256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)
_ATTEMPTS = (1, 2, 3, 5, 8, 13)


# Whoever publishes
PUBLISHED = Metric(
    "laneway_published_total",
    "counter",
    "Tasks handed to the broker; kind is first or retry, delay is now or later, result is ok or "
    "error.",
    ("queue", "task", "kind", "delay", "result"),
    where="producer",
    most=150,
)
PUBLISH_DURATION = Metric(
    "laneway_publish_duration_seconds",
    "histogram",
    "Time until the broker took a task.",
    ("queue", "result"),
    unit="seconds",
    where="producer",
    buckets=_PUBLISH_S,
)

PUBLISHED_BYTES = Metric(
    "laneway_published_bytes",
    "histogram",
    "Size of a task's arguments as they were handed to the broker.",
    ("queue",),
    unit="bytes",
    where="producer",
    buckets=_SIZE_BYTES,
)

# Attempts, as the worker's parent process sees them
ATTEMPTS = Metric(
    "laneway_attempts_total",
    "counter",
    "Attempts that ended, each with exactly one outcome.",
    ("queue", "task", "outcome"),
    most=700,
)
ATTEMPT_DURATION = Metric(
    "laneway_attempt_duration_seconds",
    "histogram",
    "Time from the start of an attempt to its end, failed and killed ones included.",
    ("queue", "task", "class"),
    unit="seconds",
    buckets=_ATTEMPT_S,
    most=60,
)
QUEUE_WAIT = Metric(
    "laneway_queue_wait_seconds",
    "histogram",
    "Time from ready (published, or its ETA) to the pool; kind is first, retry, redelivered, or "
    "claimed when the producer sent no time and the wait is counted from the claim.",
    ("queue", "kind"),
    unit="seconds",
    buckets=_WAIT_S,
)
PREFETCH_WAIT = Metric(
    "laneway_prefetch_wait_seconds",
    "histogram",
    "Time from the claim of a message to its start in a slot: what waits in the worker.",
    ("queue",),
    unit="seconds",
    buckets=_WAIT_S,
)
END_TO_END = Metric(
    "laneway_task_end_to_end_seconds",
    "histogram",
    "Time from the first publish (or its ETA) to the task's final end, over all retries.",
    ("queue", "task", "class"),
    unit="seconds",
    buckets=_END_TO_END_S,
    most=30,
)
TASK_ATTEMPTS = Metric(
    "laneway_task_attempts",
    "histogram",
    "Attempts that a task had taken when it ended.",
    ("queue", "task", "class"),
    buckets=_ATTEMPTS,
    most=20,
)
ERRORS = Metric(
    "laneway_errors_total",
    "counter",
    "Attempts that ended in an error, by its type; final is true if the task ended with it.",
    ("queue", "task", "error_type", "final"),
    most=150,
)
RETRY_DELAY = Metric(
    "laneway_retry_delay_seconds",
    "histogram",
    "Delay chosen before the next attempt.",
    ("queue", "task"),
    unit="seconds",
    buckets=_RETRY_S,
    most=12,
)
SOFT_TIMEOUTS = Metric(
    "laneway_soft_timeouts_total",
    "counter",
    "Attempts that met their soft limit; handled is true if they still succeeded.",
    ("queue", "task", "handled"),
    most=40,
)
REDELIVERED = Metric(
    "laneway_redelivered_total",
    "counter",
    "Deliveries of a message that had been delivered before.",
    ("queue", "task"),
    most=40,
)
RATE_LIMITED = Metric(
    "laneway_rate_limited_total",
    "counter",
    "Attempts put off because the task's rate limit was reached.",
    ("queue", "task"),
    most=20,
)

LAST_SUCCESS = Metric(
    "laneway_last_success_timestamp_seconds",
    "gauge",
    "When a periodic task succeeded last, since the epoch; others have no sample.",
    ("queue", "task"),
    unit="seconds",
    most=40,
)
CLOCK_SKEW = Metric(
    "laneway_clock_skew_total",
    "counter",
    "Attempts that began more than a second before they were published, by the clocks of both.",
    ("queue",),
)

# Objectives: start (waitTarget), finish (finishTarget) and success
SLO_EVENTS = Metric(
    "laneway_slo_events_total",
    "counter",
    "Tasks that met a lane's objective, or not; slo is start, finish or success, result good or bad.",
    ("queue", "slo", "result"),
)
SLO_THRESHOLD = Metric(
    "laneway_slo_threshold_seconds",
    "gauge",
    "Within which time a task is to start or finish, by the lane's catalogue.",
    ("queue", "slo"),
    unit="seconds",
)
SLO_OBJECTIVE = Metric(
    "laneway_slo_objective_ratio",
    "gauge",
    "Share of tasks that are to be good, by the lane's catalogue.",
    ("queue", "slo"),
    unit="ratio",
)

# The worker itself
RUNNING = Metric("laneway_running", "gauge", "Attempts in flight.", ("queue", "task"))
RUNNING_OLDEST = Metric(
    "laneway_running_oldest_seconds",
    "gauge",
    "Age of the attempt that has been in flight longest; 0 if there is none.",
    ("queue",),
    unit="seconds",
)
SLOTS = Metric(
    "laneway_slots", "gauge", "Slots by state: busy, idle, starting.", ("queue", "state")
)
SLOT_BUSY = Metric(
    "laneway_slot_busy_seconds_total",
    "counter",
    "Time that slots were busy, running attempts included; its rate over slots is utilisation.",
    ("queue",),
    unit="seconds",
)
RESERVED = Metric(
    "laneway_reserved", "gauge", "Messages claimed that no slot has begun with.", ("queue",)
)
TIME_LIMIT = Metric(
    "laneway_time_limit_seconds",
    "gauge",
    "Hard limit of the lane, by its catalogue.",
    ("queue",),
    unit="seconds",
)
CHILD_EXITS = Metric(
    "laneway_child_exits_total", "counter", "Pool processes that ended.", ("queue", "reason")
)
CHILD_RSS = Metric(
    "laneway_child_rss_bytes",
    "gauge",
    "Resident memory of pool processes; agg is max for the largest, sum for all.",
    ("queue", "agg"),
    unit="bytes",
)
CHILD_CPU = Metric(
    "laneway_child_cpu_seconds_total",
    "counter",
    "Processor time of pool processes, those that have ended included.",
    ("queue",),
    unit="seconds",
)
LOOP_LAG = Metric(
    "laneway_loop_lag_seconds",
    "histogram",
    "How late the event loop of a worker came to a call that it had to make each second.",
    unit="seconds",
    buckets=_LAG_S,
)
CONSUMING = Metric(
    "laneway_consuming", "gauge", "1 while the worker takes from the queue, else 0.", ("queue",)
)
DRAINING = Metric(
    "laneway_draining", "gauge", "1 while the worker finishes before it stops, else 0.", ("queue",)
)
SHUTDOWN_TASKS = Metric(
    "laneway_shutdown_tasks_total",
    "counter",
    "What became of the tasks that ran when the worker was told to stop.",
    ("queue", "fate"),
)

# The broker and what lies in it, read when Prometheus asks
BROKER_UP = Metric(
    "laneway_broker_up", "gauge", "1 if the broker answered when last asked, else 0."
)
BROKER_RECONNECTS = Metric(
    "laneway_broker_reconnects_total", "counter", "Connections to the broker made anew."
)
BROKER_OP = Metric(
    "laneway_broker_op_seconds",
    "histogram",
    "Time until Redis answered a worker; op is claim, settle or tend.",
    ("op",),
    unit="seconds",
    buckets=_BROKER_S,
)
BROKER_MEMORY = Metric(
    "laneway_broker_memory_bytes", "gauge", "Memory that Redis uses.", unit="bytes"
)
BROKER_MEMORY_LIMIT = Metric(
    "laneway_broker_memory_limit_bytes",
    "gauge",
    "Redis's maxmemory; 0 if it has none.",
    unit="bytes",
)
PROBE_SUCCESS = Metric(
    "laneway_probe_success_timestamp_seconds",
    "gauge",
    "When the broker last told what its lanes hold, since the epoch.",
    unit="seconds",
)
PROBE_DURATION = Metric(
    "laneway_probe_duration_seconds",
    "histogram",
    "Time that asking the broker what its lanes hold took.",
    unit="seconds",
    buckets=_PUBLISH_S,
)
QUEUE_DEPTH = Metric(
    "laneway_queue_depth",
    "gauge",
    "Messages ready to be taken, by kombu's priority steps: 0, 3, 6, 9, of which 0 goes first.",
    ("queue", "priority"),
)
QUEUE_WORKERS = Metric(
    "laneway_queue_workers", "gauge", "Workers of the lane that hold a lease.", ("queue",)
)
QUEUE_OLDEST_AGE = Metric(
    "laneway_queue_oldest_age_seconds",
    "gauge",
    "Time the oldest ready message has waited; no sample if it tells no time of publishing.",
    ("queue",),
    unit="seconds",
)
QUEUE_UNACKED = Metric(
    "laneway_queue_unacked", "gauge", "Messages taken and not yet acknowledged.", ("queue",)
)
QUEUE_DELAYED = Metric(
    "laneway_queue_delayed",
    "gauge",
    "Messages that wait for their time: an ETA, a retry's delay or a rate limit.",
    ("queue",),
)
LATE_ENDS = Metric(
    "laneway_late_ends_total",
    "counter",
    "Tasks whose end changed nothing, as their worker's lease had run out before.",
    ("queue",),
)
RECOVERED = Metric(
    "laneway_recovered_total",
    "counter",
    "Messages given back to the lane because the worker that held them was gone.",
    ("queue",),
)
DEAD_LETTERS = Metric("laneway_dead_letters", "gauge", "Dead letters kept.", ("queue",))
DEAD_LETTER_AGE = Metric(
    "laneway_dead_letter_oldest_age_seconds",
    "gauge",
    "Time since the oldest dead letter kept died; 0 if there is none.",
    ("queue",),
    unit="seconds",
)
DRAIN_REQUEUED = Metric(
    "laneway_drain_requeued_total",
    "counter",
    "Tasks that ran and were given back as their worker's drain ran out of time, counted in the "
    "broker: their worker's own counts end with it.",
    ("queue",),
)
DEAD_LETTERED = Metric(
    "laneway_dead_lettered_total", "counter", "Messages made dead letters.", ("queue", "reason")
)

# The telemetry itself
TELEMETRY_DROPPED = Metric(
    "laneway_telemetry_dropped_total",
    "counter",
    "Spans or readings that were lost.",
    ("signal", "reason"),
    where="everywhere",
)
TELEMETRY_QUEUE = Metric(
    "laneway_telemetry_queue_length",
    "gauge",
    "Spans that wait to be sent to the collector.",
    ("signal",),
    where="everywhere",
)
CONFIG = Metric(
    "laneway_config_info",
    "info",
    "A hash of the lane's catalogue entry: it changes when the lane's configuration does.",
)
BUILD = Metric("laneway_build_info", "info", "What runs here.", where="everywhere")

# The gateway
HTTP_REQUESTS = Metric(
    "laneway_http_requests_total",
    "counter",
    "Requests answered; route is the template, not the path.",
    ("method", "route", "status"),
    where="gateway",
)
HTTP_DURATION = Metric(
    "laneway_http_request_duration_seconds",
    "histogram",
    "Time to the answer.",
    ("method", "route"),
    unit="seconds",
    where="gateway",
    buckets=_HTTP_S,
)

CATALOGUE = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
