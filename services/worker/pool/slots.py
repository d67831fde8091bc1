"""What a pool process and its parent tell each other without a message: words in shared memory.

Each word has one writer, is eight bytes long and aligned, and is written and read in one piece:
`memoryview.cast` copies it as a whole, where `struct` with a byte order given goes byte by byte.

    reached    the child looks at this task: it begins next, unless it was taken back
    running    the child runs this task, or ran it last
    done       the child has ended this task
    recalled   the parent has taken back all tasks up to this one that had not begun
    soft       the parent wants this task, and no later one, to get its soft limit

Tasks are numbered for each child, from 1 on, in the order in which it gets them.

**Taking back.** The child writes `reached` and then reads `recalled`, the parent writes `recalled`
and then reads `reached`. As long as neither read overtakes the write before it, one of them sees
the other: either the child skips the task, or the parent sees that it may have begun. But a core
may do just that, x86 as well as arm64: a write waits in its buffer while the next read goes on.
The child is to be fast, so the parent pays for both: between its two steps it has the kernel make
every core finish its writes (`membarrier`, which wants the child's consent, given once). Where that
call is missing or forbidden the parent waits a millisecond instead: a core keeps a write to itself
for no longer than microseconds, on either architecture.

**Reading the rest.** `began` is written before `running`, and `running` before the task runs; on
x86 they are seen in this order, on arm64 perhaps not. So the parent acts on a time that has run out
only if it finds the same a second time, a look later; and what it reads of a child that has ended,
or that it has stopped, is complete on either.
"""

import ctypes
import mmap
import platform
import time
from collections.abc import Callable

REACHED, RUNNING, DONE = 0, 1, 2
RECALLED, SOFT = 8, 16  # in cache lines of their own: another core writes them

KEPT = 64
"""So many begin times are kept, each in the place of its number modulo this."""

_BEGAN_AT = 1024

_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_REGISTER, _FENCE_ALL = 4, 2  # MEMBARRIER_CMD_(REGISTER_)GLOBAL_EXPEDITED

LAND_S = 0.001
"""Longer than any core keeps a write to itself."""


class Slot:
    """The words of one child, and when each of its last tasks began (`time.monotonic`)."""

    def __init__(self) -> None:
        page = memoryview(mmap.mmap(-1, mmap.PAGESIZE))
        self.words = page.cast("Q")
        self.began = page[_BEGAN_AT : _BEGAN_AT + 8 * KEPT].cast("d")


def consent_to_fences() -> bool:
    """Let the parent's `fence` reach this process too; whether the kernel can do so."""
    return _membarrier(_REGISTER)


def fence(*, consented: bool) -> None:
    """Let this process's writes be seen by all, and see all that others have written.

    Args:
        consented: whether the other side's `consent_to_fences` succeeded.
    """
    if not (consented and _membarrier(_FENCE_ALL)):
        time.sleep(LAND_S)


def _membarrier(command: int) -> bool:
    number = _MEMBARRIER.get(platform.machine())
    return number is not None and _syscall()(number, command, 0) == 0


def _syscall() -> Callable[..., int]:
    return ctypes.CDLL(None).syscall
