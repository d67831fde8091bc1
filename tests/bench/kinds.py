"""The kinds of run, and what each of them measures."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from bench.arms import OBSERVED, PRODUCERS, WORKERS, Arm
from bench.peers.probe import MODULES_FILE
from bench.stage import LIST, WARM_SHARE, Load, Look, Run

Figures = dict[str, Any]

LATENCY_RATE = 200.0
LATENCY_WARM = 40
ENQUEUE_WARM = 200
COLD_COUNT = 20
IDLE_S = 10.0
MANY = 1_000
LAPS = 3
"""Of the imports of a cold start: the fastest is what they cost."""

IMPORT_LIMIT_S = 60.0

OWN_CALLS = {"info", "config", "config|resetstat"}
"""The bench's own, besides one LPUSH."""

_IMPORT = """
import os, sys
from contextlib import suppress
from importlib import import_module
for name in sys.stdin.read().split():
    if not name.endswith("__main__"):
        with suppress(BaseException):
            import_module(name)
os._exit(0)
"""
"""Imports the modules named on its input, and leaves without tidying up."""


@dataclass(frozen=True)
class Kind:
    """One kind of run: what it does, with which load, to which arms."""

    name: str
    title: str
    measure: Callable[[Run], Figures]
    load: Load = field(default_factory=Load)
    arms: tuple[Arm, ...] = WORKERS
    only: tuple[str, ...] = ()
    """Names of arms, if not all of them."""

    def chosen(self, words: list[str]) -> list[Arm]:
        """The arms that have one of these words in their name; all that need no asking if none."""
        arms = [arm for arm in self.arms if not self.only or arm.name in self.only]
        if not words:
            return [arm for arm in arms if not arm.asked_only]
        return [arm for arm in arms if any(word in arm.name for word in words)]

    def load_of(self, arm: Arm) -> Load:
        """The load of one arm's run."""
        kept = self.load.keeps_results if arm.keeps_results is None else arm.keeps_results
        count = max(1, round(self.load.count * arm.share))
        return replace(self.load, count=count, keeps_results=kept)


def drain(run: Run) -> Figures:
    """All tasks are sent, then the workers start: how fast they run, and at what cost."""
    run.fill(run.load.count)
    figures = _drained(run, run.load.count)
    return {**figures, "repeated": run.stamps().ended - run.load.count}


def backlog(waiting: int) -> Callable[[Run], Figures]:
    """The first tasks of so many that wait."""

    def measure(run: Run) -> Figures:
        _fill_copies(run, waiting)
        return {**_drained(run, run.load.count), "backlog": waiting}

    return measure


def latency(run: Run) -> Figures:
    """Tasks at a steady rate, whatever becomes of them: from the stamp of a send to a start."""
    run.start()
    run.produce(0, warm=LATENCY_WARM)
    run.wait(LATENCY_WARM)
    run.settle()
    before = run.look()
    run.produce(run.load.count, rate=LATENCY_RATE, warm=LATENCY_WARM)
    run.wait(run.load.count + 2 * LATENCY_WARM)
    run.settle()
    after = run.look()
    waits_s = run.stamps().waits_s
    cuts = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
    return {
        "n_waits": len(waits_s),
        **{name: 1e3 * _share(waits_s, share) for name, share in cuts.items()},
        "max_ms": 1e3 * waits_s[-1],
        "worker_cpu_percent": _percent(before, after, after.worker_cpu_s - before.worker_cpu_s),
        **_others(before, after),
    }


def enqueue(run: Run) -> Figures:
    """One process sends as fast as it can; nobody takes."""
    before = run.look()
    pace = run.produce(run.load.count, warm=ENQUEUE_WARM)
    after = run.look()
    sent = run.load.count + ENQUEUE_WARM
    return {
        "rate": pace["rate"],
        "producer_cpu_us": pace["cpu_us"],
        "redis_cpu_us": 1e6 * (after.redis_cpu_s - before.redis_cpu_s) / sent,
        "round_trips": (after.reads - before.reads) / sent,
        **_others(before, after),
    }


def cold(run: Run) -> Figures:
    """From the start of a worker's process to its first task; and what its imports alone take."""
    run.fill(COLD_COUNT)
    before = run.look()
    run.start(NOTE_MODULES="1")
    run.wait(COLD_COUNT)
    after = run.look()
    first_s = run.stamps().first_start_s - run.started_s
    run.stop()
    imports_s = min(_import_again(run) for _ in range(LAPS))
    return {
        "first_task_s": first_s,
        "imports_s": imports_s,
        "beyond_s": first_s - imports_s,
        **_others(before, after),
    }


def commands(run: Run) -> Figures:
    """What Redis is asked by a worker that idles, by one task, and by many."""
    raw = iter(_messages(run, LATENCY_WARM + 1 + MANY))  # none of them is sent twice
    run.start()
    run.server.client.lpush(LIST, *itertools.islice(raw, LATENCY_WARM))
    run.wait(LATENCY_WARM)
    time.sleep(2.0)  # what a start brings along is over
    counted: Figures = {}
    run.server.client.config_resetstat()
    time.sleep(IDLE_S)
    counted["idle"] = _calls(run)
    ended = LATENCY_WARM
    for name, count in (("one", 1), ("many", MANY)):
        run.server.client.config_resetstat()
        ended += count
        run.server.client.lpush(LIST, *itertools.islice(raw, count))
        run.wait(ended)
        run.settle()
        counted[name] = _calls(run, pushed=1)
    return {"calls": counted}


