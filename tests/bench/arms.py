"""What is compared: how the workers of each arm are started, and how its tasks are sent.

Width 2 stands for two of what runs tasks side by side, the cores of a small machine: two pool
processes, or two worker processes where a peer's worker is one process. Workers of threads are two
processes of twice as many threads, also where they are Laneway's: two replicas of a lane.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Command = tuple[str, ...]

AT_LEAST_ONCE = "at least once"
AT_MOST_ONCE = "at most once"

BASE = "taskiq-stream"
"""The peer that rates are compared with: the fastest that runs a killed worker's task again."""


@dataclass(frozen=True)
class Producer:
    """One way of sending: a module of `peers/`, a name in its WAYS, and where it runs."""

    environment: str
    peer: str
    way: str
    steady_way: str = ""
    """At a steady rate instead, where the other sends several at once."""
    wire: str = ""
    """Producers with the same, not empty, put the same message into one list named `bench`."""


@dataclass(frozen=True)
class Arm:
    """One thing that is measured."""

    name: str
    title: str
    producer: Producer
    environment: str = ""
    workers: Callable[[int], list[Command]] | None = None
    lane: Callable[[int], dict[str, Any]] | None = None
    """The catalogue entry of a lane's worker."""
    guarantee: str = AT_LEAST_ONCE
    share: float = 1.0
    """Of a run's tasks; less for what would take minutes."""
    asked_only: bool = False
    """Whether it runs only when named."""
    keeps_results: bool | None = None
    """If not None, whether its tasks' results are kept, whatever the kind of run says."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables of its workers; COLLECTOR in one stands for a collector's address."""
    beside: Command | None = None
    """What runs beside its workers and is none: an exporter of events."""

    @property
    def label(self) -> str:
        """Its name for readers, with its guarantee where that is less than the others'."""
        less = "" if self.guarantee == AT_LEAST_ONCE else f" ({self.guarantee})"
        return f"{self.title}{less}"


CELERY_WIRE = Producer("celery", "celery", "batch", "delay", wire="celery")
"""Stock Celery sends to both arms of Celery: the very same messages, by the queue's name."""


def _laneway(_: int) -> list[Command]:
    return [("laneway", "worker", "--queue", "bench")]


def _celery(pool: str, concurrency: int, name: str) -> Command:
    words = ("celery", "-A", "celery_peer", "worker", "-Q", "bench", "-l", "WARNING")
    return (*words, "-P", pool, "-c", str(concurrency), "-n", f"{name}@bench")


def _celery_prefork(width: int) -> list[Command]:
    return [_celery("prefork", width, "w1")]


def _dramatiq(width: int) -> list[Command]:
    options = ("-p", str(width), "-t", "4", "--skip-logging", "--queues", "bench")
    return [("dramatiq", *options, "--", "dramatiq_peer")]


def _taskiq(width: int) -> list[Command]:
    options = ("--workers", str(width), "--log-level", "WARNING")
    return [("taskiq", "worker", *options, "taskiq_peer:broker")]


WORKERS = (
    Arm(
        "laneway-prefork",
        "Laneway, processes",
        CELERY_WIRE,
        "laneway",
        _laneway,
        lane=lambda width: {"pool": "prefork", "concurrency": width},
    ),
    Arm(
        "laneway-threads",
        "Laneway, threads",
        CELERY_WIRE,
        "laneway",
        lambda width: _laneway(width) * 2,
        lane=lambda width: {"pool": "threads", "concurrency": 2 * width},
    ),
    Arm(
        "celery-prefork",
        "Celery, processes",
        CELERY_WIRE,
        "celery",
        _celery_prefork,
        share=0.25,
    ),
    Arm(
        "celery-threads",
        "Celery, threads",
        CELERY_WIRE,
        "celery",
        lambda width: [_celery("threads", 2 * width, name) for name in ("w1", "w2")],
        share=0.25,
    ),
    Arm(
        "dramatiq",
        "dramatiq",
        Producer("dramatiq", "dramatiq", "send"),
        "dramatiq",
        _dramatiq,
        share=0.5,
    ),
    Arm(BASE, "taskiq, stream", Producer("taskiq", "taskiq", "kiq"), "taskiq", _taskiq),
    Arm(
        "saq",
        "SAQ",
        Producer("saq", "saq", "enqueue"),
        "saq",
        lambda width: [("saq", "--quiet", "--workers", str(width), "saq_peer.settings")],
        share=0.5,
    ),
    Arm(
        "huey",
        "huey",
        Producer("huey", "huey", "call"),
        "huey",
        lambda width: [
            ("huey_consumer", "huey_peer.huey", "-w", str(width), "-k", "process", "-q")
        ],
        guarantee=AT_MOST_ONCE,
        asked_only=True,
    ),
)


