"""What became of a task, as a state or as events, and calling it off."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from laneway.services.gateway.access import Caller, MayRead, MayRevoke
from laneway.services.gateway.context import Gateway, Here
from laneway.services.gateway.events import event_id
from laneway.services.gateway.models import TASK_ID_PATTERN, Revoked, TaskView
from laneway.services.gateway.problems import Problem
from laneway.services.gateway.routes.responses import READ, refusals
from laneway.tasks.status import read_status, revoke

TaskId = Annotated[str, Path(pattern=TASK_ID_PATTERN, description="Id of the task.")]


def routes() -> APIRouter:
    """Task endpoints."""
    router = APIRouter(prefix="/v1", tags=["tasks"])
    responses = refusals(*READ)
    router.add_api_route("/tasks/{task_id}", task, responses=responses)
    router.add_api_route(
        "/tasks/{task_id}", revoke_task, methods=["DELETE"], status_code=202, responses=responses
    )
    router.add_api_route(
        "/tasks/{task_id}/events",
        events,
        response_class=StreamingResponse,
        responses={200: _STREAM, 204: {"description": _NOTHING_NEW}, **responses},
    )
    return router


_STREAM: dict[str, Any] = {
    "description": "An event `state` for each change, with what GET of the task answers; ends "
    "with the final one.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_NOTHING_NEW = "Last-Event-ID is the final state: there is nothing left to tell."


def task(task_id: TaskId, caller: MayRead, gateway: Here) -> TaskView:
    """State, progress, and result or error of a task."""
    return _view(gateway, caller, task_id)


async def events(
    task_id: TaskId,
    caller: MayRead,
    gateway: Here,
    last_event_id: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Follow a task with server-sent events."""
    view = await run_in_threadpool(_view, gateway, caller, task_id)
    if view.final and last_event_id == event_id(view):
        return Response(status_code=204)  # tells a browser not to connect again
    gateway.streams.check_room()
    read = partial(_view, gateway, caller, task_id)
    channel = gateway.app.backend.get_key_for_task(task_id).decode()
    return StreamingResponse(
        gateway.streams.follow(read, channel, last_event_id),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


def revoke_task(
    task_id: TaskId,
    caller: MayRevoke,
    gateway: Here,
    terminate: Annotated[bool, Query(description="Also end it if it is running.")] = False,
) -> Revoked:
    """Call a task off: workers drop it when it comes up. One that has ended keeps its state."""
    view = _view(gateway, caller, task_id)
    if not view.final:
        revoke(gateway.app, task_id, terminate=terminate, around=gateway.watch)
    return Revoked(task_id=task_id, state=view.state, terminate=terminate)


def _view(gateway: Gateway, caller: Caller, task_id: str) -> TaskView:
    with gateway.states_outage.watch():
        status = read_status(gateway.app, task_id)
    if not status.known:
        raise Problem(
            404,
            "unknown_task_id",
            "There is no task of this id. It may be misspelt, older than the time results are "
            "kept, or waiting to be run for a producer other than this gateway and `laneway submit`.",
        )
    caller.require_queue(status.queue)
    return TaskView.of(status)
