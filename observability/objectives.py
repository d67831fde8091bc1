"""What a lane promises, and whether its tasks kept it: start in time, finish in time, succeed."""

from dataclasses import dataclass, field

from laneway.observability.instruments import Number
from laneway.observability.metrics import Metrics

START, FINISH, SUCCESS = "start", "finish", "success"


@dataclass(frozen=True)
class Objectives:
    """Of one lane, once it is declared.

    Times are in seconds; `share` is the part of tasks that are to be good, 0 to 1.
    """

    queue: str
    start_s: float
    finish_s: float
    share: float
    _counts: dict[tuple[str, bool], Number] = field(default_factory=dict, compare=False)

    def declare(self, metrics: Metrics) -> None:
        """Say what is promised, and start every count at 0."""
        metrics.slo_threshold.set(self.start_s, queue=self.queue, slo=START)
        metrics.slo_threshold.set(self.finish_s, queue=self.queue, slo=FINISH)
        for slo in (START, FINISH, SUCCESS):
            metrics.slo_objective.set(self.share, queue=self.queue, slo=slo)
            for good, result in ((True, "good"), (False, "bad")):
                count = metrics.slo_events.bind(queue=self.queue, slo=slo, result=result)
                self._counts[slo, good] = count

    def started(self, wait_s: float) -> None:
        """A task's first attempt began after so long."""
        self._counts[START, wait_s <= self.start_s].inc()

    def ended(self, took_s: float, *, well: bool) -> None:
        """A task ended for good. One that failed says nothing of the time that success takes."""
        self._counts[SUCCESS, well].inc()
        if well:
            self._counts[FINISH, took_s <= self.finish_s].inc()
