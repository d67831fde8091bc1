"""What a fault is, and what is promised of every one of them."""

from dataclasses import dataclass
from typing import ClassVar

from faults.lane_state import Letter
from faults.ledger import Recovery, Verdict, percentile
from faults.stage import RECOVERY_LIMIT_S, Setup, Stage

SHORT_S = 0.005
"""So that messages come and go all the time."""


def mostly_short(long_s: float, among: int = 20) -> tuple[float, ...]:
    """Seconds of a load's tasks: one of so many is long, and a fault is sure to meet it."""
    return (*(SHORT_S,) * (among - 1), long_s)


@dataclass(frozen=True)
class Sizes:
    """How often a fault is injected: in `make test`, by default, and with --full. 0: not at all."""

    short: int
    medium: int
    full: int


class Fault:
    """One kind of fault. Its docstring says what is injected and what is promised.

    Promised of every fault: nothing accepted is lost; nothing runs to its end twice, but what was
    in flight at a kill or out of Redis's sight for longer than its lease; no worker ends by itself;
    what was cut begins anew within its lease and 10 s.
    """

    name: ClassVar[str]
    sizes: ClassVar[Sizes]
    setup: ClassVar[Setup] = Setup()
    workers_may_end: ClassVar[bool] = False
    """Whether the fault itself is the end of a worker."""

    may_wait: ClassVar[int] = 0
    """How many messages may still be held at the end, as they wait for their time."""

    def inject(self, stage: Stage, times: int) -> None:
        """Let it happen so many times, under work."""
        raise NotImplementedError

    def accounted(self, stage: Stage) -> set[str]:
        """Ids whose messages are kept as dead letters."""
        return {letter.task_id for letter in stage.dead_letters() if letter.task_id}

    def check(self, stage: Stage) -> None:
        """Whatever else is promised, once everything has settled."""


@dataclass(frozen=True)
class Row:
    """What came of one fault in one arm."""

    fault: str
    arm: str
    injected: int
    verdict: Verdict
    dead: int
    broken: tuple[str, ...]
    seconds: float

    @property
    def recovery_s(self) -> tuple[float | None, float | None]:
        """p50 and p99."""
        times = self.verdict.recoveries_s
        return percentile(times, 0.5), percentile(times, 0.99)

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        verdict = self.verdict
        return not (verdict.lost or verdict.repeated_without_cause or self.broken)


def live_through(fault: Fault, stage: Stage, times: int) -> tuple[Verdict, int]:
    """Inject, wait, check; the verdict and the number of dead letters."""
    fault.inject(stage, times)
    stage.expect(stage.injected >= times, f"injected {stage.injected} times instead of {times}")
    stage.settle(lambda: fault.accounted(stage), fault.may_wait)
    fault.check(stage)
    held = stage.held() - fault.may_wait
    stage.expect(held <= 0, f"{held} messages are still held, and nobody runs them")
    ended = stage.ended_by_themselves()
    if ended and not fault.workers_may_end:
        stage.broken.append(f"{len(ended)} workers ended by themselves")
    verdict = stage.ledger.verdict(fault.accounted(stage))
    slow = [r for r in verdict.recoveries if r.seconds > RECOVERY_LIMIT_S]
    if slow:
        stage.broken.append(_slow(slow, len({cut.worker for cut in stage.ledger.cuts})))
    return verdict, len(stage.dead_letters())


def _slow(slow: list[Recovery], cut: int) -> str:
    """Whether it was one bad moment or many."""
    moments = sorted(recovery.at_s for recovery in slow)
    workers = len({recovery.worker for recovery in slow})
    return (
        f"{len(slow)} recoveries took longer than {RECOVERY_LIMIT_S:.0f} s, the longest "
        f"{slow[-1].seconds:.0f} s: of {workers} of {cut} workers, within "
        f"{moments[-1] - moments[0]:.0f} s of each other"
    )


def letters_of(stage: Stage, task_id: str) -> list[Letter]:
    """The dead letters of a task."""
    return [letter for letter in stage.dead_letters() if letter.task_id == task_id]
