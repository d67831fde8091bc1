"""Ports, restarts and the end of the platform's processes."""

import signal
import socket
import sys
from dataclasses import replace
from threading import Event

import pytest

from laneway.services.local.draining import drain
from laneway.services.local.main import stop_events
from laneway.services.local.platform import Platform, Ports
from laneway.services.local.processes import ManagedProcess, StartFailed
from laneway.services.local.upkeep import Upkeep
from laneway.tasks.queues import load_catalogue

pytestmark = pytest.mark.unit

DRAINING = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGQUIT, lambda *_: sys.exit(0))
open(sys.argv[1], "w").close()
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        yield stranger.getsockname()[1]


@pytest.fixture
def drains(tmp_path):
    """A process that finishes its work for ever, and gives it back when told to."""
    ready = tmp_path / "ready"
    process = ManagedProcess(
        "worker-reports",
        [sys.executable, "-c", DRAINING, str(ready)],
        tmp_path / "log",
        ready=ready.exists,
        stop_limit_s=60,
    )
    process.start()
    process.wait_until_ready(30)
    yield process
    process.wait_until_stopped(limit_s=0)


@pytest.mark.parametrize("option", ["redis", "gateway", "smtp"])
def test_a_taken_port_is_refused_before_anything_starts(tmp_path, taken_port, option):
    ports = replace(Ports(), **{option: taken_port})
    with (
        pytest.raises(StartFailed, match=f"--{option}-port {taken_port}: .*choose another port"),
        Platform(tmp_path, load_catalogue(), ports),
    ):
        pass
    assert not list((tmp_path / "logs").iterdir())


def test_one_port_for_two_services_is_refused(tmp_path, taken_port):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with (
        pytest.raises(StartFailed, match=f"--smtp-port {free}"),
        Platform(tmp_path, load_catalogue(), Ports(redis=free, smtp=free)),
    ):
        pass


def test_a_process_that_ends_is_not_ready_however_a_stranger_answers(tmp_path):
    process = ManagedProcess("redis", [sys.executable, "-c", "exit(3)"], tmp_path / "log")
    process.start()
    process.process.wait()
    with pytest.raises(StartFailed, match="redis ended while starting"):
        process.wait_until_ready(30)


def test_results_lie_in_the_brokers_database(tmp_path):
    where = Platform(tmp_path, {}, Ports()).addresses
    assert where.results == where.broker


def test_a_process_that_ends_after_each_restart_is_started_ever_later(tmp_path):
    command = [sys.executable, "-c", "print('no disk'); exit(3)"]
    process, now_s = ManagedProcess("worker-reports", command, tmp_path / "log"), [0.0]
    upkeep, lines, starts_s = Upkeep(lambda: now_s[0]), [], []
    process.start()
    while len(starts_s) < 8:
        started = process.process
        process.process.wait()
        upkeep.tend(process, lines.append)
        if process.process is not started:
            starts_s.append(now_s[0])
        else:
            now_s[0] += 1.0
    process.process.wait()
    pauses = [int(line.split()[-2]) for line in lines if "started again" in line]
    assert pauses[:8] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert "worker-reports ended with 3" in lines[0]
    assert "no disk" in lines[1]
    assert sum("no disk" in line for line in lines) == 1


def test_a_process_that_ran_well_for_long_is_started_again_soon(tmp_path):
    process = ManagedProcess("redis", [sys.executable, "-c", "input()"], tmp_path / "log")
    upkeep_s, lines = [0.0], []
    upkeep = Upkeep(lambda: upkeep_s[0])
    for _ in range(2):
        process.start()
        process.process.wait()
        upkeep.tend(process, lines.append)
        process.command = [sys.executable, "-c", "import time; time.sleep(600)"]
        upkeep_s[0] += 1.0
        upkeep.tend(process, lines.append)
        upkeep_s[0] += 60.0
        upkeep.tend(process, lines.append)
        process.wait_until_stopped(limit_s=0)
        process.command = [sys.executable, "-c", "input()"]
    assert [line.split()[-2] for line in lines if "started again" in line] == ["1", "1"]


def test_a_second_ctrl_c_lets_what_still_drains_give_back_at_once(drains):
    lines, hurry = [], Event()

    def report(line):
        lines.append(line)
        hurry.set()

    assert drain([drains], hurry, report) == {"worker-reports": 0}
    waiting, giving_back = lines
    assert waiting == (
        "Waiting for worker-reports: up to 60 s; "
        "Ctrl-C again puts what still runs back into its lane at once"
    )
    assert giving_back == "Giving back at once what still runs: worker-reports"


def test_workers_told_to_hurry_from_the_start_get_one_signal_and_end(drains):
    hurry = Event()
    hurry.set()
    assert drain([drains], hurry, lambda _line: None) == {"worker-reports": 0}


def test_a_worker_that_does_not_end_within_its_limit_is_killed(drains):
    drains.stop_limit_s = 0.2
    codes = drain([drains], Event(), lambda _line: None)
    assert codes == {"worker-reports": -signal.SIGKILL}


def test_the_first_signal_stops_the_second_hurries_and_further_ones_change_nothing():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop, hurry = stop_events()
        signal.raise_signal(signal.SIGINT)
        assert stop.wait(30)
        assert not hurry.is_set()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
            assert hurry.wait(30)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
