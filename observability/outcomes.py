"""How an attempt can end: one outcome each, in five classes."""

from enum import StrEnum
from typing import Literal

OutcomeClass = Literal["ok", "retry", "error", "killed", "dropped"]


class Outcome(StrEnum):
    """The end of one attempt."""

    SUCCESS = "success"
    RETRY = "retry"
    FAILURE = "failure"
    REJECTED = "rejected"
    REQUEUED = "requeued"
    IGNORED = "ignored"
    SOFT_TIMEOUT = "soft_timeout"
    HARD_TIMEOUT = "hard_timeout"
    WORKER_LOST = "worker_lost"
    TERMINATED = "terminated"
    REVOKED = "revoked"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SHUTDOWN_REQUEUED = "shutdown_requeued"

    @property
    def outcome_class(self) -> OutcomeClass:
        """What kind of end it is: `retry` comes back by intent, `dropped` was not judged."""
        return _CLASSES[self]

    @property
    def is_error(self) -> bool:
        """Whether the attempt went wrong: in class `error` or `killed`."""
        return self.outcome_class in ("error", "killed")

    @property
    def is_final(self) -> bool:
        """Whether the task usually ends with it; the caller of `finish` may know better."""
        return self not in _COMES_BACK


_CLASSES: dict[Outcome, OutcomeClass] = {
    Outcome.SUCCESS: "ok",
    Outcome.RETRY: "retry",
    Outcome.REQUEUED: "retry",
    Outcome.FAILURE: "error",
    Outcome.REJECTED: "error",
    Outcome.SOFT_TIMEOUT: "error",
    Outcome.HARD_TIMEOUT: "killed",
    Outcome.WORKER_LOST: "killed",
    Outcome.TERMINATED: "killed",
    Outcome.IGNORED: "dropped",
    Outcome.REVOKED: "dropped",
    Outcome.EXPIRED: "dropped",
    Outcome.CANCELLED: "dropped",
    Outcome.SHUTDOWN_REQUEUED: "dropped",
}

_COMES_BACK = {
    Outcome.RETRY,
    Outcome.REQUEUED,
    Outcome.WORKER_LOST,
    Outcome.CANCELLED,
    Outcome.SHUTDOWN_REQUEUED,
}
