"""Looking after a lane that has no worker: what is due, and what workers held that are gone."""

import time
from dataclasses import dataclass

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.commands import MOST_AT_ONCE, tend_keys
from laneway.tasks.broker.link import COMING_BACK_S
from laneway.tasks.broker.scripting import run


@dataclass(frozen=True)
class Recovered:
    """What went back to a lane, and what waits there now.

    `due` are delayed messages whose time had come, `recovered` those that workers held which are
    gone; `next_due_at_s` is when the next delayed one is due, None if there is none.
    """

    due: int = 0
    recovered: int = 0
    ready: int = 0
    next_due_at_s: float | None = None


def recover_lane(
    client: "redis.Redis", lane: str, *, patience_s: float = COMING_BACK_S
) -> Recovered:
    """Do for a lane what its workers do for each other, so that without any it strands nothing.

    A worker whose lease has run out may be alive all the same, if it was Redis that was away: it is
    called gone when its lease is still out `patience_s` later. Where no lease has run out, nothing
    waits.

    Args:
        client: of the lane's broker.
        lane: its name.
        patience_s: 0 for who knows by other means that the lane has no worker.
    """
    gone = patience_s <= 0
    if not gone and _expired(client, lane):
        time.sleep(patience_s)
        gone = True
    found = Recovered()
    while True:
        step = _tend(client, lane, asked_ms=_now_ms(client) if gone else 0)
        moved = step.due + step.recovered
        found = Recovered(
            found.due + step.due, found.recovered + step.recovered, step.ready, step.next_due_at_s
        )
        if moved < MOST_AT_ONCE and not (gone and moved and _expired(client, lane)):
            return found


def _tend(client: "redis.Redis", lane: str, asked_ms: int) -> Recovered:
    """One step of `tend.lua`, as nobody; with 0 nobody is called gone."""
    nobody, no_lease_ms = ("", 0), 0
    arguments = (*nobody, no_lease_ms, MOST_AT_ONCE, asked_ms)
    reply = run(client, "tend", tend_keys(lane, keys.ready_lists(lane)), arguments)
    _, due, recovered, next_ms, ready, _ = map(int, reply)
    return Recovered(due, recovered, ready, next_ms / 1000 if next_ms >= 0 else None)


def _expired(client: "redis.Redis", lane: str) -> bool:
    """Whether a worker's lease has run out."""
    return bool(client.zcount(keys.leases(lane), "-inf", f"({_now_ms(client)}"))


def _now_ms(client: "redis.Redis") -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000
