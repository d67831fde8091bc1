"""A TCP proxy that misbehaves on demand: slow, throttled, cut, deaf, or silent without a word.

It stands between a client and a real server on loopback, in a thread of its own, and needs no
privilege. What it does to a connection is read at every chunk, so a condition set now holds for
connections that are open already.

    with FaultProxy(server_port) as proxy:
        connect_to(proxy.port)
        proxy.slow(latency_ms=10, jitter_ms=2)
        proxy.heal()
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeVar, cast

CHUNK_BYTES = 64 * 1024
QUEUED_CHUNKS = 64
"""Chunks under way in one direction; more wait in the sender's kernel, as on a slow line."""

ANSWER_LIMIT_S = 10.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time at all: closing the socket sends RST instead of FIN."""

Way = Literal["up", "down"]
"""From the client to the server, and back."""

T = TypeVar("T")


@dataclass(frozen=True)
class Conditions:
    """The line's state. Without arguments: a good one."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    budget_bytes: int | None = None
    """What a connection may carry, both ways together, before it is reset."""
    holes: frozenset[Way] = frozenset()
    """Ways on which nothing arrives and nobody is told, neither of bytes nor of ends."""
    half_open: bool = False
    """New connections are taken and never served."""


@dataclass(eq=False)
class _Link:
    """One client's connection and its counterpart."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    carried_bytes: int = 0
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer is None or writer.transport.is_closing():
                continue
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        for task in self.tasks:
            if task is not asyncio.current_task():  # which is about to end as it should
                task.cancel()


class FaultProxy:
    """Forwards loopback connections to `target_port`. Every method may be called by any thread."""

    def __init__(self, target_port: int, seed: int = 0) -> None:
        self._target_port = target_port
        self._random = random.Random(seed)
        self._conditions = Conditions()
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_LIMIT_S)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._do(self._count())

    def slow(self, latency_ms: float, jitter_ms: float = 0.0) -> None:
        """Delay what goes either way by the latency, more or less the jitter; order is kept."""
        self._set(latency_s=latency_ms / 1_000, jitter_s=jitter_ms / 1_000)

    def throttle(self, bytes_per_s: float) -> None:
        """Let each way of each connection carry no more than so much."""
        self._set(bytes_per_s=bytes_per_s)

    def reset_after(self, count_bytes: int) -> None:
        """Reset every connection once it has carried so much from now on, perhaps mid-word."""

        async def arm() -> None:
            for link in self._links:
                link.carried_bytes = 0
            await self._change(budget_bytes=count_bytes)

        self._do(arm())

    def half_open(self) -> None:
        """Take new connections and serve none of them."""
        self._set(half_open=True)

    def black_hole(self, *ways: Way) -> None:
        """Lose sight of the other side, both ways if none is named: no bytes, no end, no error."""
        self._set(holes=frozenset(ways or ("up", "down")))

    def cut(self) -> int:
        """Reset every open connection; how many there were."""

        async def reset_all() -> int:
            links = list(self._links)
            for link in links:
                link.reset()
            self._links.clear()
            return len(links)

        return self._do(reset_all())

    def heal(self) -> None:
        """A good line again. What a black hole held back arrives, as TCP would send it anew."""
        self._do(self._change(**vars(Conditions())))

    def _set(self, **changes: Any) -> None:
        self._do(self._change(**changes))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_LIMIT_S)

    async def _change(self, **changes: Any) -> None:
        async with self._changed:
            self._conditions = replace(self._conditions, **changes)
            self._changed.notify_all()

    async def _until(self, holds: Callable[[Conditions], bool]) -> None:
        if holds(self._conditions):
            return
        async with self._changed:
            await self._changed.wait_for(lambda: holds(self._conditions))

    async def _count(self) -> int:
        return len(self._links)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.reset()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        link.tasks.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            # A SYN is lost in a hole as well: whoever connects meanwhile waits for an answer.
            await self._until(lambda now: not now.half_open and not now.holes)
            answers, link.server = await asyncio.open_connection(
                "127.0.0.1", self._target_port, limit=CHUNK_BYTES
            )
            link.tasks += [
                asyncio.create_task(self._carry(link, "up", reader, link.server)),
                asyncio.create_task(self._carry(link, "down", answers, writer)),
            ]
            await asyncio.gather(*link.tasks[1:], return_exceptions=True)
        except OSError:
            pass  # the server is away: the client sees its connection reset, as without a proxy
        except asyncio.CancelledError:
            pass  # cut; asyncio's server takes a cancelled task of its own for an error
        finally:
            self._links.discard(link)
            link.reset()

    async def _carry(
        self, link: _Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Move one way's bytes until its end, which is passed on too."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS)
        taking = asyncio.create_task(self._take(reader, line))
        link.tasks.append(taking)
        try:
            while True:
                due_s, data = await line.get()
                await asyncio.sleep(due_s - self._loop.time())
                await self._until(lambda now: way not in now.holes)
                if not data:
                    break
                await self._give(link, writer, data)
            with suppress(OSError, RuntimeError):
                writer.write_eof()
        except OSError:
            link.reset()  # one side is gone: so is the connection
        finally:
            taking.cancel()

    async def _take(
        self, reader: asyncio.StreamReader, line: "asyncio.Queue[tuple[float, bytes]]"
    ) -> None:
        while True:
            try:
                data = await reader.read(CHUNK_BYTES)
            except OSError:
                data = b""
            now = self._conditions
            late_s = now.latency_s + self._random.uniform(-now.jitter_s, now.jitter_s)
            await line.put((self._loop.time() + max(0.0, late_s), data))
            if not data:
                return

    async def _give(self, link: _Link, writer: asyncio.StreamWriter, data: bytes) -> None:
        now = self._conditions
        if now.budget_bytes is not None:
            left = max(0, now.budget_bytes - link.carried_bytes)
            if len(data) > left:
                writer.write(data[:left])
                await writer.drain()
                link.reset()
                return
            link.carried_bytes += len(data)
        writer.write(data)
        await writer.drain()
        if now.bytes_per_s:
            await asyncio.sleep(len(data) / now.bytes_per_s)
