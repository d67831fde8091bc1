"""Submitting tasks, one or many."""

import json
from collections.abc import Sequence
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
from laneway.tasks.bulk import Outcome, submit_many
from laneway.tasks.dispatch import Submission, TaskRequest, check_known, submit_request
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
    answers = _submit_bulk(gateway, caller, queue, sent, items)
    accepted = sum(answer.accepted is not None for answer in answers)
    if accepted < len(answers):
        response.status_code = MULTI_STATUS
    return BulkAccepted(accepted=accepted, refused=len(answers) - accepted, tasks=answers)


def accept(gateway: Gateway, caller: Caller, wanted: TaskRequest) -> Accepted:
    """Queue a task, if the caller reaches the queue it goes to.

    Raises:
        SubmissionError, Problem: nothing was queued.
    """
    queue = _permitted(gateway, caller, wanted)
    with gateway.continuing(wanted.task, wanted.headers), gateway.outage_of(queue).watch():
        return Accepted.of(submit_request(gateway.app, wanted))


def _permitted(gateway: Gateway, caller: Caller, wanted: TaskRequest) -> str:
    """The queue a task goes to, if the caller reaches it."""
    app = gateway.app
    check_known(app, wanted.task)
    queue = wanted.queue or route(app.catalogue, wanted.task, wanted.kwargs)
    _ = app.catalogue[queue]
    caller.require_queue(queue)
    if "user_id" in wanted.kwargs:
        caller.require_user(str(wanted.kwargs["user_id"]))
    return queue


def _submit_bulk(
    gateway: Gateway, caller: Caller, queue: str, sent: Sent, items: list[Any]
) -> list[BulkAnswer]:
    answers: dict[int, BulkAnswer] = {}
    wanted: dict[int, TaskRequest] = {}
    for place, item in enumerate(items):
        try:
            wanted[place] = _wanted(gateway, caller, queue, sent, (place, item))
        except (LanewayError, Problem) as error:
            answers[place] = _answer(error)
    outcomes = _publish_bulk(gateway, queue, sent, list(wanted.values())) if wanted else []
    for place, outcome in zip(wanted, outcomes, strict=True):
        answers[place] = _answer(outcome)
    return [answers[place] for place in range(len(items))]


def _wanted(
    gateway: Gateway, caller: Caller, queue: str, sent: Sent, item: tuple[int, Any]
) -> TaskRequest:
    place, content = item
    limit_bytes = gateway.payload_limit_bytes
    if len(json.dumps(content, ensure_ascii=False).encode()) > limit_bytes:
        message = f"The task is larger than {limit_bytes} bytes. Make its payload smaller."
        raise Problem(413, "payload_too_large", message, {"limit_bytes": limit_bytes})
    key = sent.idempotency_key and f"{sent.idempotency_key}#{place}"
    wanted = parse_model(NewTask, content).request(queue, caller.owner, key, sent.trace)
    _permitted(gateway, caller, wanted)
    return wanted


def _publish_bulk(
    gateway: Gateway, queue: str, sent: Sent, wanted: list[TaskRequest]
) -> Sequence[Outcome]:
    """What became of each; once a broker is away, the requests that follow hear it at once."""
    outcomes: list[Outcome] = []
    try:
        with gateway.continuing(None, sent.trace), gateway.outage_of(queue).watch():
            outcomes += submit_many(wanted, app=gateway.app)
            for outcome in outcomes:
                if isinstance(outcome, BrokerUnavailable):
                    raise outcome
    except BrokerUnavailable as away:
        return outcomes or [away] * len(wanted)
    return outcomes


def _answer(outcome: Outcome | LanewayError | Problem) -> BulkAnswer:
    if isinstance(outcome, Submission):
        return BulkAnswer(status=202, accepted=Accepted.of(outcome))
    problem = problem_of(outcome)
    if problem is None:
        raise outcome
    return BulkAnswer(status=problem.status, **problem.body())


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
