"""Clocks that are wrong, and messages that wait for their time."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faults.arms import LEASE_S, with_fields
from faults.fault import Fault, Sizes
from faults.stage import RECOVERY_LIMIT_S, Setup, Stage

SKEW_FOLDER = Path(__file__).with_name("skewed_clock")
SKEW_S = 600
EARLY_LIMIT_S = 1.0
"""A due time is told in whole clocks of another machine: so much before it is no fault."""


class DueTimes:
    """When messages are due, by CLOCK_MONOTONIC, and whether they began then."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}

    def send(self, stage: Stage, in_s: float) -> None:
        """Publish with a countdown, by the arm's producer."""
        self._note(stage.send(options={"countdown": in_s}), in_s)

    def send_stock(self, stage: Stage, in_s: float) -> None:
        """Publish with an eta, as a producer that knows nothing of Laneway does."""
        eta = (datetime.now(UTC) + timedelta(seconds=in_s)).isoformat()
        for task_id in stage.publisher.bulk(1, "faults.work", {}, eta=eta):
            self._note(task_id, in_s)

    def check(self, stage: Stage) -> None:
        """None began before its time, none later than a recovery takes."""
        begun = {run.task_id: run.started_s for run in reversed(stage.ledger.runs())}
        late = [begun[i] - due_s for i, due_s in self._due_s.items() if i in begun]
        early = [s for s in late if s < -EARLY_LIMIT_S]
        missed = [s for s in late if s > RECOVERY_LIMIT_S]
        stage.expect(not early, f"{len(early)} delayed tasks began before their time")
        stage.expect(not missed, f"{len(missed)} delayed tasks began {RECOVERY_LIMIT_S:.0f} s late")

    def _note(self, task_id: str | None, in_s: float) -> None:
        if task_id is not None:
            self._due_s[task_id] = time.monotonic() + in_s


class Delayed(Fault):
    """Messages wait for their time while workers, which may hold them, are killed.

    Each runs once, not before its time, and at the latest a recovery after it.
    """

    name = "delayed messages across a worker's kill"
    sizes = Sizes(short=0, medium=1, full=10)
    setup = Setup(workers=3)

    def __init__(self) -> None:
        self.due = DueTimes()

    def inject(self, stage: Stage, times: int) -> None:
        self.due = DueTimes()
        for _ in range(times):
            for _ in range(8):
                self.due.send(stage, 4.0)
                self.due.send_stock(stage, 4.0)
            stage.pause(1.0, 3.0)
            stage.kill(stage.rng.choice(stage.alive()))
            stage.inject()
            stage.start()

    def check(self, stage: Stage) -> None:
        self.due.check(stage)
        runs, tasks = len(stage.ledger.runs()), len(stage.ledger.accepted())
        stage.expect(runs <= tasks + stage.injected, f"{tasks} tasks were begun {runs} times")


class ClockSkew(Fault):
    """Beside a worker with a true clock, one is 10 minutes ahead, another 10 minutes behind.

    Leases go by the clock of Redis: nothing is taken from a live worker. Due times hold.
    """

    name = "worker clocks 10 minutes wrong"
    sizes = Sizes(short=0, medium=2, full=2)
    setup = Setup(fields=with_fields(concurrency=1), workers=1)

    def __init__(self) -> None:
        self.due = DueTimes()

    def inject(self, stage: Stage, times: int) -> None:
        self.due = DueTimes()
        for number in range(times):
            offset_s = SKEW_S if number % 2 == 0 else -SKEW_S
            stage.start(PYTHONPATH=str(SKEW_FOLDER), FAULTS_CLOCK_OFFSET_S=str(offset_s))
            stage.inject()
        for _ in range(times):  # a slot stays free, and would take what seems abandoned
            stage.send(seconds=3.0 * LEASE_S)
        stage.wait_until_running(times)
        for _ in range(5):
            self.due.send(stage, 3.0)
            self.due.send_stock(stage, 3.0)
        stage.bulk(60, seconds=0.05)

    def check(self, stage: Stage) -> None:
        self.due.check(stage)
        runs, tasks = len(stage.ledger.runs()), len(stage.ledger.accepted())
        stage.expect(runs == tasks, f"{tasks} tasks were begun {runs} times")
