"""Every refusal of the gateway: one shape, and one table of which error answers what."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from laneway.observability.logs import get_logger
from laneway.tasks import errors

logger = get_logger(__name__)


class ProblemBody(BaseModel):
    """What every answer of 400 and above holds."""

    error: str = Field(description="Stable name of the problem, for programs.")
    message: str = Field(description="What was wrong, where, and the cure, for people.")
    details: dict[str, Any] = Field(default_factory=dict, description="Further facts, if any.")


@dataclass(eq=False)
class Problem(Exception):
    """An answer of 400 and above, raised anywhere below an endpoint."""

    status: int
    error: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    retry_after_s: int | None = None

    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.status == 401:  # noqa: PLR2004 - HTTP's own number
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"error": self.error, "message": self.message, "details": self.details}


@dataclass(frozen=True)
class _Answer:
    status: int
    error: str
    retry_after_s: int | None = None
    # Instead of the error's own text, where that speaks of servers and paths behind the gateway.
    message: str | None = None


_BROKER_AWAY = (
    "The broker does not answer at the moment, so nothing was accepted. Send the request again "
    "after Retry-After; with an Idempotency-Key it cannot run twice."
)
_UNCERTAIN = (
    "The broker did not answer in time, so it is not known whether the task is queued. Send the "
    "request again after Retry-After; with an Idempotency-Key it cannot run twice."
)
_STORE_AWAY = "The document store does not answer at the moment. Send the request again."
_STORE_REFUSES = (
    "The document store refused; sending the request again will not help. The gateway's log has "
    "the reason for its operator."
)
_EMBEDDER_WRONG = (
    "The embedding model or endpoint is set up wrongly. The gateway's log has the reason for its "
    "operator."
)

_ANSWERS: dict[type[Exception], _Answer] = {
    errors.InvalidPayload: _Answer(422, "invalid_payload"),
    errors.UnknownTask: _Answer(404, "unknown_task"),
    errors.UnknownQueue: _Answer(404, "unknown_queue"),
    errors.TaskNotAdmitted: _Answer(422, "task_not_admitted"),
    errors.IdempotencyConflict: _Answer(409, "idempotency_conflict"),
    errors.LaneFull: _Answer(429, "lane_full", retry_after_s=5),
    errors.BrokerFull: _Answer(503, "broker_full", retry_after_s=10),
    errors.BrokerUnavailable: _Answer(503, "broker_unavailable", 2, _BROKER_AWAY),
    errors.DeliveryUncertain: _Answer(503, "broker_unavailable", 2, _UNCERTAIN),
    errors.DocumentTooLarge: _Answer(413, "document_too_large"),
    errors.DocumentNotFound: _Answer(404, "document_not_found"),
    errors.DocumentError: _Answer(422, "document_refused"),
    errors.EmbeddingMismatch: _Answer(409, "embedding_mismatch"),
    errors.EmbeddingError: _Answer(503, "embedding_misconfigured", 60, _EMBEDDER_WRONG),
    errors.StorageFull: _Answer(507, "storage_full"),
    errors.StorageError: _Answer(503, "storage_refused", 60, _STORE_REFUSES),
    errors.StorageUnavailable: _Answer(503, "storage_unavailable", 5, _STORE_AWAY),
    errors.TransientError: _Answer(503, "unavailable", 5),
}


def problem_of(error: Exception) -> Problem | None:
    """The answer to one of Laneway's errors; None for an error that has no answer of its own."""
    if isinstance(error, Problem):
        return error
    for kind in type(error).__mro__:
        answer = _ANSWERS.get(kind)
        if answer is not None:
            return Problem(
                answer.status,
                answer.error,
                answer.message or str(error),
                retry_after_s=answer.retry_after_s,
            )
    return None


def internal_problem(reference: str) -> Problem:
    """The answer to an error nobody foresaw; the log has its place under the same reference."""
    return Problem(
        500,
        "internal_error",
        f"The gateway failed on this request. Its log says where under {reference}.",
        {"reference": reference},
    )


def add_handlers(api: FastAPI) -> None:
    """Answer in one shape: Laneway's errors, FastAPI's and Starlette's."""
    kinds: tuple[type[Exception], ...] = (Problem, *_ANSWERS)
    for kind in kinds:
        api.add_exception_handler(kind, _answer)
    api.add_exception_handler(RequestValidationError, _answer_validation)
    api.add_exception_handler(HTTPException, _answer_http)


def problem_response(problem: Problem) -> JSONResponse:
    """A problem as a response."""
    return JSONResponse(problem.body(), problem.status, headers=problem.headers())


async def _answer(request: Request, error: Exception) -> JSONResponse:
    del request
    problem = problem_of(error)
    if problem is None:
        raise error
    if problem is not error and problem.message != str(error):
        logger.warning("request refused", error=problem.error, reason=str(error))
    return problem_response(problem)


async def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    del request
    found = error.errors() if isinstance(error, RequestValidationError) else []
    fields = [{"field": ".".join(map(str, one["loc"])), "reason": str(one["msg"])} for one in found]
    return problem_response(invalid_request(fields))


def invalid_request(fields: list[dict[str, str]]) -> Problem:
    """422 that names each field and its reason, and repeats no value."""
    listed = "; ".join(f"{one['field']}: {one['reason']}" for one in fields)
    message = f"The request is not valid: {listed}. Correct it and send it again."
    return Problem(422, "invalid_request", message, {"fields": fields})


_HTTP_PROBLEMS = {
    404: ("not_found", "There is nothing at this address. GET / lists the addresses there are."),
    405: (
        "method_not_allowed",
        "This address does not take this method. GET / lists those it does.",
    ),
}


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, HTTPException):
        raise error
    name, message = _HTTP_PROBLEMS.get(error.status_code, ("http_error", str(error.detail)))
    response = problem_response(Problem(error.status_code, name, message))
    response.headers.update(error.headers or {})
    return response
