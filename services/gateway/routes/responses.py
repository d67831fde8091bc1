"""The refusals an endpoint describes in the OpenAPI document."""

from typing import Any

from laneway.services.gateway.problems import ProblemBody

_MEANING = {
    400: "The body is not the JSON that is wanted.",
    401: "No bearer token, or an unknown one.",
    403: "The token does not allow this.",
    404: "No such task or queue.",
    408: "The body did not arrive in time.",
    409: "In conflict with what is there: the idempotency key, or the collection's model.",
    413: "Too large.",
    415: "The body's type is not supported.",
    422: "The request or the payload is not valid; names each field and its reason.",
    429: "The lane is full. Retry after Retry-After.",
    500: "The gateway failed; names a reference into its log.",
    503: "Redis, the store or the gateway cannot serve now. Retry after Retry-After.",
    507: "The store is full.",
}

READ = (401, 403, 404, 422, 503)
WRITE = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions for FastAPI's `responses`."""
    return {
        status: {"model": ProblemBody, "description": _MEANING[status]}
        for status in (*statuses, 500)
    }
