"""Tasks that keep a ledger: each start and each end of a run is written to a Redis of its own.

The same module runs under Laneway and under stock Celery, so it knows Celery's own words alone.
A line is `EVENT ID MONOTONIC_S WORKER PID`; CLOCK_MONOTONIC is one for all processes of a machine,
and no skewed clock touches it. `FAULTS_LEDGER_URL` says where, `FAULTS_WORKER` who writes.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import shared_task
from redis.backoff import ConstantBackoff
from redis.retry import Retry

EVENTS_KEY = "events"

_clients: dict[int, "redis.Redis"] = {}


def record(event: str, task_id: str) -> None:
    """Write a line; it is in the ledger when this returns, however long a network was cut."""
    environment = os.environ  # noqa: TID251 - the tests' own variables
    pid = os.getpid()
    if pid not in _clients:  # after a fork, a connection of its own
        _clients.clear()
        _clients[pid] = redis.Redis.from_url(
            environment["FAULTS_LEDGER_URL"],
            retry=Retry(ConstantBackoff(0.2), -1),
            retry_on_error=[redis.ConnectionError, redis.TimeoutError],
            socket_timeout=2,
            socket_connect_timeout=2,
        )
    line = f"{event} {task_id} {time.monotonic():.6f} {environment['FAULTS_WORKER']} {pid}"
    _clients[pid].rpush(EVENTS_KEY, line)


@contextmanager
def recorded(task_id: str) -> Iterator[None]:
    """Write down that a run begins, and how it ends if it does."""
    record("start", task_id)
    try:
        yield
    except BaseException:
        record("fail", task_id)
        raise
    record("done", task_id)


@shared_task(name="faults.work", bind=True, ignore_result=True)
def work(self: Any, seconds: float = 0.0, padding: str = "") -> None:
    """Works for so long; `padding` makes the message as large as wanted."""
    del padding
    with recorded(self.request.id):
        if seconds:
            time.sleep(seconds)


@shared_task(name="faults.answer", bind=True, ignore_result=False)
def answer(self: Any, seconds: float = 0.0) -> str:
    """As `work`, with a result: so that a failure before its first line can be seen."""
    with recorded(self.request.id):
        time.sleep(seconds)
    return "done"


@shared_task(name="faults.crash", bind=True, ignore_result=True)
def crash(self: Any) -> None:
    """Takes its process along, as a fault of a C library does."""
    record("start", self.request.id)
    os.kill(os.getpid(), signal.SIGSEGV)


@shared_task(name="faults.hog", bind=True, ignore_result=True)
def hog(self: Any) -> None:
    """Takes memory until the kernel takes it down."""
    record("start", self.request.id)
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1)) * 2**24)


@shared_task(name="faults.kill_worker", bind=True, ignore_result=True)
def kill_worker(self: Any) -> None:
    """Takes its whole worker along, as the kernel does with a container out of memory."""
    record("start", self.request.id)
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
