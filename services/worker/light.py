"""The light way of a message to the pool.

Celery makes a kombu message, two promises and a Request of each message, decodes its body in the
worker's parent, and again in the child. Here the envelope that was read once becomes the Request at
once, and the body stays as it came until the child reads it. Kept of Celery's strategy: revocation
by id and by stamp, expiry, `task_received`, events, the worker's own state. Messages of the first
protocol, and those in another coding than UTF-8 JSON, take Celery's way.
"""

import time
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from typing import Any
from weakref import ref

from celery import signals
from celery.exceptions import InvalidTaskError
from celery.worker import state
from kombu.serialization import loads

from laneway.observability.outcomes import Outcome
from laneway.services.worker.body import run_body
from laneway.services.worker.hold import ClaimHold
from laneway.services.worker.request import ObservedRequest, capped, whole
from laneway.tasks.broker.delayed import read_moment
from laneway.tasks.broker.ledger import Claim

Light = Callable[[dict[str, Any], Claim], None]


class LaneRequest(ObservedRequest, generated=False):
    """A Request made of an envelope, without a kombu message."""

    def __init__(self, envelope: dict[str, Any], claim: Claim, consumer: Any, task: Any) -> None:
        """Take an envelope that `read_envelope` let through.

        Raises:
            InvalidTaskError: a field of its headers makes no sense.
        """
        headers, properties = envelope["headers"], envelope["properties"]
        self._message = None
        self._request_dict = headers
        self._app, self._task, self._utc = consumer.app, task, True
        self._body = _body(envelope)
        self._content_type = envelope["content-type"]
        self._content_encoding = envelope["content-encoding"]
        self.id, self._type = headers["id"], headers["task"]
        self.name = headers.get("shadow") or self._type
        self._root_id, self._parent_id = headers.get("root_id"), headers.get("parent_id")
        self.time_limits = capped(headers.get("timelimit"), self.lane.queue.time_limit)
        self.retries = whole(headers.get("retries") or 0)
        self._argsrepr, self._kwargsrepr = (
            headers.get("argsrepr", ""),
            headers.get("kwargsrepr", ""),
        )
        self._hostname, self._eventer = consumer.hostname, consumer.event_dispatcher
        self._connection_errors = ()
        ignore = headers.get("ignore_result")
        self._ignore_result = task.ignore_result if ignore is None else ignore
        self._eta, self._expires = _time(headers, "eta"), _time(headers, "expires")
        if not isinstance(headers.get("stamped_headers") or [], list):
            raise InvalidTaskError("stamped_headers is no list")
        self._on_ack = self._on_reject = None
        place = properties["delivery_info"]
        self._delivery_info = {
            "exchange": place.get("exchange"),
            "routing_key": place.get("routing_key"),
            "priority": properties.get("priority"),
            "redelivered": place.get("redelivered", False),
        }
        headers["properties"] = properties
        headers["reply_to"] = properties.get("reply_to")
        headers["correlation_id"] = properties.get("correlation_id")
        headers["hostname"] = self._hostname
        headers["delivery_info"] = self._delivery_info
        self._received_at_s = time.time()
        self.claim = claim.id
        self.hold = ClaimHold(self.lane.link, claim.id, claim.deliveries)
        self.lane.holding[claim.id] = self

    def execute_using_pool(self, pool: Any, **_: Any) -> None:
        """Hand the task to the pool."""
        # The same dictionary travels to the child: what it starts hangs under this attempt.
        self._request_dict.update(self.start_attempt().headers)
        soft_s, hard_s = self._limits()
        result = pool.apply_async(
            run_body,
            args=(
                self._type,
                self.id,
                self._request_dict,
                self._body,
                self._content_type,
                self._content_encoding,
            ),
            accept_callback=self.on_accepted,
            timeout_callback=self.on_timeout,
            callback=self.on_success,
            error_callback=self.on_failure,
            soft_timeout=soft_s,
            timeout=hard_s,
            expires_s=self._expires and self._expires.timestamp(),
            on_expired=self.revoked,
            correlation_id=self.claim,
        )
        self._apply_result = None if result is None else ref(result)

    def on_success(self, answer: tuple[int, Any, float], **_: Any) -> None:
        """The task has ended, by itself: well, or with an error that was stored."""
        failed, result, runtime_s = answer
        if failed:
            self.on_failure(result, return_ok=True)
            return
        self.end_attempt(Outcome.SUCCESS)
        state.task_ready(self, successful=self.lane.remembers_success)
        if self._task.acks_late:
            self.acknowledge()
        self.send_event("task-succeeded", result=result, runtime=runtime_s)

    def acknowledge(self) -> None:
        """The message is done with."""
        self.lane.holding.pop(self.claim, None)
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """The message is done with, or comes back."""
        self.lane.holding.pop(self.claim, None)
        super().reject(requeue)

    @property
    def _payload(self) -> Any:
        """The decoded body: only what goes wrong in the parent needs it."""
        if self._decoded_body is None:
            self._decoded_body = loads(self._body, self._content_type, self._content_encoding)
        return self._decoded_body

    _decoded_body: Any = None
    _args: Any
    _kwargs: Any

    @property
    def args(self) -> Any:
        """Positional arguments."""
        return self._payload[0]

    @property
    def kwargs(self) -> Any:
        """Keyword arguments."""
        return self._payload[1]

    def info(self, safe: bool = False) -> dict[str, Any]:
        """What `inspect` tells."""
        self._args, self._kwargs = (None, None) if safe else (self.args, self.kwargs)
        found: dict[str, Any] = super().info(safe)
        return found


def light_strategy(task: Any, consumer: Any) -> Light:
    """How messages of one task go to the pool."""
    events = consumer.event_dispatcher and consumer.event_dispatcher.enabled and task.send_events
    start, received = consumer.on_task_request, signals.task_received

    def light(envelope: dict[str, Any], claim: Claim) -> None:
        request = LaneRequest(envelope, claim, consumer, task)
        if (request.expires or request.id in state.revoked or request.stamped_headers) and (
            request.revoked()
        ):
            return
        if received.receivers:
            received.send(sender=consumer, request=request)
        if events:
            _send_received(request)
        state.task_reserved(request)
        start(request)

    return light


def is_light(envelope: dict[str, Any]) -> bool:
    """Whether a message can take the light way."""
    return (
        envelope.get("content-type") == "application/json"
        and envelope.get("content-encoding") == "utf-8"
        and envelope["properties"].get("body_encoding") in {"base64", None}
        and isinstance(envelope.get("body"), str)
        and isinstance(envelope["headers"].get("id"), str)
        and envelope["headers"]["id"] != ""
    )


def _body(envelope: dict[str, Any]) -> bytes | str:
    body: str = envelope["body"]
    if envelope["properties"].get("body_encoding") is None:
        return body
    try:
        return b64decode(body)
    except ValueError:
        raise InvalidTaskError("the body is no base64") from None


def _time(headers: dict[str, Any], name: str) -> datetime | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        return read_moment(value)
    except (ValueError, TypeError):
        raise InvalidTaskError(f"{name} is no time") from None


def _send_received(request: Any) -> None:
    request.send_event(
        "task-received",
        name=request.name,
        args=request.argsrepr,
        kwargs=request.kwargsrepr,
        root_id=request.root_id,
        parent_id=request.parent_id,
        retries=request.retries,
        eta=request.eta and request.eta.isoformat(),
        expires=request.expires and request.expires.isoformat(),
    )
