"""`laneway top` beside a real worker: figures of real work, and the live view on a terminal."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pytest

from lane_client import Hold, lane_client, write_catalogue
from screen import Screen
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

TOP = [sys.executable, "-m", "laneway.services.cli.main", "top"]
ROWS, COLUMNS = 24, 80
ECHO = termios.ECHO


class Lane:
    """A lane with its worker, and how to look at it."""

    def __init__(self, client, worker, hold, catalogue):
        self.client, self.worker, self.hold = client, worker, hold
        self.target = f"127.0.0.1:{worker.port}"
        self.environment = {
            **os.environ,  # noqa: TID251 - handed on
            "LANEWAY_QUEUES_FILE": str(catalogue),
            "TERM": "xterm-256color",
        }

    def top(self, *words):
        return subprocess.run(
            [*TOP, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def document(self, *words):
        done = self.top("--target", self.target, "--once", "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def lane(tmp_path_factory, module_redis):
    folder = tmp_path_factory.mktemp("top")
    catalogue = write_catalogue(folder, work={"concurrency": 2, "waitTarget": 1})
    settings = {"queues_file": str(catalogue), "task_modules": "lane_tasks,fate_tasks"}
    with (
        lane_client(module_redis.url, "work", catalogue) as client,
        running_worker("work", folder, module_redis.url, **settings) as worker,
    ):
        yield Lane(client, worker, Hold(folder), catalogue)


def test_real_work_is_counted_waits_and_runs(lane):
    ended = [lane.client.send("lane.add", x=1, y=2) for _ in range(6)]
    ended += [lane.client.send("lane.fail") for _ in range(2)]
    lane.client.wait(*ended)
    held = [lane.client.send("fate.hold", **lane.hold.kwargs) for _ in range(9)]
    lane.client.send_with("lane.add", {"countdown": 600}, x=1, y=2)
    wait_for(lambda: lane.hold.begun() == 2, "both slots to be busy")

    def settled():
        (found,) = lane.document()["lanes"]
        return found if found["delayed"] == 1 and found["ready"] else None

    # What a lane holds is read anew every five seconds.
    seen = wait_for(settled, "the backlog to be read")
    assert seen["lane"] == "work"
    assert seen["ended_since_start"] == {"ok": 6, "retry": 0, "error": 2, "killed": 0, "dropped": 0}
    assert seen["failed_ratio"] == 0.25
    assert seen["ready"] + seen["in_flight"] == len(held)
    assert (seen["workers"], seen["slots_busy"], seen["slots"]) == (1, 2, 2)
    assert seen["oldest_age_s"] > 0
    assert "failing" in seen["troubles"]
    lane.hold.release()
    lane.client.wait(*held)


def test_two_readings_make_rates(lane):
    looking = subprocess.Popen(
        [*TOP, "--target", lane.target, "--json", "--window", "4"],
        env=lane.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    sent = []
    while looking.poll() is None:
        sent.append(lane.client.send("lane.add", x=1, y=2))
        time.sleep(0.05)
    told = json.loads(looking.communicate()[0])
    assert told["window_s"] == pytest.approx(4, abs=1)
    assert told["lanes"][0]["ended_per_s"]["ok"] > 0
    assert told["lanes"][0]["wait_p95_s"] > 0
    lane.client.wait(*sent)


def test_a_pipe_gets_one_plain_frame_of_80_columns(lane):
    lane.environment["COLUMNS"] = "80"
    done = lane.top("--target", lane.target, "--target", "127.0.0.1:1")
    del lane.environment["COLUMNS"]
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("laneway top ")
    assert "broker up" in lines[0]
    assert [line.split()[0] for line in lines[3:5]] == ["total", "ended"]
    assert lines[-1] == "! 127.0.0.1:1 does not answer: Connection refused"
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout


def test_if_nothing_answers_it_ends_with_1_and_a_cure(lane):
    done = lane.top("--target", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:1 does not answer: Connection refused" in done.stderr
    assert "LANEWAY_HEALTH_BIND" in done.stderr
    assert "Traceback" not in done.stderr


class Terminal:
    """A terminal in which `laneway top` runs, and what it shows."""

    def __init__(self, words, environment):
        self.master, self.slave = pty.openpty()
        self.resize(ROWS, COLUMNS)
        self.before = termios.tcgetattr(self.slave)
        self.screen = Screen()
        self.process = subprocess.Popen(
            words,
            env=environment,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            # Ctrl-C reaches those whose terminal it is, which only the process itself can take.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def look(self):
        """What is shown now."""
        while select.select([self.master], [], [], 0.05)[0]:
            self.screen.write(os.read(self.master, 65_536).decode())
        return "\n".join(self.screen.text())

    def shows(self, text):
        wait_for(lambda: text in self.look(), f"{text!r} on the terminal")

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & ECHO)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def terminal(lane, *words):
    made = Terminal([*TOP, "--target", lane.target, "--every", "0.5", *words], lane.environment)
    try:
        yield made
    finally:
        made.close()


def test_the_live_view_moves_on_and_ctrl_c_leaves_the_terminal_in_order(lane):
    with terminal(lane) as shown:
        shown.shows("since start")
        shown.shows("rates over")
        first = shown.look().splitlines()
        assert first[2].split()[0] in ("work", "!")
        assert not shown.echoes(), "keys would write into the picture"
        sent = shown.screen.bytes
        clock = first[0]
        wait_for(lambda: shown.look().splitlines()[0] != clock, "the clock to move on")
        assert shown.screen.bytes - sent < 1_000, "a frame of one lane"
        assert len(shown.screen.text()) == len(first), "drawn over itself"

        os.write(shown.master, b"\x03")

        assert shown.process.wait(10) == 0
        assert termios.tcgetattr(shown.slave) == shown.before
        left = shown.look()
        assert left.splitlines()[0].startswith("laneway top ")
        assert "Traceback" not in left
        assert (shown.screen.row, shown.screen.column) == (len(shown.screen.text()), 0)


def test_another_size_of_the_terminal_is_drawn_anew(lane):
    with terminal(lane) as shown:
        shown.shows("rates over")
        shown.resize(10, 40)

        def narrow():
            lines = shown.look().splitlines()
            return lines and max(map(len, lines)) <= 39 and "work" in "\n".join(lines)

        wait_for(narrow, "a narrower picture")
        os.write(shown.master, b"\x03")
        assert shown.process.wait(10) == 0


def test_sigterm_gives_the_keys_back(lane):
    with terminal(lane) as shown:
        shown.shows("rates over")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.process.wait(10) == 143
        assert termios.tcgetattr(shown.slave) == shown.before


def test_a_worker_that_ends_leaves_the_last_picture_and_is_told(lane):
    with terminal(lane) as shown:
        shown.shows("rates over")
        lane.worker.stop()
        shown.shows("no news since")
        assert "work" in shown.look()
        assert shown.process.poll() is None
        os.write(shown.master, b"\x03")
        assert shown.process.wait(10) == 0
