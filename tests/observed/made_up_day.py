"""A made-up day: every catalogued metric with invented values, to see dashboards drawn.

Nothing in it was measured, and no picture of it belongs in the documentation.

python tests/observed/made_up_day.py day.txt
promtool tsdb create-blocks-from openmetrics day.txt data
prometheus --config.file=/dev/null --storage.tsdb.path=data --storage.tsdb.retention.time=10y
"""

import itertools
import math
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from laneway.observability import catalogue as c
from laneway.observability.outcomes import Outcome

HOURS, STEP_S = 6, 60
NAMESPACE = "made-up"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
TASKS = {
    "documents": ("documents.process", "documents.embed", "rag.index_collection"),
    "high-priority": ("documents.process", "notifications.send_email"),
    "notifications": ("notifications.send_email",),
}
VALUES: dict[str, tuple[str, ...]] = {
    "outcome": tuple(Outcome),
    "class": ("ok", "retry", "error", "killed", "dropped"),
    "delay": ("now", "later"),
    "error_type": ("ConnectionError", "ValueError", "TimeoutError"),
    "final": ("true", "false"),
    "handled": ("true", "false"),
    "slo": ("start", "finish", "success"),
    "state": ("busy", "idle", "starting"),
    "fate": ("finished", "requeued", "lost"),
    "op": ("claim", "settle", "tend"),
    "priority": ("0", "3", "6", "9"),
    "agg": ("max", "sum"),
    "signal": ("traces",),
    "method": ("POST",),
    "route": ("/v1/queues/{queue}/tasks", "/v1/documents"),
    "status": ("202", "422", "503"),
}
SPECIAL: dict[tuple[str, str], tuple[str, ...]] = {
    (c.PUBLISHED.name, "kind"): ("first", "retry"),
    (c.QUEUE_WAIT.name, "kind"): ("first", "retry", "redelivered", "claimed"),
    (c.PUBLISHED.name, "result"): ("ok", "error"),
    (c.PUBLISH_DURATION.name, "result"): ("ok", "error"),
    (c.SLO_EVENTS.name, "result"): ("good", "bad"),
    (c.CHILD_EXITS.name, "reason"): ("max_tasks", "hard_timeout", "sig9"),
    (c.DEAD_LETTERED.name, "reason"): ("max_deliveries", "unreadable"),
    (c.TELEMETRY_DROPPED.name, "reason"): ("queue_full", "refused"),
}
# How much of each second's events fall to a label's value; 1 if it is not here.
SHARES = {
    "success": 1.0, "retry": 0.06, "failure": 0.02, "ok": 1.0, "error": 0.02, "killed": 0.003,
    "dropped": 0.004, "later": 0.2, "bad": 0.004, "true": 0.3, "redelivered": 0.01,
    "claimed": 0.05, "422": 0.03, "503": 0.01,
}  # fmt: skip
RARE = 0.002
LOADS = {"documents": 1.5, "high-priority": 0.6, "notifications": 6.0, "": 2.0}
# The middle of each histogram, in its unit, and how a gauge runs: from, to.
MIDDLES = {
    c.PUBLISH_DURATION.name: 0.002, c.PUBLISHED_BYTES.name: 1_500, c.ATTEMPT_DURATION.name: 2,
    c.QUEUE_WAIT.name: 1.2, c.PREFETCH_WAIT.name: 0.05, c.END_TO_END.name: 6,
    c.TASK_ATTEMPTS.name: 1, c.RETRY_DELAY.name: 20, c.LOOP_LAG.name: 0.003,
    c.BROKER_OP.name: 0.0008, c.PROBE_DURATION.name: 0.004, c.HTTP_DURATION.name: 0.012,
}  # fmt: skip
GAUGES = {
    c.SLO_THRESHOLD.name: (60, 60), c.SLO_OBJECTIVE.name: (0.99, 0.99), c.RUNNING.name: (0, 3),
    c.RUNNING_OLDEST.name: (0, 90), c.SLOTS.name: (0, 4), c.RESERVED.name: (0, 4),
    c.TIME_LIMIT.name: (600, 600), c.CHILD_RSS.name: (1.2e8, 3e8), c.CONSUMING.name: (1, 1),
    c.DRAINING.name: (-3, 1), c.BROKER_UP.name: (1, 1), c.BROKER_MEMORY.name: (4e7, 2e8),
    c.BROKER_MEMORY_LIMIT.name: (5e8, 5e8), c.QUEUE_DEPTH.name: (-20, 60),
    c.QUEUE_WORKERS.name: (2, 2), c.QUEUE_OLDEST_AGE.name: (-20, 70), c.QUEUE_UNACKED.name: (1, 9),
    c.QUEUE_DELAYED.name: (0, 12), c.DEAD_LETTERS.name: (0, 6), c.DEAD_LETTER_AGE.name: (0, 9_000),
    c.TELEMETRY_QUEUE.name: (0, 40),
}  # fmt: skip
RECORDED = {
    "queue:laneway_utilisation:ratio5m": (0.2, 0.98),
    "queue:laneway_service:rate5m": (0.5, 6),
    "queue:laneway_arrivals:rate5m": (0.4, 6.2),
    "queue:laneway_drain_eta:seconds": (0, 400),
    "scrape_samples_scraped": (700, 1_100),
    "scrape_duration_seconds": (0.01, 0.05),
}
WHOLE = {"s", "busy", "idle"}

