"""What the doors accepted: one record a task, and the idempotency keys that lead to it.

An idempotency key is claimed before the message is published and confirmed after. A claim that
was never confirmed, since its process died in between, is taken over by the next caller with the
same task id: the task may be published twice under one id, but an answered id was published.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import NamedTuple, cast

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
_CLAIM_DIGEST = sha1(_CLAIM.encode(), usedforsecurity=False).hexdigest()


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


class Wanted(NamedTuple):
    """An idempotency key to be claimed.

    The key is unique to its owner, the digest is what makes two requests the same, and the task id
    is the one to use if the claim succeeds.
    """

    key: str
    digest: str
    task_id: str


class Accepted(NamedTuple):
    """An accepted task: what is noted of it, and the key that led to it."""

    task_id: str
    fields: dict[str, str]
    key: str | None = None


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
    while True:
        [claim] = claim_keys(client, [Wanted(key, request_digest, task_id)], claim_s)
        if isinstance(claim, IdempotencyConflict):
            raise claim
        if claim is not None:
            return claim
        time.sleep(_POLL_S)


def claim_keys(
    client: "redis.Redis", wanted: Sequence[Wanted], claim_s: int
) -> list[Claim | IdempotencyConflict | None]:
    """Claim keys in one round trip; None for one that somebody else is about to confirm."""
    with client.pipeline(transaction=False) as pipe:
        for number, one in enumerate(wanted):
            # The first brings the script along, by whose digest the others call it.
            call, script = (pipe.evalsha, _CLAIM_DIGEST) if number else (pipe.eval, _CLAIM)
            name = keys.idempotency(one.key)
            call(script, 1, name, one.digest, one.task_id, str(KEPT_S), str(claim_s))
        answers = pipe.execute()
    return [_claim(one, answer) for one, answer in zip(wanted, answers, strict=True)]


def _claim(wanted: Wanted, answer: list[str]) -> Claim | IdempotencyConflict | None:
    digest, known_id, state = answer
    if digest != wanted.digest:
        return IdempotencyConflict(
            "This idempotency key was used within the last day for another request. Send the "
            "same request again, or choose another key."
        )
    return None if state == "claimed" else Claim(task_id=str(known_id), mine=state == "yours")


def release_key(client: "redis.Redis", key: str) -> None:
    """Let the next caller take a claim over: its publish failed, or nobody knows whether it did."""
    release_keys(client, [key])


def release_keys(client: "redis.Redis", released: Iterable[str]) -> None:
    """The same for many, in one round trip."""
    with client.pipeline(transaction=False) as pipe:
        for key in released:
            pipe.hset(keys.idempotency(key), "state", "released")
        pipe.execute()


def record(
    client: "redis.Redis", task_id: str, fields: dict[str, str], key: str | None = None
) -> None:
    """Note an accepted task, and confirm the key that led to it."""
    with client.pipeline() as pipe:
        _note(pipe, Accepted(task_id, fields, key))
        pipe.execute()


def record_all(client: "redis.Redis", accepted: Iterable[Accepted]) -> None:
    """The same for many, in one round trip."""
    with client.pipeline(transaction=False) as pipe:
        for one in accepted:
            _note(pipe, one)
        pipe.execute()


def _note(pipe: "redis.client.Pipeline", accepted: Accepted) -> None:
    name = keys.submission(accepted.task_id)
    pipe.hset(name, items=[part for pair in accepted.fields.items() for part in pair])
    pipe.expire(name, KEPT_S)
    if accepted.key is not None:
        pipe.hset(keys.idempotency(accepted.key), "state", "accepted")


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
