"""The producer of a stage: what it publishes goes into the ledger only once it is accepted."""

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from typing import Any
from uuid import uuid4

import redis
from celery import Celery

from faults.lane_state import LaneState
from faults.ledger import Ledger

AWAY = (redis.exceptions.RedisError, OSError)
"""What a client meets while Redis is away, full, or cuts it off."""

TOP_UP_S = 0.05


class Publisher:
    """Publishes to one lane, one by one with the arm's own producer or copies by the hundred.

    Nothing is tried twice: a publish that got no answer is unsure, so it is not accepted, and a
    second try of its id might put it there twice.
    """

    def __init__(self, app: Celery, client: "redis.Redis", lane: str, ledger: Ledger) -> None:
        self.refused = 0
        self._app = app
        self._client = client
        self._lane = lane
        self._ledger = ledger
        # A message as the arm's producer makes it, from a lane that nobody serves yet.
        app.send_task("faults.work", queue=lane, ignore_result=True)
        self._template: bytes = client.rpop(lane)

    def send(self, task: str, kwargs: dict[str, Any], options: dict[str, Any]) -> str | None:
        """Publish with the producer; the id, or None if it was refused or is unsure."""
        task_id = str(uuid4())
        given = {"queue": self._lane, "ignore_result": True, "retry": False, **options}
        try:
            self._app.send_task(task, kwargs=kwargs, task_id=task_id, **given)
        except Exception:  # noqa: BLE001 - whatever a producer raises, it did not accept
            self.refused += 1
            return None
        self._ledger.accept(task_id)
        return task_id

    def bulk(self, count: int, task: str, kwargs: dict[str, Any], **headers: Any) -> list[str]:
        """Publish copies; no ids if Redis refused them or did not answer."""
        ids = [str(uuid4()) for _ in range(count)]
        return ids if self.push({i: self.copy(i, task, kwargs, **headers) for i in ids}) else []

    def push(self, entries: dict[str, str | bytes]) -> bool:
        """Put entries on the lane as they are, by the id under which they are accounted for."""
        try:
            self._client.lpush(self._lane, *entries.values())
        except AWAY:
            self.refused += len(entries)
            return False
        self._ledger.accept(*entries)
        return True

    def copy(self, task_id: str, task: str, kwargs: dict[str, Any], **headers: Any) -> str:
        """A message as it lies in the lane's list."""
        message: dict[str, Any] = json.loads(self._template)
        message["headers"].update(id=task_id, root_id=task_id, task=task, **headers)
        message["properties"].update(correlation_id=task_id, delivery_tag=str(uuid4()))
        embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        message["body"] = base64.b64encode(json.dumps([[], kwargs, embed]).encode()).decode()
        return json.dumps(message)

    @contextmanager
    def load(self, state: LaneState, floor: int, seconds: Sequence[float]) -> Iterator[None]:
        """Keep the lane from running dry meanwhile: `floor` more whenever fewer are ready.

        Their tasks take turns in how many seconds they work.
        """
        over = threading.Event()

        def top_up() -> None:
            while not over.wait(TOP_UP_S):
                with suppress(*AWAY):
                    if state.ready(self._client, self._lane) < floor:
                        turns = islice(cycle(seconds), floor)
                        entries = {str(uuid4()): {"seconds": each} for each in turns}
                        self.push({i: self.copy(i, "faults.work", k) for i, k in entries.items()})

        thread = threading.Thread(target=top_up, name="load", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        """Close the producer's connections."""
        self._app.close()
