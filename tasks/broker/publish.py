"""Publishing as far as there is room: what a lane may hold, and how full Redis may be.

Room is looked for in the step that publishes, so that it costs no round trip and publishers cannot
share the last place. Where there is much of it, a publisher does not look again for a while, and
pushes as a stock producer does: a second at most, and no more messages than a hundredth of the room.

All this binds processes that publish with Laneway's app and are no workers: a worker publishes what
its tasks go on with, and must drain. A stock producer pushes onto the list without asking anybody,
and cannot be refused.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import local
from typing import Any, NamedTuple

import redis
from kombu.exceptions import BatchPublishError
from kombu.transport.redis import PublishBatch
from redis.exceptions import RedisError, ResponseError

from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import broker_full, lane_full
from laneway.tasks.broker.scripting import run
from laneway.tasks.errors import BrokerFull, LaneFull, SubmissionError

KEPT_S = 1.0
"""How long what Redis said of its memory, or of a lane's room, is believed."""

BATCH_BYTES = 4 * 2**20
"""A batch with so much is sent before it is complete: Redis serves nobody else meanwhile."""

UNASKED_SHARE = 100
"""The part of a lane's room, one in so many, that a publisher takes without looking again."""


class _Sizes(local):
    last_bytes = 0


_sizes = _Sizes()


def note_size(size_bytes: int) -> None:
    """The message that this thread publishes has a body of so many bytes."""
    _sizes.last_bytes = size_bytes


def take_size() -> int:
    """Bytes of the body that this thread has published since it asked before; 0 for none."""
    size_bytes, _sizes.last_bytes = _sizes.last_bytes, 0
    return size_bytes


@dataclass(frozen=True)
class Room:
    """Most messages of each lane, and the share of Redis's memory above which none are taken."""

    max_lengths: Mapping[str, int]
    watermark: float


class Entry(NamedTuple):
    """One message. Its place is the number of its ready list, or the time it is due (ms)."""

    place: int
    message: str


class BatchRefused(LaneFull, BrokerFull):
    """Some messages of a batch were refused, for which `refusals` says why by task id.

    The others are queued.
    """

    refusals: Mapping[str, SubmissionError]


@dataclass
class _Allowance:
    """Messages that may go to a lane unasked until a time, by this machine's monotonic clock."""

    count: int
    until_s: float


class Door:
    """Puts messages on lanes, for one channel; not for several threads at once."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._share = 0.0
        self._asked_at_s = -KEPT_S
        self._allowances: dict[str, _Allowance] = {}

    def guards(self, lane: str) -> bool:
        """Whether the lane has a limit."""
        return lane in self._room.max_lengths

    def asks(self, lane: str) -> bool:
        """Whether a message for the lane has to be put by `put_one`; False takes an allowance."""
        allowance = self._allowances.get(lane)
        if allowance is None or allowance.count <= 0 or time.monotonic() > allowance.until_s:
            return self.guards(lane)
        allowance.count -= 1
        return False

    def put_one(self, client: "redis.Redis", lane: str, entry: Entry) -> None:
        """Put one message on its lane.

        Raises:
            LaneFull, BrokerFull: it was refused.
        """
        put, held = self.put(client, lane, [entry])
        if not put:
            raise self.refusal(lane, held)

    def put(self, client: "redis.Redis", lane: str, entries: Sequence[Entry]) -> tuple[int, int]:
        """Put messages on a lane, the first ones if there is no room for all.

        Returns:
            How many were put, and how many the lane held before.

        Raises:
            BrokerFull: none was put.
        """
        watermark, now_s = self._room.watermark, time.monotonic()
        asks = now_s - self._asked_at_s >= KEPT_S
        if not asks and self._share > watermark:
            raise broker_full(self._share, watermark)
        most = self._room.max_lengths[lane]
        flat = [word for entry in entries for word in entry]
        arguments = [most, watermark if asks else "", *flat]
        self._allowances.pop(lane, None)
        try:
            put, held, used, allowed = run(client, "publish", _keys(lane), arguments)
        except ResponseError as error:
            if "OOM" not in str(error):
                raise
            raise broker_full(1.0, watermark) from error
        if asks:
            self._asked_at_s, self._share = now_s, used / allowed if allowed else 0.0
            if self._share > watermark:
                raise broker_full(self._share, watermark)
        unasked = (most - held - put) // UNASKED_SHARE
        self._allowances[lane] = _Allowance(unasked, now_s + KEPT_S)
        return put, held

    def refusal(self, lane: str, held: int) -> LaneFull:
        """Why a message had no place."""
        return lane_full(lane, held, self._room.max_lengths[lane])


class LaneBatch(PublishBatch):
    """kombu's batch, whose messages go to each lane in one step; what has no room is refused."""

    def __init__(self, channel: Any, max_size: int, door: Door) -> None:
        super().__init__(channel, max_size)
        self._door = door
        self._waiting: dict[str, list[tuple[str, Entry]]] = {}
        self._waits = self._bytes = self._total = 0
        self._refusals: dict[str, SubmissionError] = {}

    def put(self, lane: str, task_id: str, entry: Entry) -> None:
        """Let a message wait for the rest of the batch."""
        self._waiting.setdefault(lane, []).append((task_id, entry))
        self._waits += 1
        self._total += 1
        self._bytes += len(entry.message)

    def publish(self, message: Any, **options: Any) -> Any:
        """Take a message; the one that makes the batch full sends it."""
        answer = super().publish(message, **options)
        if self._waits >= self.max_size or self._bytes >= BATCH_BYTES:
            self._send()
        return answer

    def flush(self) -> None:
        """Send what waits, a round trip a lane.

        Raises:
            BatchRefused: some messages since the last `flush` had no room.
            BatchPublishError: Redis did not answer; it is not known what was published.
        """
        super().flush()
        self._send()
        refusals, total = self._refusals, self._total
        self._refusals, self._total = {}, 0
        if refusals:
            refused = BatchRefused(
                f"{len(refusals)} of the {total} messages of this batch were refused, the others are "
                f"queued: {next(iter(refusals.values()))}"
            )
            refused.refusals = refusals
            raise refused

    def _send(self) -> None:
        waiting, self._waiting, self._waits, self._bytes = self._waiting, {}, 0, 0
        try:
            for lane, messages in waiting.items():
                self._refusals |= self._send_to(lane, messages)
        except (RedisError, OSError) as error:
            self._failed = error
            raise BatchPublishError("Redis did not answer; delivery is uncertain") from error

    def discard(self) -> None:
        """Forget what waits."""
        self._waiting, self._waits, self._bytes = {}, 0, 0
        super().discard()

    def _send_to(self, lane: str, messages: list[tuple[str, Entry]]) -> dict[str, SubmissionError]:
        entries = [entry for _, entry in messages]
        try:
            with self.channel.conn_or_acquire() as client:
                put, held = self._door.put(client, lane, entries)
        except BrokerFull as full:
            return {task_id: full for task_id, _ in messages}
        return {task_id: self._door.refusal(lane, held + put) for task_id, _ in messages[put:]}


@cache
def _keys(lane: str) -> list[str]:
    """The keys of `publish.lua`."""
    counted = [keys.claims(lane), keys.stock_unacked(lane), keys.delayed(lane), keys.intake(lane)]
    return [*counted, *keys.ready_lists(lane)]
