"""The demonstration: real documents and a real mail, through the platform's own doors."""

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from laneway.services.local.platform import Platform
from laneway.services.local.samples import SAMPLES, Sample

WAIT_LIMIT_S = 120.0
POLL_S = 0.3
USER = "demo"
COLLECTION = "demo"
MAIL = {
    "to": "reader@example.org",
    "subject": "Your documents are indexed",
    "body": "Three documents can be searched now.\n",
}


@dataclass(frozen=True)
class Step:
    """One task of the demonstration and what became of it."""

    lane: str
    task: str
    what: str
    state: str
    shown: str
    succeeded: bool


class _Stopped(Exception):
    """The demonstration was told to end."""


def demonstrate(platform: Platform, console: Console, stop: Event) -> bool:
    """Process the samples, find a sentence of each, send a mail.

    Returns:
        True if all of it worked, False if not, or if `stop` was set before its end.
    """
    gateway = platform.addresses.gateway
    try:
        steps = _steps(platform, console, stop)
    except _Stopped:
        console.print("The demonstration is cut short.")
        return False
    console.print(_table(steps))
    console.print(_lanes(gateway))
    return all(step.succeeded for step in steps)


def _steps(platform: Platform, console: Console, stop: Event) -> list[Step]:
    gateway = platform.addresses.gateway
    _pause(stop, 0)
    submitted = [(sample, _upload(gateway, sample)) for sample in SAMPLES]
    mail_id = _submit(gateway, "notifications", "notifications.send_email", MAIL)
    console.print(f"Submitted {len(submitted)} documents and a mail; waiting for them …")
    return [
        *(_document(gateway, sample, task_id, stop) for sample, task_id in submitted),
        _index(gateway, stop),
        _mail(platform, mail_id, stop),
    ]


def _table(steps: list[Step]) -> Table:
    table = Table(title="What was demonstrated", title_justify="left")
    for column in ("lane", "task", "of", "state", "shown by"):
        table.add_column(column, overflow="fold")
    for step in steps:
        state = Text(step.state, "green" if step.succeeded else "red")
        table.add_row(step.lane, step.task, Text(step.what), state, Text(step.shown))
    return table


def _document(gateway: str, sample: Sample, task_id: str, stop: Event) -> Step:
    status = _await(gateway, task_id, stop)
    query = urllib.parse.urlencode({"q": sample.sentence, "collection": COLLECTION, "limit": 3})
    hits = _call("GET", f"{gateway}/v1/search?{query}")["hits"] if _succeeded(status) else []
    found = any(sample.sentence in " ".join(str(hit["text"]).split()) for hit in hits)
    shown = f"found: “{sample.sentence}”" if found else f"NOT FOUND: “{sample.sentence}”"
    return Step(
        lane="documents",
        task="documents.process",
        what=sample.filename,
        state=str(status["state"]),
        shown=shown if _succeeded(status) else str(status.get("error")),
        succeeded=found,
    )


def _index(gateway: str, stop: Event) -> Step:
    task = "rag.index_collection"
    task_id = _submit(gateway, "documents", task, {"collection": COLLECTION})
    status = _await(gateway, task_id, stop)
    shown = f"{(status.get('result') or {}).get('rows', 0)} chunks indexed"
    return Step(
        lane="documents",
        task=task,
        what=COLLECTION,
        state=str(status["state"]),
        shown=shown if _succeeded(status) else str(status.get("error")),
        succeeded=_succeeded(status),
    )


def _mail(platform: Platform, task_id: str, stop: Event) -> Step:
    status = _await(platform.addresses.gateway, task_id, stop)
    mail = _find_mail(Path(platform.addresses.mails), task_id, stop)
    return Step(
        lane="notifications",
        task="notifications.send_email",
        what=MAIL["to"],
        state=str(status["state"]),
        shown=f"arrived: {mail.name}" if mail else f"NOT ARRIVED: {status.get('error')}",
        succeeded=_succeeded(status) and mail is not None,
    )


def _find_mail(folder: Path, task_id: str, stop: Event) -> Path | None:
    """The mail whose Message-ID holds the task's id."""
    deadline_s = time.monotonic() + WAIT_LIMIT_S / 10
    while time.monotonic() < deadline_s:
        for mail in folder.glob("*.eml"):
            if task_id in mail.read_text(errors="replace"):
                return mail
        _pause(stop, POLL_S)
    return None


def _succeeded(status: dict[str, Any]) -> bool:
    return bool(status["state"] == "SUCCESS")


def _upload(gateway: str, sample: Sample) -> str:
    content = files("laneway.services.local.samples").joinpath(sample.filename).read_bytes()
    query = urllib.parse.urlencode(
        {
            "filename": sample.filename,
            "user_id": USER,
            "process": "true",
            "collection": COLLECTION,
        }
    )
    answer = _call("POST", f"{gateway}/v1/documents?{query}", content, "application/octet-stream")
    return str(answer["task_id"])


def _submit(gateway: str, queue: str, task: str, kwargs: dict[str, str]) -> str:
    body = json.dumps({"task": task, "kwargs": kwargs}).encode()
    return str(_call("POST", f"{gateway}/v1/queues/{queue}/tasks", body)["task_id"])


def _await(gateway: str, task_id: str, stop: Event) -> dict[str, Any]:
    deadline_s = time.monotonic() + WAIT_LIMIT_S
    while True:
        status = _call("GET", f"{gateway}/v1/tasks/{task_id}")
        if status["state"] in {"SUCCESS", "FAILURE", "REVOKED"}:
            return status
        if time.monotonic() > deadline_s:
            return {**status, "error": f"not ended after {WAIT_LIMIT_S:.0f} s"}
        _pause(stop, POLL_S)


def _pause(stop: Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise _Stopped


def _lanes(gateway: str) -> Table:
    table = Table(title="Lanes", title_justify="left")
    for column in ("lane", "concurrency", "ready", "in flight", "dead letters"):
        table.add_column(column)
    for lane in _call("GET", f"{gateway}/v1/queues")["queues"]:
        cells = (lane["queue"], lane["concurrency"], lane["ready"], lane["in_flight"], lane["dead"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _call(
    method: str, url: str, body: bytes | None = None, content_type: str = "application/json"
) -> dict[str, Any]:
    request = urllib.request.Request(
        url, data=body, method=method, headers={"Content-Type": content_type}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))
