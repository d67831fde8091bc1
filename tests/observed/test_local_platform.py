"""`make run OBSERVE=1` as a process: its Prometheus sees every part, its collector every span."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from observed.servers import read_spans

pytestmark = [pytest.mark.observed, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "laneway" / "files" / "rules"
STEPS = ("extracting", "chunking", "embedding", "storing")


@pytest.fixture(scope="module")
def spans(prometheus: Path, otelcol: Path, tmp_path_factory):
    """What was written of a demonstration, each span with its attributes as a map."""
    folder = tmp_path_factory.mktemp("observed")
    programs = folder / "programs"
    programs.mkdir()
    for program in (prometheus, otelcol):
        (programs / program.name).symlink_to(program.resolve())
    words = ["demo", "--once", "--data", folder / "data", "--observe", programs, "--rules", RULES]
    done = subprocess.run(
        [sys.executable, "-m", "laneway.services.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return read_spans(folder / "data" / "observed" / "spans.jsonl")


def test_a_documents_trace_shows_its_steps_with_sizes(spans):
    attempt = next(
        span
        for span in spans
        if span["name"].startswith("process ")
        and span["attributes"]["celery.task.name"] == "documents.process"
    )
    trace = [span for span in spans if span["traceId"] == attempt["traceId"]]
    names = Counter(span["name"] for span in trace)
    assert set(STEPS) <= set(names)
    run = next(span for span in trace if span["name"] == "run documents.process")
    assert run["parentSpanId"] == attempt["spanId"]
    steps = {name: next(s for s in trace if s["name"] == name) for name in STEPS}
    assert {step["parentSpanId"] for step in steps.values()} == {run["spanId"]}
    assert int(steps["chunking"]["attributes"]["celery.step.text_length"]) > 0
    assert int(steps["storing"]["attributes"]["celery.step.chunk_count"]) > 0


def test_a_task_submitted_over_http_is_in_the_gateways_trace(spans):
    submits = {span["traceId"] for span in spans if span["name"].startswith("submit ")}
    attempts = {span["traceId"] for span in spans if span["name"].startswith("process ")}
    assert submits & attempts
