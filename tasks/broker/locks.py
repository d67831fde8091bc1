"""A lock that one process of a fleet holds at a time and that a dead holder loses."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from laneway.tasks.broker import keys
from laneway.tasks.broker.client import broker_client, reaching
from laneway.tasks.settings import Settings


class LockHeld(Exception):
    """Somebody else holds the lock."""


@contextmanager
def exclusive(settings: Settings, name: str, lease_s: float) -> Iterator[None]:
    """Hold the lock `name` for the block, renewing its lease of `lease_s` seconds every third.

    Raises:
        LockHeld: another process holds it.
        BrokerUnavailable: Redis cannot be reached.
    """
    held = Lock(broker_client(settings), keys.lock(name), timeout=lease_s, thread_local=False)
    with reaching(settings.broker):
        if not held.acquire(blocking=False):
            raise LockHeld(name)
    done = Event()
    renewing = Thread(target=_renew, args=(held, done, lease_s / 3), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        _release(held)


def _renew(held: Lock, done: Event, interval_s: float) -> None:
    while not done.wait(interval_s):
        try:
            held.reacquire()
        except LockError:
            return  # lost for good: the next holder may already be at work
        except RedisError:
            continue  # Redis is away for a moment: the lease may outlast it


def _release(held: Lock) -> None:
    try:
        held.release()
    except (LockError, RedisError):
        return  # the lease ends by itself