COLLECTOR = "{collector}"
NOBODY = "http://127.0.0.1:9"
"""Where no collector listens."""

_NO_LOGS = {"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}


def _observed(name: str, title: str, **settings: str) -> Arm:
    return Arm(
        f"laneway-{name}",
        f"Laneway, {title}",
        CELERY_WIRE,
        "laneway",
        _laneway,
        lane=lambda width: {"pool": "prefork", "concurrency": width},
        settings={f"LANEWAY_{setting}": value for setting, value in settings.items()},
    )


def _contrib(width: int) -> list[Command]:
    return [("opentelemetry-instrument", *command) for command in _celery_prefork(width)]


OBSERVED_BASE = "laneway-bare"

OBSERVED = (
    _observed("bare", "metrics and traces off", METRICS="false"),
    _observed("metrics", "metrics on"),
    _observed("all", "metrics and every trace", OTLP_ENDPOINT=COLLECTOR),
    _observed(
        "share", "metrics and a trace in twenty", OTLP_ENDPOINT=COLLECTOR, TRACE_SHARE="0.05"
    ),
    _observed("lost", "metrics and every trace, no collector there", OTLP_ENDPOINT=NOBODY),
    Arm(
        "celery-bare",
        "Celery, nothing",
        CELERY_WIRE,
        "celery-observed",
        _celery_prefork,
        share=0.25,
    ),
    Arm(
        "celery-events",
        "Celery, `-E` and Flower",
        CELERY_WIRE,
        "celery-observed",
        lambda width: [(*command, "-E") for command in _celery_prefork(width)],
        share=0.25,
        beside=("celery", "-A", "celery_peer", "flower", "--address=127.0.0.1", "--port=0"),
    ),
    Arm(
        "celery-contrib",
        "Celery, its OpenTelemetry instrumentation",
        CELERY_WIRE,
        "celery-observed",
        _contrib,
        share=0.25,
        settings={
            **_NO_LOGS,
            "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "celery",
        },
    ),
)
"""What it costs to see what workers do."""


def _sender(name: str, title: str, way: str, **fields: Any) -> Arm:
    peer = name.partition("-")[0]
    return Arm(name, title, Producer(peer, peer, way), **fields)


ENQUEUE_BASE = "celery-delay"

PRODUCERS = (
    _sender(ENQUEUE_BASE, "Celery, `delay()`", "delay"),
    _sender("celery-delay-results", "Celery, `delay()`, result kept", "delay", keeps_results=True),
    _sender("celery-batch", "Celery, `producer.batch(500)`", "batch"),
    _sender("laneway-delay", "Laneway, `delay()`", "delay"),
    _sender(
        "laneway-delay-results", "Laneway, `delay()`, result kept", "delay", keeps_results=True
    ),
    _sender("laneway-submit", "Laneway, `submit()`", "submit"),
    _sender("laneway-bulk", "Laneway, `submit_many()` of 500", "bulk"),
    _sender("laneway-batch", "Laneway, `producer.batch(500)`", "batch"),
    _sender("dramatiq-send", "dramatiq, `send()`", "send"),
    _sender("taskiq-kiq", "taskiq, `await kiq()`", "kiq"),
    _sender("saq-enqueue", "SAQ, `await enqueue()`", "enqueue"),
    _sender("huey-call", "huey, a call", "call", asked_only=True),
)
