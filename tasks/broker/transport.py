"""The kombu transport that loses nothing: `laneway+redis://`, wire-compatible with stock kombu.

It keeps kombu's Redis transport for publishing and for broadcasts (remote control), and replaces how
messages are taken: a `LaneLink` claims them in Redis in one step instead of popping them into a
socket, renews what it holds, and survives the loss of its connections. A message with an ETA is
parked in Redis at publish.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from kombu.asynchronous import Hub
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps

from laneway.tasks.broker import keys
from laneway.tasks.broker.commands import MOST_AT_ONCE, HoldOptions
from laneway.tasks.broker.delayed import read_moment
from laneway.tasks.broker.ledger import Claim
from laneway.tasks.broker.link import LaneLink
from laneway.tasks.broker.publish import Door, Entry, LaneBatch, Room, note_size

LISTEN_AGAIN_S = 1.0
"""Pause before broadcasts are listened to again."""

PARK_FROM_S = 0.5
"""An ETA nearer than this is not worth parking: whoever claims the message parks it if need be."""


class QoS(kombu_redis.QoS):
    """What is delivered lies with the link; kombu's records in Redis are not written."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a delivered message; its claim is recorded already."""
        self._delivered[delivery_tag] = message

    def ack(self, delivery_tag: str) -> None:
        """The task has ended."""
        if self._delivered.pop(delivery_tag, None) is not None:
            self.channel.link_of(delivery_tag).ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop the message, or give it back behind all others, as one that was delivered before."""
        if self._delivered.pop(delivery_tag, None) is None:
            return
        link = self.channel.link_of(delivery_tag)
        if requeue:
            link.settle("tail", delivery_tag)
        else:
            link.ack(delivery_tag)

    def forget(self, delivery_tag: str) -> None:
        """The message's claim is ended by other ways."""
        self._delivered.pop(delivery_tag, None)

    def room(self) -> int:
        """How many more messages the consumer takes."""
        estimate = self.can_consume_max_estimate()
        return MOST_AT_ONCE if estimate is None else int(estimate)

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Kombu's sweep; the links do that."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Kombu's way of giving back; the links do that too."""
        del stderr


class Channel(kombu_redis.Channel):
    """kombu's Redis channel, whose lanes are consumed through links.

    Transport option `lane_link`: the link of the lane to consume, attached by whoever made it, that
    outlives this channel. Without it, the channel makes one of its own for each queue, and gives
    back what it holds when it closes.

    Transport option `room`: what may be published to which lanes; without it, everything.
    """

    QoS = QoS
    lane_link: LaneLink | None = None
    room: Room | None = None
    _publisher: Any = None
    from_transport_options = (*kombu_redis.Channel.from_transport_options, "lane_link", "room")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._links: dict[str, LaneLink] = {}
        self._door = Door(self.room) if self.room is not None else None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """A client to publish with; kombu makes one anew each time, which costs more than it sends."""
        if self._publisher is None:
            self._publisher = self._create_client()
        yield client or self._publisher

    def _disconnect_pools(self) -> None:
        self._publisher = None
        super()._disconnect_pools()

    @property
    def active_queues(self) -> list[str]:
        """Nothing is consumed by BRPOP."""
        return []

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume a lane, or a broadcast as kombu does."""
        answer = super().basic_consume(queue, *args, **kwargs)
        if queue not in self.active_fanout_queues:
            link = self.lane_link or self._links.get(queue) or self._own_link(queue)
            self._links[queue] = link
            if link is not self.lane_link:
                link.attach(self.connection.loop, partial(self.deliver, queue, link), self.qos.room)
        return answer

    def basic_cancel(self, consumer_tag: str) -> Any:
        """Consume no longer; what is held stays held."""
        link = self._links.get(self._tag_to_queue.get(consumer_tag, ""))
        if link is not None:
            link.detach()
        return super().basic_cancel(consumer_tag)

    def deliver(self, queue: str, link: LaneLink, claim: Claim) -> None:
        """Hand a claimed message to its consumer, or make it a dead letter if it is none."""
        try:
            envelope = json.loads(claim.message)
            properties = envelope["properties"]
            properties["delivery_tag"] = claim.id
            properties["delivery_info"].setdefault("exchange", "")
            properties["delivery_info"].setdefault("routing_key", queue)
            if claim.deliveries > 1:
                properties["delivery_info"]["redelivered"] = True
            self.Message(envelope, channel=self)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            link.settle("bury", claim.id, f"malformed envelope\n{type(error).__name__}")
            return
        self.connection._deliver(envelope, queue)  # noqa: SLF001 - kombu's own way

    def link_of(self, claim: str) -> LaneLink:
        """The link that holds a claim."""
        for link in self._links.values():
            if claim in link.ledger.held or claim.startswith(f"{link.ledger.worker}/"):
                return link
        raise KeyError(claim)

    def close(self) -> None:
        """Close; a link of its own gives back what it holds."""
        for link in self._links.values():
            link.detach()
            if link is not self.lane_link:
                link.leave()
        self._links.clear()
        super().close()

    def _own_link(self, queue: str) -> LaneLink:
        options = HoldOptions(lane=queue, worker=worker_name(queue))
        timeout_s = self.socket_timeout or 5.0
        return LaneLink(options, lambda: new_connection(self.pool), timeout_s=timeout_s)

    def create_publish_batch(self, max_size: int) -> Any:
        """A batch of a producer's."""
        if self._door is None:
            return super().create_publish_batch(max_size)
        return LaneBatch(self, max_size, self._door)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        note_size(len(message["body"]))
        batch = kwargs.get("_publish_batch")
        door = self._door
        asks = door is not None and (door.asks(queue) if batch is None else door.guards(queue))
        due_s = eta_s(message.get("headers"))
        if due_s is not None and due_s < time.time() + PARK_FROM_S:
            due_s = None
        if due_s is None and not asks:
            super()._put(queue, message, **kwargs)
            return
        entry = _entry(dumps(message), self._get_message_priority(message, reverse=False), due_s)
        if asks:
            self._put_if_room(queue, message["properties"].get("correlation_id"), entry, batch)
        elif batch is not None:
            batch.add("zadd", keys.delayed(queue), {entry.message: entry.place})
        else:
            with self.conn_or_acquire() as client:
                client.zadd(keys.delayed(queue), {entry.message: entry.place})

    def _put_if_room(self, lane: str, task_id: str, entry: Entry, batch: LaneBatch | None) -> None:
        if batch is not None:
            batch.put(lane, task_id, entry)
        elif self._door is not None:
            with self.conn_or_acquire() as client:
                self._door.put_one(client, lane, entry)


