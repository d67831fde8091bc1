"""One platform a folder."""

import os
import signal
import subprocess
import sys

import pytest

from laneway.services.local.folder_lock import lock_folder
from laneway.services.local.platform import Platform, Ports
from laneway.services.local.processes import StartFailed
from laneway.tasks.queues import load_catalogue

pytestmark = pytest.mark.unit

HOLD = """
import sys, time
from pathlib import Path
from laneway.services.local.folder_lock import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_platform_in_one_folder_does_not_start(tmp_path, holder):
    with (
        pytest.raises(StartFailed, match=f"process id {holder.pid} uses .*--data OTHER"),
        Platform(tmp_path, load_catalogue(), Ports()),
    ):
        pass
    assert not list((tmp_path / "logs").iterdir())


def test_a_platform_that_was_killed_gives_its_folder_back(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock_folder(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_that_was_given_back_can_be_taken_again(tmp_path):
    for _ in range(2):
        lock_folder(tmp_path).close()


def test_the_redis_that_a_killed_platform_leaves_keeps_the_folder_until_it_ends(tmp_path):
    lock = lock_folder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()]
    ) as heir:
        lock.close()
        with pytest.raises(StartFailed, match="ends by itself"):
            lock_folder(tmp_path)
        heir.communicate(b"\n")
    lock_folder(tmp_path).close()
