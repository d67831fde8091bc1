"""Documents come in, and are found again."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from laneway.services.gateway.access import Caller, MaySearch, MayUpload
from laneway.services.gateway.bodies import trace_headers
from laneway.services.gateway.context import Gateway, Here
from laneway.services.gateway.models import Accepted, Found, Hit, Uploaded, presentable
from laneway.services.gateway.openapi import file_body
from laneway.services.gateway.problems import Problem, problem_of
from laneway.services.gateway.routes.responses import refusals
from laneway.services.gateway.routes.submit import accept
from laneway.tasks.app import route
from laneway.tasks.contracts import CollectionName, UserId
from laneway.tasks.dispatch import TaskRequest, check_task_payload
from laneway.tasks.errors import LanewayError

PROCESS = "documents.process"


class UploadQuery(BaseModel):
    """Whose document it is, and what is to become of it."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId = Field(description="Owner of the document.")
    filename: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="Its name; a form's own if not given."
    )
    process: bool = Field(default=False, description="Submit documents.process for it at once.")
    collection: CollectionName = Field("default", description="With process: where it goes.")
    priority: Literal["low", "normal", "high"] = Field("normal", description="With process.")

    def payload(self, file_path: str) -> dict[str, str]:
        """The payload that processes the document."""
        return {
            "file_path": file_path,
            "user_id": self.user_id,
            "priority": self.priority,
            "collection": self.collection,
        }


class SearchQuery(BaseModel):
    """What to search, and where."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(min_length=1, max_length=2_000, description="Words or a question.")
    collection: CollectionName = "default"
    user_id: UserId | None = Field(None, description="Only this owner's documents.")
    limit: Annotated[int, Field(ge=1, le=100)] = 5


def routes() -> APIRouter:
    """Document endpoints."""
    router = APIRouter(prefix="/v1", tags=["documents"])
    router.add_api_route(
        "/documents",
        upload,
        methods=["POST"],
        status_code=201,
        responses={
            202: {"model": Uploaded, "description": "Stored, and its processing is queued."},
            **refusals(400, 401, 403, 404, 408, 413, 422, 429, 503, 507),
        },
        openapi_extra=file_body(),
    )
    router.add_api_route("/search", search, responses=refusals(401, 403, 409, 422, 503))
    return router


async def upload(
    request: Request,
    response: Response,
    caller: MayUpload,
    gateway: Here,
    query: Annotated[UploadQuery, Query()],
) -> Uploaded:
    """Store a document: the body itself, or the one file of a multipart form.

    201 when it is stored; with `process=true` 202, once its processing is queued too.
    """
    caller.require_user(query.user_id)
    if query.process:
        _check_process(gateway, caller, query)
    stored = await gateway.uploads.store(request, query.user_id, query.filename)
    answer = Uploaded(
        file_path=stored.file_path, size_bytes=stored.size_bytes, sha256=stored.sha256
    )
    if not query.process:
        return answer
    wanted = TaskRequest(
        PROCESS,
        query.payload(stored.file_path),
        owner=caller.owner,
        headers=trace_headers(request),
    )
    accepted = await _queue(gateway, caller, wanted)
    response.status_code = 202
    response.headers["Location"] = f"/v1/tasks/{accepted.task_id}"
    return answer.model_copy(update={"task_id": accepted.task_id, "queue": accepted.queue})


def search(caller: MaySearch, gateway: Here, query: Annotated[SearchQuery, Query()]) -> Found:
    """Find chunks of indexed documents, by meaning and by words. No collection, no hits."""
    caller.require_user(query.user_id)
    try:
        from laneway.tasks.rag.search import search as find

        hits = find(gateway.settings, query.q, query.collection, query.user_id, query.limit)
    except ImportError as error:
        raise Problem(
            503,
            "search_not_installed",
            f"This gateway cannot search: {error.name} is not installed beside it. Install "
            "laneway[documents].",
        ) from error
    return Found(
        hits=[
            Hit(
                file_path=hit.file_path,
                user_id=hit.user_id,
                ordinal=hit.ordinal,
                text=presentable(hit.text),
                score=hit.score,
            )
            for hit in hits
        ]
    )


def _check_process(gateway: Gateway, caller: Caller, query: UploadQuery) -> None:
    """Refuse what could not be queued before anything is stored."""
    caller.require("submit")
    payload = query.payload("to-be-stored")
    caller.require_queue(route(gateway.app.catalogue, PROCESS, payload))
    check_task_payload(gateway.app, PROCESS, payload)


async def _queue(gateway: Gateway, caller: Caller, wanted: TaskRequest) -> Accepted:
    """Queue the processing; a refusal names the document that is stored already."""
    try:
        return await run_in_threadpool(accept, gateway, caller, wanted)
    except LanewayError as error:
        problem = problem_of(error)
        if problem is None:
            raise
        problem.details["file_path"] = wanted.kwargs["file_path"]
        problem.message += " The document is stored: submit documents.process for its file_path."
        raise problem from error
