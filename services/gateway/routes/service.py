"""The gateway's own state and pages: livez, readyz, metrics, and what the API is."""

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from laneway.observability.metrics import metrics_payload
from laneway.services.gateway.context import Here
from laneway.services.gateway.page import CONTENT_SECURITY_POLICY, render


def routes() -> APIRouter:
    """Service endpoints; they ask for no token."""
    router = APIRouter(tags=["service"])
    router.add_api_route("/livez", livez, response_class=PlainTextResponse)
    router.add_api_route(
        "/readyz",
        readyz,
        response_class=PlainTextResponse,
        responses={503: {"description": "Redis does not answer.", "content": {"text/plain": {}}}},
    )
    router.add_api_route("/metrics", metrics, response_class=PlainTextResponse)
    for path in ("/", "/docs"):
        router.add_api_route(path, page, response_class=HTMLResponse, include_in_schema=False)
    return router


async def livez() -> PlainTextResponse:
    """The process serves; says nothing of Redis."""
    return PlainTextResponse("ok\n")


async def readyz(gateway: Here) -> PlainTextResponse:
    """Redis answers, so that tasks can be accepted."""
    if gateway.streams.ending:
        return PlainTextResponse("the gateway is stopping\n", 503)
    if await gateway.readiness.ask():
        return PlainTextResponse("ok\n")
    return PlainTextResponse("Redis does not answer\n", 503)


async def metrics(request: Request, gateway: Here) -> Response:
    """Prometheus metrics; OpenMetrics when asked for."""
    accept = request.headers.get("accept")
    body, kind = await to_thread.run_sync(metrics_payload, gateway.metrics.registry, accept)
    return Response(body, media_type=kind)


async def page(request: Request) -> HTMLResponse:
    """The API, for people."""
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return HTMLResponse(render(request.app.openapi()), headers=headers)