class Poller(kombu_redis.MultiChannelPoller):
    """kombu's poller, left with the broadcasts; it takes their loss for no loss of the worker.

    kombu lets an error of theirs through, on which Celery starts its whole consumer anew.
    """

    retry_at_s = 0.0

    def on_poll_start(self) -> None:
        """Listen to broadcasts, unless Redis is known to be away or was a moment ago."""
        links = (channel.lane_link for channel in self._channels)
        if time.monotonic() < self.retry_at_s or any(link and link.away for link in links):
            return
        try:
            super().on_poll_start()
        except kombu_redis.Transport.connection_errors:
            self.retry_at_s = time.monotonic() + LISTEN_AGAIN_S

    def on_readable(self, fileno: int) -> None:
        """Hear a broadcast; a broken connection is made anew."""
        channel, _ = self._fd_to_chan.get(fileno, (None, None))
        try:
            super().on_readable(fileno)
        except kombu_redis.Transport.connection_errors:
            self.retry_at_s = time.monotonic() + LISTEN_AGAIN_S
            if channel is not None and channel.subclient.connection is not None:
                channel.subclient.connection.disconnect()


class Transport(kombu_redis.Transport):
    """kombu's Redis transport with the channel above."""

    Channel = Channel
    _loop: Any = None
    _own_hub: Hub | None = None
    _deliveries = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()

    @property
    def loop(self) -> Any:
        """The event loop: the worker's, or one of its own for who drains events by hand."""
        if self._loop is None:
            self._own_hub = Hub()
            self.register_with_event_loop(self, self._own_hub)
        return self._loop

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Serve what is consumed in this loop."""
        self._loop = loop
        super().register_with_event_loop(connection, loop)

    def close_connection(self, connection: Any) -> None:
        """Close all channels, and the event loop if it is one of its own."""
        try:
            super().close_connection(connection)
        finally:  # also when Redis is away: that is when kombu drops a transport and makes another
            hub, self._own_hub = self._own_hub, None
            if hub is not None:
                self._loop = None
                hub.close()  # last, as the channels look after their sockets in it until they end

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Turn the loop until a message was delivered; raises TimeoutError after `timeout` s."""
        del connection
        loop, before = self.loop, self._deliveries
        late: list[bool] = []
        timer = loop.call_later(timeout, lambda: late.append(True)) if timeout is not None else None
        while self._deliveries == before:
            if late:
                raise TimeoutError(f"no message within {timeout:g} s")
            loop.run_once()
        if timer is not None:
            timer.cancel()

    def _deliver(self, message: Any, queue: str) -> None:
        self._deliveries += 1
        super()._deliver(message, queue)


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The channel for a primary that Sentinel names."""

    from_transport_options = (
        *kombu_redis.SentinelChannel.from_transport_options,
        "lane_link",
        "room",
    )


class SentinelTransport(Transport, kombu_redis.SentinelTransport):
    """The transport for a primary that Sentinel names."""

    Channel = SentinelChannel


def new_connection(pool: Any) -> Any:
    """A redis-py connection like a pool's, but nobody else's, whose answers are plain bytes."""
    # RESP3 may send what nobody asked for, and a link expects answers in order.
    options = {**pool.connection_kwargs, "decode_responses": False, "protocol": 2}
    connection = pool.connection_class(**options)
    connection.connect()
    return connection


def worker_name(name: str) -> str:
    """A name for the holder of claims: nobody else's, and without what the records part words by."""
    readable = "".join(c if (c.isascii() and c.isalnum()) or c in "-_.@" else "-" for c in name)
    return f"{readable}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


def eta_s(headers: Any) -> float | None:
    """When a message's headers say it is due, seconds since the epoch; None for at once."""
    eta = headers.get("eta") if isinstance(headers, dict) else None
    if not isinstance(eta, str):
        return None
    try:
        return read_moment(eta).timestamp()
    except (ValueError, OverflowError):
        return None


def delayed_record(message: str, priority: int) -> str:
    """A message that waits in the delayed set, as `scripts/records.lua` reads it."""
    return f"1 0 {_step(priority)} {uuid4().hex} - 0\n{message}"


def _entry(message: str, priority: int, due_s: float | None) -> Entry:
    """A message with its place on its lane."""
    if due_s is None:
        return Entry(_step(priority), message)
    return Entry(round(due_s * 1000), delayed_record(message, priority))


def _step(priority: int) -> int:
    """The number of the ready list for a priority, as the scripts count them."""
    return max(n for n, lowest in enumerate(keys.PRIORITY_STEPS, 1) if lowest <= priority)
