"""What a worker's link meets, told in metrics, logs and results."""

from celery.exceptions import WorkerLostError

from laneway.observability.logs import get_logger
from laneway.services.worker.burial import named, tell
from laneway.services.worker.failures import fail_message
from laneway.services.worker.lane import Lane
from laneway.services.worker.reception import headers_of
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker.client import broker_url, cure_of, without_password
from laneway.tasks.broker.ledger import Claim
from laneway.tasks.broker.link import Listener

logger = get_logger(__name__)

GAVE_UP = {
    "delivery limit": "Gave up: it was delivered as often as the queue's maxDeliveries allows, and "
    "each time its worker was lost, or it sent its message back. It is kept among the queue's dead "
    "letters.",
    "too large": "Not run: the message is larger than LANEWAY_MESSAGE_LIMIT_BYTES. It is kept among "
    "the queue's dead letters.",
}


class LaneListener(Listener):
    """Counts and logs; none of it may raise into the link."""

    def __init__(self, app: LanewayApp, lane: Lane) -> None:
        self._app = app
        self._lane = lane
        self._connected_before = False
        self._told_down = False

    def on_up(self, returned: int) -> None:
        """Connected, perhaps again."""
        self._lane.pulse.waiting_for_broker = False
        if self._connected_before:
            self._lane.metrics.broker_reconnects.inc()
            logger.info("Redis answers again", queue=self._lane.name, given_back=returned)
        self._connected_before, self._told_down = True, False

    def on_down(self, error: Exception) -> None:
        """Redis is away; said once until it is back."""
        self._lane.pulse.waiting_for_broker = True
        if not self._told_down:
            self._told_down = True
            logger.warning(
                "waiting for Redis",
                queue=self._lane.name,
                url=without_password(broker_url(self._app.settings, self._lane.queue.broker)),
                error_type=type(error).__name__,
                reason=str(error),
                cure=cure_of(error),
            )

    def on_buried(self, letters: list[tuple[str, str, bytes]]) -> None:
        """Messages became dead letters unseen: whoever waits for their results learns it here."""
        for _, kind, message in letters:
            headers = headers_of(message)
            tell(self._lane, named(headers, kind))
            error = WorkerLostError(GAVE_UP.get(kind, kind))
            fail_message(self._app.backend, headers, error)

    def on_late(self, count: int, lost: list[Claim]) -> None:
        """The lease ran out while tasks ran: others have, or had, their messages."""
        self._lane.metrics.late_ends.inc(count, queue=self._lane.name)
        logger.warning(
            "the lease ran out: what ends late changes nothing, and what still runs runs elsewhere "
            "too. Raise leaseSeconds if this worker was only slow",
            queue=self._lane.name,
            late=count,
            still_running=len(lost),
        )

    def on_answered(self, what: str, took_s: float) -> None:
        """Redis answered."""
        self._lane.metrics.broker_op.observe(took_s, op=what)

    def on_tended(self, due: int, recovered: int) -> None:
        """Messages went back to the lane."""
        del due
        if recovered:
            self._lane.metrics.recovered.inc(recovered, queue=self._lane.name)
            logger.warning(
                "messages of a worker that is gone were given back",
                queue=self._lane.name,
                count=recovered,
            )
