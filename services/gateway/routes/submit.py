"""Submitting tasks, one or many."""

import json
from typing import Any

from fastapi import APIRouter, Response

from laneway.services.gateway.access import Caller, MaySubmit
from laneway.services.gateway.bodies import ManyTasks, OneTask, Sent, parse_json, parse_model
from laneway.services.gateway.context import Gateway, Here
from laneway.services.gateway.models import (
    Accepted,
    Bulk,
    BulkAccepted,
    BulkAnswer,
    NewTask,
)
from laneway.services.gateway.openapi import BULK, SUBMIT, json_body
from laneway.services.gateway.problems import Problem, problem_of
from laneway.services.gateway.routes.responses import WRITE, refusals
from laneway.tasks.app import route
from laneway.tasks.dispatch import TaskRequest, check_known, submit_request
from laneway.tasks.errors import BrokerUnavailable, LanewayError

MULTI_STATUS = 207


def routes() -> APIRouter:
    """Submit endpoints."""
    router = APIRouter(prefix="/v1", tags=["tasks"])
    common: dict[str, Any] = {"methods": ["POST"], "status_code": 202}
    one = {**common, "responses": refusals(*WRITE), "openapi_extra": json_body(SUBMIT)}
    router.add_api_route("/tasks", submit, **one)
    router.add_api_route("/queues/{queue}/tasks", submit_to, **one)
    router.add_api_route(
        "/queues/{queue}/tasks/bulk",
        submit_bulk,
        **common,
        responses={
            MULTI_STATUS: {"model": BulkAccepted, "description": "Some tasks were refused."},
            **refusals(*WRITE),
        },
        openapi_extra=json_body(BULK),
    )
    return router


def submit(caller: MaySubmit, gateway: Here, sent: OneTask, response: Response) -> Accepted:
    """Queue a task on its home queue."""
    return _located(response, _submit(gateway, caller, None, sent))


def submit_to(
    queue: str, caller: MaySubmit, gateway: Here, sent: OneTask, response: Response
) -> Accepted:
    """Queue a task on this queue."""
    return _located(response, _submit(gateway, caller, queue, sent))


def submit_bulk(
    queue: str, caller: MaySubmit, gateway: Here, sent: ManyTasks, response: Response
) -> BulkAccepted:
    """Queue many tasks on this queue.

    Each is accepted or refused on its own: 202 when all were accepted, otherwise 207, and the
    answers in the order of the tasks. An Idempotency-Key header covers every task that has no
    key of its own, by its place in the list.
    """
    items = parse_model(Bulk, parse_json(sent.body)).tasks
    _check_count(gateway, len(items))
    _ = gateway.app.catalogue[queue]
    caller.require_queue(queue)
    sender = _BulkSender(gateway, caller, queue, sent)
    answers = [sender.send(place, item) for place, item in enumerate(items)]
    accepted = sum(answer.accepted is not None for answer in answers)
    if accepted < len(answers):
        response.status_code = MULTI_STATUS
    return BulkAccepted(accepted=accepted, refused=len(answers) - accepted, tasks=answers)


def accept(gateway: Gateway, caller: Caller, wanted: TaskRequest) -> Accepted:
    """Queue a task, if the caller reaches the queue it goes to.

    Raises:
        SubmissionError, Problem: nothing was queued.
    """
    app = gateway.app
    check_known(app, wanted.task)
    queue = wanted.queue or route(app.catalogue, wanted.task, wanted.kwargs)
    _ = app.catalogue[queue]
    caller.require_queue(queue)
    if "user_id" in wanted.kwargs:
        caller.require_user(str(wanted.kwargs["user_id"]))
    with gateway.continuing(wanted.task, wanted.headers), gateway.outage.watch():
        return Accepted.of(submit_request(app, wanted))


class _BulkSender:
    """Sends the tasks of a bulk; once Redis is away, refuses the rest without asking it again."""

    def __init__(self, gateway: Gateway, caller: Caller, queue: str, sent: Sent) -> None:
        self._gateway = gateway
        self._caller = caller
        self._queue = queue
        self._sent = sent
        self._away: BrokerUnavailable | None = None

    def send(self, place: int, content: Any) -> BulkAnswer:
        try:
            return BulkAnswer(status=202, accepted=self._accept(place, content))
        except (LanewayError, Problem) as error:
            if isinstance(error, BrokerUnavailable):
                self._away = error
            problem = problem_of(error)
            if problem is None:
                raise
            return BulkAnswer(status=problem.status, **problem.body())

    def _accept(self, place: int, content: Any) -> Accepted:
        if self._away is not None:
            raise self._away
        limit_bytes = self._gateway.payload_limit_bytes
        if len(json.dumps(content, ensure_ascii=False).encode()) > limit_bytes:
            message = f"The task is larger than {limit_bytes} bytes. Make its payload smaller."
            raise Problem(413, "payload_too_large", message, {"limit_bytes": limit_bytes})
        key = self._sent.idempotency_key and f"{self._sent.idempotency_key}#{place}"
        wanted = parse_model(NewTask, content).request(
            self._queue, self._caller.owner, key, self._sent.trace
        )
        return accept(self._gateway, self._caller, wanted)


def _submit(gateway: Gateway, caller: Caller, queue: str | None, sent: Sent) -> Accepted:
    item = parse_model(NewTask, parse_json(sent.body))
    if None not in (item.idempotency_key, sent.idempotency_key) and (
        item.idempotency_key != sent.idempotency_key
    ):
        raise Problem(
            422,
            "invalid_request",
            "The header Idempotency-Key and the field idempotency_key differ. Send one of them.",
        )
    wanted = item.request(queue, caller.owner, sent.idempotency_key, sent.trace)
    return accept(gateway, caller, wanted)


def _check_count(gateway: Gateway, count: int) -> None:
    most = gateway.settings.gateway_bulk_limit
    if count > most:
        raise Problem(
            413,
            "bulk_too_large",
            f"The bulk holds {count} tasks; {most} are allowed. Send them in parts, or raise "
            "LANEWAY_GATEWAY_BULK_LIMIT.",
            {"limit": most},
        )


def _located(response: Response, accepted: Accepted) -> Accepted:
    response.headers["Location"] = f"/v1/tasks/{accepted.task_id}"
    return accepted
