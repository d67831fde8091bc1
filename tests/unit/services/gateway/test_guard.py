"""Around every request: no naked error, and no more at once than can be served."""

import asyncio

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from laneway.observability.metrics import Metrics
from laneway.services.gateway import guard
from laneway.services.gateway.guard import Guard

pytestmark = pytest.mark.unit


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def counted(metrics: Metrics, route: str, status: int) -> float | None:
    labels = {"method": "GET", "route": route, "status": str(status)}
    return metrics.registry.get_sample_value("laneway_http_requests_total", labels)


def test_an_error_nobody_foresaw_is_answered_with_a_reference(metrics, capsys, caplog) -> None:
    def fail() -> None:
        raise KeyError("payload-s3cr3t")

    api = FastAPI()
    api.add_api_route("/v1/fail", fail)
    api.add_middleware(Guard, metrics=metrics)
    answer = TestClient(api).get("/v1/fail")

    assert answer.status_code == 500
    reference = answer.json()["details"]["reference"]
    logged = capsys.readouterr().out + caplog.text
    assert reference in logged
    assert "KeyError" in logged
    assert "test_guard.py" in logged
    assert "s3cr3t" not in logged + answer.text
    assert counted(metrics, "/v1/fail", 500) == 1


def test_a_request_too_many_is_turned_away_but_health_is_not(metrics) -> None:
    async def ok() -> str:
        await asyncio.sleep(0)
        return "ok"

    api = FastAPI()
    for path in ("/v1/work", "/livez"):
        api.add_api_route(path, ok)
    api.add_middleware(Guard, metrics=metrics, most=0)
    client = TestClient(api)

    answer = client.get("/v1/work")
    assert (answer.status_code, answer.json()["error"]) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert client.get("/livez").status_code == 200


def test_every_answer_is_kept_by_nobody(metrics) -> None:
    api = FastAPI()
    api.add_middleware(Guard, metrics=metrics)
    answer = TestClient(api).get("/nothing")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert counted(metrics, "none", 404) == 1


def test_a_client_that_leaves_is_counted_as_gone(metrics) -> None:
    async def leaves(*_: object) -> None:
        raise guard.ClientDisconnect

    async def unused(*_: object) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/v1/x"}
    asyncio.run(Guard(leaves, metrics)(scope, unused, unused))
    assert counted(metrics, "none", guard.CLIENT_GONE) == 1
