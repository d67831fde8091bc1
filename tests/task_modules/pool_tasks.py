"""Calls that a pool is to survive: each ends, or does not end, in a way of its own."""

import faulthandler
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

MEGABYTE = 1 << 20

_kept: list[Any] = []


def note(mark: str, text: str) -> None:
    """Add a line to the file `mark` in one write, so that processes do not mix theirs."""
    fd = os.open(mark, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def give(value: Any = None) -> Any:
    return value


def mark(path: str, text: str, seconds: float = 0.0) -> str:
    """Note that it runs, take a moment."""
    note(path, text)
    if seconds:
        time.sleep(seconds)
    return text


def whereabouts() -> tuple[int, str, int]:
    """Process id, name and index of the process that runs this."""
    from billiard.process import current_process

    process = current_process()
    return os.getpid(), process.name, process.index


def fail() -> None:
    raise ValueError("no")


def leave(code: int = 3) -> None:
    sys.exit(code)


def vanish() -> None:
    os._exit(0)


def exhaust() -> None:
    raise MemoryError("no memory left")


def interrupt() -> None:
    raise KeyboardInterrupt


def kill_itself(number: int) -> None:
    faulthandler.disable()
    os.kill(os.getpid(), number)
    time.sleep(30)


def hold(path: str, release: str | None = None) -> str:
    """Note its process; run until the file `release` is there, or for half a minute."""
    note(path, str(os.getpid()))
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s and not (release and Path(release).exists()):
        time.sleep(0.01)
    return "held"


def hold_and_handle_soft() -> str:
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "partial"
    return "unreachable"


def hold_whatever_comes(path: str) -> None:
    """Does not end at its soft limit, nor at a polite signal."""
    note(path, str(os.getpid()))
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        try:
            time.sleep(1)
        except (SoftTimeLimitExceeded, SystemExit):
            continue


def give_what_cannot_be_sent() -> Any:
    return lambda: None


class OneWay(Exception):
    """Can be pickled, and not be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


def raise_what_cannot_be_read() -> None:
    raise OneWay("one", "two")


def give_much(megabytes: int) -> bytes:
    return b"x" * (megabytes * MEGABYTE)


def weigh(load: bytes) -> int:
    return len(load)


def hoard(megabytes: int) -> int:
    """Keep so much memory; the process that does."""
    _kept.append(bytearray(os.urandom(MEGABYTE)) * megabytes)
    return os.getpid()


def use_for_a_moment(megabytes: int) -> int:
    """Use so much memory and give it back; the process that does."""
    load = bytearray(megabytes * MEGABYTE)
    load[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(load[:: os.sysconf("SC_PAGE_SIZE")])
    del load
    return os.getpid()


def flood(megabytes: int) -> str:
    """Write much to standard output."""
    for _ in range(megabytes * 1024):
        os.write(1, b"x" * 1023 + b"\n")
    return "flooded"


def fork_and_exit() -> str:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return "parent"


def fork_and_return(path: str) -> str:
    """Both copies return, as if each had run the task."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        note(path, "parent")
        return "parent"
    note(path, "copy")
    return "copy"


def fork_and_raise() -> str:
    pid = os.fork()
    if not pid:
        raise ValueError("in the copy")
    os.waitpid(pid, 0)
    return "parent"


def leave_a_process_behind_and_die(path: str) -> None:
    """The process left behind has all descriptors of its parent, and outlives it."""
    if not os.fork():
        os.setsid()
        note(path, f"left-behind {os.getpid()}")
        time.sleep(60)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def close_standard_files() -> str:
    for fd in (0, 1, 2):
        os.close(fd)
    return "closed"


def close_every_file() -> str:
    os.closerange(3, 1024)
    return "closed"


def _pipes() -> Iterator[tuple[int, int]]:
    """Descriptor and inode of every pipe this process has."""
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            seen = path.stat()
            if stat.S_ISFIFO(seen.st_mode):
                yield int(path.name), seen.st_ino


_before = {inode for _, inode in _pipes()}
"""The tests' own, above all where they print."""


def write_into_every_file() -> None:
    """As code does that keeps a descriptor after it was closed and given to somebody else.

    Into pipes alone, as the pool's are: sockets and files may be those of other tests.
    """
    for fd, inode in list(_pipes()):
        if inode not in _before:
            with suppress(OSError):
                os.set_blocking(fd, False)
                os.write(fd, b"\xff" * 64)
    time.sleep(30)


def leave_a_thread() -> str:
    """Ends while a thread of its own goes on."""
    threading.Thread(target=time.sleep, args=(60,)).start()
    return "threaded"


def take_signals() -> str:
    """Handles signals itself, and leaves it so."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    return "deaf"
