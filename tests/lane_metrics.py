"""What a worker's `/metrics` says, for tests that read it: text made of the catalogue's names."""

from laneway.observability import catalogue
from laneway.observability.lanes.samples import Values, read_samples

WAIT_BOUNDS = (*map(float, catalogue.QUEUE_WAIT.buckets), float("inf"))


def sample(metric, value, suffix="", **labels):
    """One line; a label that is a Python keyword takes an underscore."""
    pairs = ",".join(f'{name.rstrip("_")}="{shown}"' for name, shown in labels.items())
    return f"{metric.name}{suffix}{{{pairs}}} {value}\n"


def waits(lane, seconds, kind="first"):
    """The buckets of so many waits."""
    return "".join(
        sample(
            catalogue.QUEUE_WAIT,
            sum(each <= bound for each in seconds),
            "_bucket",
            queue=lane,
            kind=kind,
            le="+Inf" if bound == float("inf") else bound,
        )
        for bound in WAIT_BOUNDS
    )


def attempts(lane, **outcomes):
    return "".join(
        sample(catalogue.ATTEMPTS, count, queue=lane, task="a.b", outcome=outcome)
        for outcome, count in outcomes.items()
    )


def gauges(lane, ready=0, flight=0, delayed=0, workers=1, busy=0, idle=2, dead=0, oldest_s=0.0):
    """What one worker of a lane tells of it at the moment."""
    return "".join(
        [
            sample(catalogue.BROKER_UP, 1),
            sample(catalogue.QUEUE_DEPTH, ready, queue=lane, priority="0"),
            sample(catalogue.QUEUE_DEPTH, 0, queue=lane, priority="3"),
            sample(catalogue.QUEUE_UNACKED, flight, queue=lane),
            sample(catalogue.QUEUE_DELAYED, delayed, queue=lane),
            sample(catalogue.QUEUE_WORKERS, workers, queue=lane),
            sample(catalogue.QUEUE_OLDEST_AGE, oldest_s, queue=lane),
            sample(catalogue.DEAD_LETTERS, dead, queue=lane),
            sample(catalogue.CONSUMING, 1, queue=lane),
            sample(catalogue.DRAINING, 0, queue=lane),
            sample(catalogue.SLOTS, busy, queue=lane, state="busy"),
            sample(catalogue.SLOTS, idle, queue=lane, state="idle"),
            sample(catalogue.SLO_THRESHOLD, 5, queue=lane, slo="start"),
            sample(catalogue.SLO_THRESHOLD, 60, queue=lane, slo="finish"),
        ]
    )


def values(*texts) -> Values:
    return read_samples("".join(texts))
