"""The demonstration: real documents and a real mail, through the doors of a running platform."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from laneway.services.local.gateway_client import GatewayClient, GatewayRefused
from laneway.services.local.platform import Platform
from laneway.services.local.samples import SAMPLES, Sample
from laneway.tasks.settings import Settings

WAIT_LIMIT_S = 120.0
POLL_S = 0.3
USER = "demo"
COLLECTION = "demo"
SUBJECT = "Your documents are indexed"
BODY = "Three documents can be searched now.\n"


@dataclass(frozen=True)
class Place:
    """A running platform, and what is to be shown of it.

    `mails` is the folder of its mail sink, if it can be seen from here. `send` publishes a task as a
    stock Celery producer does, by the queue's name, and returns its id; None leaves that out.
    `wait_s` bounds the whole of it, seconds.
    """

    gateway: str
    token: str | None = None
    mails: Path | None = None
    mail_to: str = "reader@example.org"
    wait_s: float = WAIT_LIMIT_S
    send: Callable[[str, str, dict[str, Any]], str] | None = None


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


def demonstrate(place: Place, console: Console, stop: Event) -> bool:
    """Process the samples, find a sentence of each, send a mail.

    Returns:
        True if all of it worked, False if not, or if `stop` was set before its end.
    """
    visit = _Visit(place, stop)
    try:
        steps = visit.steps(console)
        lanes = visit.lanes()
    except _Stopped:
        console.print("The demonstration is cut short.")
        return False
    except GatewayRefused as refusal:
        console.print(str(refusal), style="red")
        return False
    console.print(_table(steps))
    console.print(_lanes(lanes))
    return all(step.succeeded for step in steps)


def demonstrate_here(platform: Platform, console: Console, stop: Event) -> bool:
    """`demonstrate` on the platform of this machine, whose mails can be seen."""
    where = platform.addresses
    place = Place(where.gateway, mails=Path(where.mails), wait_s=WAIT_LIMIT_S)
    return demonstrate(place, console, stop)


class _Visit:
    """One demonstration at one place."""

    def __init__(self, place: Place, stop: Event) -> None:
        self._place = place
        self._stop = stop
        self._gateway = GatewayClient(place.gateway, place.token)
        self._deadline_s = time.monotonic() + place.wait_s

    def steps(self, console: Console) -> list[Step]:
        """Submit everything, then see what became of each."""
        self._pause(0)
        documents = [(sample, self._upload(sample)) for sample in SAMPLES]
        mail = {"to": self._place.mail_to, "subject": SUBJECT, "body": BODY}
        doors: list[tuple[str, Callable[..., str]]] = [("the gateway", self._gateway.submit)]
        if self._place.send is not None:
            doors.append(("stock Celery", self._place.send))
        mails = [
            (door, send("notifications", "notifications.send_email", mail)) for door, send in doors
        ]
        console.print(f"Submitted {len(documents)} documents and a mail; waiting for them …")
        return [
            *(self._document(sample, task_id) for sample, task_id in documents),
            *(self._index(door, send) for door, send in doors),
            *(self._mail(door, task_id) for door, task_id in mails),
        ]

    def lanes(self) -> list[dict[str, Any]]:
        """The lanes as the gateway tells them."""
        return list(self._gateway.call("GET", "/v1/queues")["queues"])

    def _upload(self, sample: Sample) -> str:
        content = files("laneway.services.local.samples").joinpath(sample.filename).read_bytes()
        options = {"user_id": USER, "process": "true", "collection": COLLECTION}
        return self._gateway.upload(sample.filename, content, **options)

    def _document(self, sample: Sample, task_id: str) -> Step:
        status = self._await(task_id)
        found = False
        if _succeeded(status):
            hits = self._gateway.search(sample.sentence, collection=COLLECTION, limit=3)
            found = any(sample.sentence in " ".join(str(hit["text"]).split()) for hit in hits)
        shown = f"found: “{sample.sentence}”" if found else f"NOT FOUND: “{sample.sentence}”"
        return _step("documents", "documents.process", sample.filename, status, shown, found)

    def _index(self, door: str, send: Callable[..., str]) -> Step:
        task = "rag.index_collection"
        status = self._await(send("documents", task, {"collection": COLLECTION}))
        shown = f"{(status.get('result') or {}).get('rows', 0)} chunks indexed"
        return _step("documents", task, f"{COLLECTION}, by {door}", status, shown)

    def _mail(self, door: str, task_id: str) -> Step:
        status = self._await(task_id)
        what, found = f"{self._place.mail_to}, by {door}", _succeeded(status)
        shown = "taken by the mail server"
        if self._place.mails is not None:
            mail = self._find_mail(self._place.mails, task_id)
            found = found and mail is not None
            shown = f"arrived: {mail.name}" if mail else f"NOT ARRIVED: {status.get('error')}"
        return _step("notifications", "notifications.send_email", what, status, shown, found)

    def _find_mail(self, folder: Path, task_id: str) -> Path | None:
        """The mail whose Message-ID holds the task's id."""
        deadline_s = time.monotonic() + self._place.wait_s / 10
        while time.monotonic() < deadline_s:
            for mail in folder.glob("*.eml"):
                if task_id in mail.read_text(errors="replace"):
                    return mail
            self._pause(POLL_S)
        return None

    def _await(self, task_id: str) -> dict[str, Any]:
        while True:
            status = self._gateway.status(task_id)
            if status["state"] in {"SUCCESS", "FAILURE", "REVOKED"}:
                return status
            if time.monotonic() > self._deadline_s:
                return {**status, "error": f"not ended after {self._place.wait_s:.0f} s"}
            self._pause(POLL_S)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped


def celery_sender(settings: Settings) -> Callable[[str, str, dict[str, Any]], str]:
    """A producer that knows Celery alone; see `Place.send`."""
    from celery import Celery

    from laneway.tasks.broker.options import kombu_broker, tls_options
    from laneway.tasks.broker.sentinel import kombu_options

    access = settings.own_access
    app = Celery(set_as_current=False)
    app.conf.update(
        broker_url=kombu_broker(access.url_with_password),
        broker_transport_options=kombu_options(access.url),
        broker_use_ssl=tls_options(settings, access.url),
    )

    def send(queue: str, task: str, kwargs: dict[str, Any]) -> str:
        return str(app.send_task(task, kwargs=kwargs, queue=queue).id)

    return send


def _step(
    lane: str, task: str, what: str, status: dict[str, Any], shown: str, found: bool | None = None
) -> Step:
    """A step that worked if its task did, and what is to be found was."""
    done = _succeeded(status)
    return Step(
        lane=lane,
        task=task,
        what=what,
        state=str(status["state"]),
        shown=shown if done else str(status.get("error")),
        succeeded=done if found is None else found,
    )


def _succeeded(status: dict[str, Any]) -> bool:
    return bool(status["state"] == "SUCCESS")


def _table(steps: list[Step]) -> Table:
    table = Table(title="What was demonstrated", title_justify="left")
    for column in ("lane", "task", "of", "state", "shown by"):
        table.add_column(column, overflow="fold")
    for step in steps:
        state = Text(step.state, "green" if step.succeeded else "red")
        table.add_row(step.lane, step.task, Text(step.what), state, Text(step.shown))
    return table


def _lanes(lanes: list[dict[str, Any]]) -> Table:
    table = Table(title="Lanes", title_justify="left")
    for column in ("lane", "concurrency", "ready", "in flight", "dead letters"):
        table.add_column(column)
    for lane in lanes:
        cells = (lane["queue"], lane["concurrency"], lane["ready"], lane["in_flight"], lane["dead"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
