"""The tasks as Celery runs them, in a process of its own, over S3 and Redis."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker.s3_server import S3Server
from laneway.services.local.samples import FOLDER, SAMPLES
from laneway.tasks.builtin import BUILTIN_TASKS
from redis_server import RedisServer

pytestmark = pytest.mark.broker

RUN = """
import json, sys
from importlib import import_module
from laneway.tasks.app import get_app

module, name, payload = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
import_module(module)
app = get_app()
result = app.tasks[name].apply(kwargs=payload)
last = app.AsyncResult(result.id)  # what the task itself reported: eager runs store nothing else
value = result.result if result.successful() else [type(result.result).__name__, str(result.result)]
json.dump({"state": result.state, "value": value, "seen": [last.state, last.info]}, sys.stdout)
"""

BUSY = """
from laneway.tasks.broker.locks import exclusive
from laneway.tasks.settings import current_settings
with exclusive(current_settings(), "rag.index_collection:default", 60):
""" + "".join(f"    {line}\n" for line in RUN.strip().splitlines())


TWICE = """
import json, sys
from importlib import import_module
from laneway.tasks.app import get_app

module, name, payload = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
import_module(module)
app = get_app()
task = app.tasks[name]
begun, seconds, waits_s = [], [], []
retry = task.retry

def noted(**options):
    waits_s.append(options["countdown"])
    return retry(**options)

def interfere(state, meta):
    if meta["step"] == "storing" and not begun:
        begun.append(True)
        seconds.append(task.apply(kwargs=payload))

task.retry, app.on_state = noted, interfere
first = task.apply(kwargs=payload)
second = seconds[0].result
again = task.apply(kwargs=payload)
answer = {
    "states": [first.state, seconds[0].state, again.state],
    "error": [type(second).__name__, str(second)],
    "waits_s": waits_s,
    "chunks": [first.result["chunk_count"], again.result["chunk_count"]],
}
json.dump(answer, sys.stdout)
"""
"""A second run begins while the first one stores, and a third when that has ended."""


@pytest.fixture
def environment(s3_server: S3Server, redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    settings = s3_server.settings(tmp_path.name) | {
        "broker_url": redis_server.url,
        "document_roots": str(FOLDER),
    }
    inherited = {"PATH": os.defpath}
    return inherited | {f"LANEWAY_{name.upper()}": value for name, value in settings.items()}


def run(environment: dict[str, str], script: str, name: str, **payload: Any) -> Any:
    module = f"laneway.tasks.{name.partition('.')[0]}.tasks"
    command = [sys.executable, "-c", script, module, name, json.dumps(payload)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_document_is_processed_then_indexed_with_states_on_the_way(
    environment: dict[str, str],
) -> None:
    file_path = str(SAMPLES[0].path)
    processed = run(
        environment, RUN, "documents.process", file_path=file_path, user_id="ann", priority="high"
    )
    count = processed["value"].pop("chunk_count")
    assert processed["value"] == {
        "file_path": file_path,
        "user_id": "ann",
        "collection": "default",
        "status": "indexed",
    }
    state, meta = processed["seen"]
    assert state == "PROCESSING"
    assert meta["step"] == "storing"
    assert (meta["file"], meta["done"], meta["total"]) == (file_path, count, count)

    indexed = run(environment, RUN, "rag.index_collection", collection="default")
    assert indexed["value"]["rows"] == count
    assert indexed["seen"][0] == "INDEXING"


def test_a_collection_is_indexed_by_one_run_at_a_time(environment: dict[str, str]) -> None:
    refused = run(environment, BUSY, "rag.index_collection", collection="default")
    assert refused["state"] == "FAILURE"
    assert refused["value"][0] == "CollectionBusy"


def test_a_second_run_of_a_document_waits_for_the_first(environment: dict[str, str]) -> None:
    """Longer than a dead run's lease at first, and longer than any run lasts in all."""
    file_path = str(SAMPLES[0].path)
    twice = run(environment, TWICE, "documents.process", file_path=file_path, user_id="ann")
    assert twice["states"] == ["SUCCESS", "FAILURE", "SUCCESS"]
    assert twice["error"][0] == "DocumentUnavailable"
    assert "another run" in twice["error"][1]
    assert twice["waits_s"][:3] == [30, 120, 480]
    assert sum(twice["waits_s"][:3]) > BUILTIN_TASKS["documents.process"].time_limit_s
    assert twice["chunks"][0] == twice["chunks"][1]


def test_texts_are_embedded(environment: dict[str, str]) -> None:
    embedded = run(environment, RUN, "documents.embed", texts=["a cat", "a dog"])
    assert embedded["value"]["dimension"] == 384
    assert len(embedded["value"]["vectors"]) == 2


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"file_path": "/etc/passwd", "user_id": "ann"}, "PathNotAllowed"),
        ({"file_path": "/a", "user_id": "../ann"}, "InvalidPayload"),
    ],
)
def test_what_is_not_allowed_fails_at_once(
    environment: dict[str, str], payload: dict[str, str], error: str
) -> None:
    failed = run(environment, RUN, "documents.process", **payload)
    assert (failed["state"], failed["value"][0]) == ("FAILURE", error)
