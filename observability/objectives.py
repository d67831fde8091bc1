"""What a lane promises, and whether its tasks kept it: start in time, finish in time, succeed."""

from dataclasses import dataclass

from laneway.observability.metrics import Metrics

START, FINISH, SUCCESS = "start", "finish", "success"
RESULTS = ("good", "bad")


@dataclass(frozen=True)
class Objectives:
    """Of one lane. Times are in seconds; `share` is the part of tasks that are to be good, 0 to 1."""

    queue: str
    start_s: float
    finish_s: float
    share: float

    def declare(self, metrics: Metrics) -> None:
        """Say what is promised, and start every count at 0."""
        metrics.slo_threshold.set(self.start_s, queue=self.queue, slo=START)
        metrics.slo_threshold.set(self.finish_s, queue=self.queue, slo=FINISH)
        for slo in (START, FINISH, SUCCESS):
            metrics.slo_objective.set(self.share, queue=self.queue, slo=slo)
            for result in RESULTS:
                metrics.slo_events.inc(0, queue=self.queue, slo=slo, result=result)

    def started(self, metrics: Metrics, wait_s: float) -> None:
        """A task's first attempt began after so long."""
        self._count(metrics, START, good=wait_s <= self.start_s)

    def ended(self, metrics: Metrics, took_s: float, *, well: bool) -> None:
        """A task ended for good. One that failed says nothing of the time that success takes."""
        self._count(metrics, SUCCESS, good=well)
        if well:
            self._count(metrics, FINISH, good=took_s <= self.finish_s)

    def _count(self, metrics: Metrics, slo: str, *, good: bool) -> None:
        metrics.slo_events.inc(queue=self.queue, slo=slo, result=RESULTS[not good])