Labels = dict[str, str]
Samples = list[tuple[float, float]]


def write(out: TextIO, end_s: float) -> None:
    """The whole day, in the format that promtool makes blocks of."""
    times = [end_s - HOURS * 3_600 + n * STEP_S for n in range(HOURS * 3_600 // STEP_S + 1)]
    for metric in c.CATALOGUE:
        kind = {"info": "gauge"}.get(metric.kind, metric.kind)
        family = metric.name.removesuffix("_total") if kind == "counter" else metric.name
        out.write(f"# TYPE {family} {kind}\n")
        for labels in _labels(metric):
            _metric(out, metric, labels, times)
    for name, (low, high) in RECORDED.items():
        out.write(f"# TYPE {name} gauge\n")
        for labels in _targets(per_lane=name.startswith("queue:")):
            _lines(out, name, labels, _wave(name, labels, times, low, high))
    for window, (queue, slo) in itertools.product(WINDOWS, itertools.product(TASKS, VALUES["slo"])):
        name = f"queue:laneway_slo_errors:ratio_rate{window}"
        labels = {"namespace": NAMESPACE, "queue": queue, "slo": slo}
        out.write(f"# TYPE {name} gauge\n" if (queue, slo) == ("documents", "start") else "")
        _lines(out, name, labels, _wave(name, labels, times, 0, 0.03))
    out.write("# EOF\n")


def _metric(out: TextIO, metric: c.Metric, labels: Labels, times: list[float]) -> None:
    if metric.kind == "histogram":
        _histogram(out, metric, labels, times)
    elif metric.kind == "counter":
        _lines(out, metric.name, labels, _counter(metric, labels, times))
    elif metric.kind == "info":
        _lines(out, metric.name, labels | _versions(metric, labels), [(t, 1) for t in times])
    elif metric.name.endswith("_timestamp_seconds"):
        _lines(out, metric.name, labels, [(t, t - t % 300) for t in times])
    else:
        low, high = GAUGES[metric.name]
        wave = _wave(metric.name, labels, times, low, high)
        rounded = metric.unit == ""
        _lines(out, metric.name, labels, [(t, round(v) if rounded else v) for t, v in wave])


def _versions(metric: c.Metric, labels: Labels) -> Labels:
    if metric is c.CONFIG:
        return {"queue": labels["pod"].rsplit("-", 1)[0], "hash": "5f2a91c0"}
    return {"version": "0.1.0", "celery": "5.7.0", "python": "3.12.4"}


def _targets(*, per_lane: bool) -> Iterator[Labels]:
    for queue in TASKS:
        if per_lane:
            yield {"namespace": NAMESPACE, "queue": queue}
        else:
            yield from (
                {"namespace": NAMESPACE, "pod": f"{queue}-{n}", "instance": f"{queue}-{n}:1"}
                for n in (1, 2)
            )


def _labels(metric: c.Metric) -> Iterator[Labels]:
    """Every series of a metric: each pod's, with all values of its labels."""
    for target in _targets(per_lane=False):
        own = target["pod"].rsplit("-", 1)[0]
        choices = [[(name, v) for v in _values(metric, name, own)] for name in metric.labels]
        yield from (target | dict(chosen) for chosen in itertools.product(*choices))


def _values(metric: c.Metric, label: str, queue: str) -> tuple[str, ...]:
    if label == "queue":
        return (queue,)
    if label == "task":
        return TASKS[queue]
    return SPECIAL.get((metric.name, label)) or VALUES[label]


def _load(at_s: float) -> float:
    """Between 0 and 1: a morning, a peak, an evening."""
    day = at_s / (HOURS * 3_600)
    return 0.55 + 0.3 * math.sin(2 * math.pi * day) + 0.15 * math.sin(10 * math.pi * day)


def _events(labels: Labels, times: list[float], seed: str) -> Iterator[float]:
    """How many events came in each step."""
    dice = random.Random(seed)
    known = [v for name, v in labels.items() if name not in {"namespace", "pod", "instance"}]
    share = math.prod(SHARES.get(v, RARE if v in set(Outcome) else 1) for v in known)
    pace = LOADS[labels.get("queue", "")] * share * STEP_S / 4
    for at_s in times:
        expected = pace * _load(at_s) * dice.uniform(0.5, 1.5)
        yield math.floor(expected) + (dice.random() < expected % 1)


def _counter(metric: c.Metric, labels: Labels, times: list[float]) -> Samples:
    seconds = metric.unit == "seconds"
    steady = 0.1 if metric.unit or "outcome" in labels or "result" in labels else 0.01
    events = _events(labels, times, f"{metric.name}{labels}")
    scale = 3 if seconds else 1 if "outcome" in labels or "slo" in labels else steady
    grown = itertools.accumulate(min(n * scale, STEP_S * 2.0) for n in events)
    return list(zip(times, grown, strict=True))


def _wave(name: str, labels: Labels, times: list[float], low: float, high: float) -> Samples:
    # What every process tells alike must be alike in each.
    same = {k: v for k, v in labels.items() if k not in {"pod", "instance"}}
    dice = random.Random(f"{name}{same}")
    shift = dice.uniform(0, 3_000)
    return [
        (t, max(0, low + (high - low) * min(1, max(0, _load(t + shift) + dice.gauss(0, 0.05)))))
        for t in times
    ]


def _histogram(out: TextIO, metric: c.Metric, labels: Labels, times: list[float]) -> None:
    dice = random.Random(f"{metric.name}{labels}")
    counts, total = [0] * (len(metric.buckets) + 1), 0.0
    rows: list[tuple[float, list[int], float]] = []
    for at_s, events in zip(times, _events(labels, times, f"{metric.name}{labels}"), strict=True):
        middle = MIDDLES[metric.name] * (0.4 + 2.5 * _load(at_s) ** 3)
        for _ in range(min(int(events), 40)):
            value = dice.lognormvariate(math.log(middle), 1.1)
            counts[bisect_left(metric.buckets, value)] += 1
            total += value
        rows.append((at_s, list(itertools.accumulate(counts)), total))
    for place, edge in enumerate([*map(float, metric.buckets), math.inf]):
        le = "+Inf" if math.isinf(edge) else str(edge)
        samples = [(t, float(found[place])) for t, found, _ in rows]
        _lines(out, f"{metric.name}_bucket", labels | {"le": le}, samples)
    _lines(out, f"{metric.name}_count", labels, [(t, float(found[-1])) for t, found, _ in rows])
    _lines(out, f"{metric.name}_sum", labels, [(t, value) for t, _, value in rows])


def _lines(out: TextIO, name: str, labels: Labels, samples: Samples) -> None:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    out.writelines(f"{name}{{{inside}}} {value:.12g} {at_s:.0f}\n" for at_s, value in samples)


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", encoding="utf-8") as day:
        write(day, math.floor(time.time() / STEP_S) * STEP_S)
