"""What a run costs this machine, as /proc tells it: the processes of a session, and everybody else."""

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
QUIET_SPAN_S = 0.5


def session_members(leader: int) -> list[int]:
    """The living processes of a session, its leader first. Also orphans: no tree is needed."""
    return [pid for pid, words in _processes() if words[3] == str(leader) and words[0] != "Z"]


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process in the order of ids, with what follows its name in its stat file."""
    for pid in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        words = _stat(pid)
        if words:
            yield pid, words


def _stat(pid: int) -> list[str]:
    """State, parent, group, session, ...; nothing of a process that has ended."""
    try:
        # The name before the last bracket may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(pids: list[int]) -> float:
    """CPU that processes and their ended children have used, seconds."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids) * TICK_S


def busy_seconds() -> float:
    """CPU that the whole machine has used since it started, seconds; waiting left out."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _iowait, *interrupts = map(int, words)
    return (user + nice + system + sum(interrupts)) * TICK_S


def wait_until_quiet(percent: float, limit_s: float) -> None:
    """Hold back, no longer than the limit, while others use more of a core than this."""
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        before_s = busy_seconds()
        time.sleep(QUIET_SPAN_S)
        if 100 * (busy_seconds() - before_s) / QUIET_SPAN_S <= percent:
            return


def facts() -> dict[str, str]:
    """What somebody who compares needs to know about this machine."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": f"{model}, {os.cpu_count()} cores seen",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
