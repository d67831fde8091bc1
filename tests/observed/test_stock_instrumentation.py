"""A stock producer with Celery's own OpenTelemetry instrumentation: its trace goes on in the lane."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lane_client import write_catalogue
from observed.servers import running_collector
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.observed

LANE = "stock"
PRODUCER = """
import json, sys
from celery import Celery
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
CeleryInstrumentor().instrument()
app = Celery(broker=sys.argv[1])
with trace.get_tracer("shop").start_as_current_span("order") as span:
    sent = app.send_task("lane.add", (1, 2), queue=sys.argv[2])
    print(json.dumps({"id": sent.id, "trace": format(span.get_span_context().trace_id, "032x")}))
assert not any(name.split(".")[0] == "laneway" for name in sys.modules)
"""


def test_a_trace_of_celerys_own_instrumentation_goes_on(
    otelcol: Path, module_redis, tmp_path: Path
):
    catalogue = write_catalogue(tmp_path, stock={"concurrency": 1})
    with running_collector(otelcol, tmp_path / "collector") as collector:
        settings = {"queues_file": str(catalogue), "otlp_endpoint": collector.url}
        with running_worker(LANE, tmp_path, module_redis.url, **settings):
            done = subprocess.run(
                [sys.executable, "-c", PRODUCER, module_redis.url, LANE],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            sent = json.loads(done.stdout)
            wait_for(lambda: collector.named("run lane.add"), "the spans")
            [attempt] = collector.named(f"process {LANE}")
            [run] = collector.named("run lane.add")
            assert attempt["attributes"]["messaging.message.id"] == sent["id"]
            assert attempt["traceId"] == run["traceId"] == sent["trace"]