def _drained(run: Run, count: int) -> Figures:
    run.start()
    run.wait(max(1, int(count * WARM_SHARE)))
    warm = run.look()
    run.wait(count)
    stamps = run.stamps()
    run.settle()
    done = run.look()
    tasks = max(1, done.ended - warm.ended)
    return {
        "rate": stamps.rate,
        "first_task_s": stamps.first_start_s - run.started_s,
        "worker_cpu_us": 1e6 * (done.worker_cpu_s - warm.worker_cpu_s) / tasks,
        "beside_cpu_us": 1e6 * (done.beside_cpu_s - warm.beside_cpu_s) / tasks,
        "redis_cpu_us": 1e6 * (done.redis_cpu_s - warm.redis_cpu_s) / tasks,
        "commands": (done.commands - warm.commands) / tasks,
        "round_trips": (done.reads - warm.reads) / tasks,
        **_others(warm, done),
    }


def _others(before: Look, after: Look) -> Figures:
    return {"others_percent": _percent(before, after, after.others_cpu_s - before.others_cpu_s)}


def _percent(before: Look, after: Look, cpu_s: float) -> float:
    """Of one core."""
    return 100 * max(0.0, cpu_s) / max(1e-9, after.at_s - before.at_s)


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _import_again(run: Run) -> float:
    """Seconds that a fresh interpreter takes for what the first task's process had imported."""
    python = run.stage.environments.bin(run.arm.environment) / "python"
    began_s = time.perf_counter()
    subprocess.run(
        [python, "-c", _IMPORT],
        input=(run.folder / MODULES_FILE).read_bytes(),
        env=run.environment(run.arm.environment),
        cwd=run.folder,
        check=True,
        capture_output=True,
        timeout=IMPORT_LIMIT_S,
    )
    return time.perf_counter() - began_s


def _messages(run: Run, count: int) -> list[bytes]:
    """Stock Celery's messages, as they lie in the list."""
    run.fill(count)
    client = run.server.client
    raw = client.lrange(LIST, 0, -1)
    client.delete(LIST)
    return raw


def _fill_copies(run: Run, waiting: int) -> None:
    """Many tasks, out of a thousand that were sent, each with ids of its own."""
    templates = []
    for raw in _messages(run, min(waiting, 1_000)):
        message = json.loads(raw)
        ids = message["headers"]["id"], message["properties"]["delivery_tag"]
        templates.append((raw, [each.encode() for each in ids]))
    made = (_copy(raw, ids) for raw, ids in itertools.cycle(templates))
    left = waiting
    while left > 0:
        run.server.client.lpush(LIST, *itertools.islice(made, min(left, 1_000)))
        left -= 1_000


def _copy(raw: bytes, ids: list[bytes]) -> bytes:
    for each in ids:
        raw = raw.replace(each, str(uuid4()).encode())
    return raw


def _calls(run: Run, pushed: int = 0) -> dict[str, int]:
    """Calls since the last reset, without the bench's own."""
    calls = {name: n for name, n in run.server.calls().items() if name not in OWN_CALLS}
    calls["lpush"] = calls.get("lpush", 0) - pushed
    return {name: n for name, n in calls.items() if n}


_CELERY_ARMS = ("laneway-prefork", "laneway-threads", "celery-prefork", "celery-threads")
_LANEWAY_ARMS = ("laneway-prefork", "laneway-threads")

KINDS = {
    kind.name: kind
    for kind in (
        Kind("drain", "No-ops, results ignored", drain),
        Kind("results", "No-ops, results kept", drain, Load(20_000, keeps_results=True)),
        Kind("latency", "From a send to its start, at 200 tasks a second", latency, Load(2_000)),
        Kind("enqueue", "Sending from one process", enqueue, Load(5_000), PRODUCERS),
        Kind("payload-10k", "Payloads of 10 kB", drain, Load(8_000, payload_bytes=10_000)),
        Kind("payload-100k", "Payloads of 100 kB", drain, Load(2_000, payload_bytes=100_000)),
        Kind("wide", "Eight at once", drain, Load(width=8)),
        Kind("aof", "Redis with an append-only file, fsync every second", drain, Load(aof=True)),
        Kind("observed", "What it costs to be seen", drain, Load(20_000), OBSERVED),
        Kind("cold", "From the start of a worker to its first task", cold, Load(COLD_COUNT)),
        Kind("commands", "Commands that Redis is given", commands, only=_CELERY_ARMS),
        Kind(
            "backlog-10k",
            "The first tasks of 10,000 that wait",
            backlog(10_000),
            Load(8_000),
            only=_LANEWAY_ARMS,
        ),
        Kind(
            "backlog-1m",
            "The first tasks of 1,000,000 that wait",
            backlog(1_000_000),
            Load(8_000),
            only=_LANEWAY_ARMS,
        ),
    )
}

DEFAULT_KINDS = [name for name in KINDS if not name.startswith("backlog")]
