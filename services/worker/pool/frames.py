"""Frames on a pipe: several in one write, several in one read, large ones in pieces.

No part of it waits: what a pipe does not take stays in the `Outbox`, and what has come of a frame
stays in the `FrameReader` until the rest is there.
"""

import os
import struct
from collections import deque
from itertools import islice
from typing import NamedTuple

_HEADER = struct.Struct("=QQB")

_JOIN_UP_TO = 1 << 16
_PARTS_A_WRITE = 64
_BYTES_A_TURN = 1 << 20
_LARGEST = 1 << 40


class Frame(NamedTuple):
    """One message: the number of the task it is about, what it says, and its bytes."""

    number: int
    kind: int
    payload: memoryview | bytes


def pack(number: int, kind: int, payload: bytes) -> bytes:
    """A frame as bytes."""
    return _HEADER.pack(number, len(payload), kind) + payload


class FrameReader:
    """Makes frames of what is read, however it is cut."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = _HEADER.size

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with these bytes.

        Raises:
            ValueError: they are no frames.
        """
        source: bytes | bytearray = data
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            source, self._rest = self._rest, bytearray()
        view, at, frames = memoryview(source), 0, []
        end = len(view)
        self._wanted = _HEADER.size
        while end - at >= _HEADER.size:
            number, size, kind = _HEADER.unpack_from(view, at)
            if size > _LARGEST:
                raise ValueError(f"A frame of {size} bytes cannot be one of ours.")
            stop = at + _HEADER.size + size
            if stop > end:
                self._wanted = _HEADER.size + size
                break
            frames.append(Frame(number, kind, view[at + _HEADER.size : stop]))
            at = stop
        if at < end:
            self._rest = bytearray(view[at:])
        return frames


class Outbox:
    """Frames on their way into a pipe that does not block."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, memoryview]] = deque()
        self._begun = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def put(self, number: int, kind: int, payload: bytes) -> None:
        """Add a frame. Numbers rise."""
        if len(payload) <= _JOIN_UP_TO:
            self._parts.append((number, memoryview(pack(number, kind, payload))))
            return
        header = _HEADER.pack(number, len(payload), kind)
        self._parts.append((number, memoryview(header)))
        self._parts.append((number, memoryview(payload)))

    def drop_after(self, number: int) -> None:
        """Forget the frames with a higher number, except one that is partly in the pipe."""
        parts = self._parts
        while parts and parts[-1][0] > number and parts[-1][0] != self._begun:
            parts.pop()

    def send(self, fd: int) -> bool:
        """Write what the pipe takes, up to a bound a turn; whether all is written.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        parts, left = self._parts, _BYTES_A_TURN
        while parts and left > 0:
            try:
                written = os.writev(fd, [part for _, part in islice(parts, _PARTS_A_WRITE)])
            except BlockingIOError:
                return False
            left -= written
            self._forget(written)
        return not parts

    def _forget(self, written: int) -> None:
        parts = self._parts
        while written:
            number, part = parts[0]
            if written < len(part):
                self._begun = number
                parts[0] = (number, part[written:])
                return
            written -= len(part)
            parts.popleft()
            # The header of a large frame may be gone, and the rest of it still here.
            self._begun = number
