"""What the doors accepted: one record a task, and the idempotency keys that lead to it.

An idempotency key is claimed before the message is published and confirmed after. A claim that
was never confirmed, since its process died in between, is taken over by the next caller with the
same task id: the task may be published twice under one id, but an answered id was published.
"""

import time
from dataclasses import dataclass
from typing import cast

import redis
from redis.exceptions import ResponseError

from laneway.tasks.broker import keys
from laneway.tasks.errors import IdempotencyConflict

KEPT_S = 86_400
"""How long a record and an idempotency key are remembered."""

_POLL_S = 0.02

_CLAIM = """
local digest, id, state, at = unpack(redis.call('HMGET', KEYS[1], 'digest', 'id', 'state', 'at'))
local now = redis.call('TIME')[1]
local abandoned = state == 'released' or (state == 'claimed' and now - at >= tonumber(ARGV[4]))
if not digest or (digest == ARGV[1] and abandoned) then
  id = id or ARGV[2]
  redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'id', id, 'state', 'claimed', 'at', now)
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  return {ARGV[1], id, 'yours'}
end
return {digest, id, state}
"""


@dataclass(frozen=True)
class Durability:
    """How safe an accepted message is. `level` is what was reached: memory, replica or fsync.

    `reason` says why it is less than requested.
    """

    requested: str = "memory"
    level: str = "memory"
    replicas: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Claim:
    """The task id behind an idempotency key. `mine` says whether the caller is to publish it."""

    task_id: str
    mine: bool


def claim_key(
    client: "redis.Redis", key: str, request_digest: str, task_id: str, claim_s: int
) -> Claim:
    """Claim an idempotency key, or learn whose it is; waits for one that is being confirmed.

    Args:
        client: of the broker.
        key: the key, unique to its owner.
        request_digest: what makes two requests the same.
        task_id: the id to use if the claim succeeds.
        claim_s: after how many seconds an unconfirmed claim belongs to a dead process.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    arguments = (keys.idempotency(key), request_digest, task_id, KEPT_S, claim_s)
    while True:
        digest, known_id, state = client.eval(_CLAIM, 1, *arguments)
        if digest != request_digest:
            raise IdempotencyConflict(
                "This idempotency key was used within the last day for another request. Send the "
                "same request again, or choose another key."
            )
        if state != "claimed":
            return Claim(task_id=str(known_id), mine=state == "yours")
        time.sleep(_POLL_S)


def release_key(client: "redis.Redis", key: str) -> None:
    """Let the next caller take a claim over: its publish failed, or nobody knows whether it did."""
    client.hset(keys.idempotency(key), "state", "released")


def record(
    client: "redis.Redis", task_id: str, fields: dict[str, str], key: str | None = None
) -> None:
    """Note an accepted task, and confirm the key that led to it."""
    with client.pipeline() as pipe:
        pipe.hset(
            keys.submission(task_id), items=[part for pair in fields.items() for part in pair]
        )
        pipe.expire(keys.submission(task_id), KEPT_S)
        if key is not None:
            pipe.hset(keys.idempotency(key), "state", "accepted")
        pipe.execute()


def read_record(client: "redis.Redis", task_id: str) -> dict[str, str]:
    """What was noted of a task; empty for one that passed no door of ours."""
    noted = client.hgetall(keys.submission(task_id))
    return {str(name): str(value) for name, value in noted.items()}


def wait_until_safe(client: "redis.Redis", requested: str, wait_ms: int) -> Durability:
    """Wait until all writes so far are as safe as requested, and say what was reached.

    Replication and the append-only file keep their order. So once a write made on this
    connection after the publish is safe, the message, published on another one, is safe too.

    Args:
        client: of the broker.
        requested: memory, replica (one replica has it) or fsync (this server's disk has it).
        wait_ms: longest wait.
    """
    if requested == "memory":
        return Durability()
    with cast("redis.Redis", client.client()) as connection:  # type: ignore[no-untyped-call]
        connection.incr(keys.durability_fence())
        if requested == "replica":
            replicas = int(connection.wait(1, wait_ms))
            if not replicas:
                return Durability(requested, reason=f"no replica had it within {wait_ms} ms")
            return Durability(requested, "replica", replicas)
        try:
            local, replicas = connection.execute_command("WAITAOF", 1, 0, wait_ms)
        except ResponseError as error:
            return Durability(requested, reason=f"{error}; it takes Redis 7.2 with appendonly yes")
        if not local:
            return Durability(requested, reason=f"the disk had it not within {wait_ms} ms")
        return Durability(requested, "fsync", int(replicas))
