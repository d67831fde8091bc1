"""`laneway up` as a person runs it, and every command of the CLI against it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from laneway.services.local.samples import SAMPLES
from worker_harness import TASKS_FOLDER, wait_for

pytestmark = pytest.mark.platform

LANEWAY = [sys.executable, "-m", "laneway.services.cli.main"]


class Up:
    """A platform held by `laneway up --json`."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **os.environ,  # noqa: TID251 - handed on
            "LANEWAY_TASK_MODULES": "lane_tasks",
            "PYTHONPATH": str(TASKS_FOLDER),
            "COLUMNS": "200",
        }
        self.process = subprocess.Popen(
            [*LANEWAY, "up", "--json", "--data", str(folder)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr and self.process.stderr.read()
        self.where: dict[str, Any] = json.loads(line)
        self.environment |= {
            "LANEWAY_BROKER_URL": self.where["broker"],
            "LANEWAY_STORAGE_URL": self.where["storage"],
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command of the CLI against this platform."""
        return subprocess.run(
            [*LANEWAY, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platform")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    platform = Up(folder)
    yield platform
    if platform.process.poll() is None:
        platform.stop()


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_up_tells_every_address_and_pid_on_one_line(up: Up) -> None:
    assert {"broker", "results", "gateway", "smtp", "lanes", "storage"} <= up.where.keys()
    assert up.where["results"] == up.where["broker"]
    assert set(up.where["lanes"]) == {"high-priority", "documents", "notifications"}
    for lane, address in up.where["lanes"].items():
        assert alive(address["pid"])
        with urllib.request.urlopen(address["metrics"], timeout=5) as answer:
            assert f'laneway_consuming{{queue="{lane}"}} 1.0' in answer.read().decode()


def test_submit_waits_and_shows_the_result(up: Up) -> None:
    done = up.run("submit", "lane.add", "-q", "high-priority", "-k", '{"x": 2, "y": 3}', "--wait")
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout


def test_a_failed_task_makes_submit_wait_end_with_1(up: Up) -> None:
    done = up.run("submit", "lane.fail", "-q", "high-priority", "--wait", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["state"] == "FAILURE"


def test_status_and_result_of_a_task(up: Up) -> None:
    submitted = up.run(
        "submit", "lane.add", "-q", "high-priority", "-k", '{"x": 2, "y": 3}', "--json"
    )
    task_id = json.loads(submitted.stdout)["task_id"]
    result = up.run("result", task_id, "--wait")
    assert (result.returncode, json.loads(result.stdout)) == (0, 5)
    status = json.loads(up.run("status", task_id, "--json").stdout)
    assert (status["state"], status["queue"], status["task"]) == (
        "SUCCESS",
        "high-priority",
        "lane.add",
    )


UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("words", [("status",), ("result",), ("result", "--wait")])
def test_an_unknown_id_is_told_as_unknown(up: Up, words: tuple[str, ...]) -> None:
    asked = up.run(*words, UNKNOWN_ID)
    assert asked.returncode == 1
    assert "is not known" in asked.stderr
    assert "PENDING" not in asked.stderr


def test_an_unknown_id_ends_with_the_same_code_in_json(up: Up) -> None:
    asked = up.run("status", UNKNOWN_ID, "--json")
    assert (asked.returncode, json.loads(asked.stdout)["known"]) == (1, False)


def test_brackets_in_a_result_are_shown_as_they_are(up: Up) -> None:
    payload = '{"x": "see [1] and ", "y": "[/nope]"}'
    done = up.run("submit", "lane.add", "-q", "high-priority", "-k", payload, "--wait")
    assert done.returncode == 0, done.stderr
    assert "see [1] and [/nope]" in done.stdout


def test_a_second_platform_in_the_same_folder_is_refused(up: Up, folder: Path) -> None:
    refused = up.run("up", "--data", str(folder))
    assert refused.returncode == 1
    assert f"process id {up.process.pid} uses" in refused.stderr
    assert "--data OTHER" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_running_task_is_called_off_by_revoke(up: Up) -> None:
    submitted = up.run(
        "submit", "lane.sleep", "-q", "high-priority", "-k", '{"seconds": 60}', "--json"
    )
    task_id = json.loads(submitted.stdout)["task_id"]

    def state() -> str:
        return str(json.loads(up.run("status", task_id, "--json").stdout)["state"])

    wait_for(lambda: state() == "STARTED", "the task to start")
    assert up.run("revoke", task_id, "--terminate").returncode == 0
    wait_for(lambda: state() == "REVOKED", "the task to be revoked")


def test_a_document_is_processed_from_the_command_line_and_found(up: Up, folder: Path) -> None:
    sample = SAMPLES[-1]
    source = folder / "storage" / "documents" / "someone" / sample.filename
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(
        files("laneway.services.local.samples").joinpath(sample.filename).read_bytes()
    )
    payload = {"file_path": str(source), "user_id": "someone", "collection": "cli"}
    done = up.run("submit", "documents.process", "-k", json.dumps(payload), "--wait", "--json")
    assert done.returncode == 0, done.stdout + done.stderr

    found = up.run("search", sample.sentence, "--collection", "cli", "--json")

    hits = json.loads(found.stdout)
    assert any(sample.sentence in " ".join(hit["text"].split()) for hit in hits)
    assert sample.filename in up.run("search", sample.sentence, "--collection", "cli").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("submit", "nope.nope"), "UnknownTask: There is no task 'nope.nope'. Known tasks:"),
        (("submit", "lane.add", "-q", "nope"), "UnknownQueue: There is no queue 'nope'. Known"),
        (("submit", "documents.process", "-k", "{}"), "InvalidPayload"),
        (("submit", "lane.add", "-k", "[1"), "--kwargs is not JSON"),
        (("submit", "documents.process", "-q", "notifications"), "TaskNotAdmitted"),
        (("worker", "--queue", "nope"), "UnknownQueue: There is no queue 'nope'. Known queues:"),
    ],
)
def test_bad_input_ends_with_one_message_and_no_traceback(
    up: Up, words: tuple[str, ...], message: str
) -> None:
    refused = up.run(*words)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_queues_lists_the_lanes(up: Up) -> None:
    rows = json.loads(up.run("queues", "--json").stdout)
    assert [row["queue"] for row in rows] == ["high-priority", "documents", "notifications"]
    assert {"ready", "in_flight", "dead", "concurrency"} <= rows[0].keys()
    assert "notifications" in up.run("queues").stdout
    assert "softTimeLimit" in up.run("queues", "--fields").stdout


def test_top_finds_the_platform_by_its_folder(up: Up, folder: Path) -> None:
    told = json.loads(up.run("top", "--data", str(folder), "--json").stdout)
    lanes = {lane["lane"]: lane for lane in told["lanes"]}
    assert list(lanes) == ["high-priority", "documents", "notifications"]
    assert told["unread"] == []
    assert all(lane["workers"] == 1 and lane["slots"] for lane in lanes.values())


def test_the_doctor_finds_this_platform_well(up: Up) -> None:
    examined = up.run("doctor", "--json")
    assert examined.returncode == 0, examined.stdout
    findings = {finding["check"]: finding["level"] for finding in json.loads(examined.stdout)}
    assert findings == dict.fromkeys(
        (
            "settings",
            "version",
            "persistence",
            "eviction",
            "clock",
            "results",
            "catalogue",
            "limits",
            "storage",
            "extras",
        ),
        "ok",
    )


def test_the_doctor_says_the_cure_of_a_redis_that_is_not_there(up: Up) -> None:
    up_elsewhere = {**up.environment, "LANEWAY_BROKER_URL": "redis://:hush@127.0.0.1:1/0"}
    examined = subprocess.run(
        [*LANEWAY, "doctor"],
        env=up_elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert examined.returncode == 1
    assert "LANEWAY_BROKER_URL" in examined.stdout
    assert "hush" not in examined.stdout


def test_settings_say_where_they_come_from_and_hide_secrets(up: Up) -> None:
    rows = {row["setting"]: row for row in json.loads(up.run("settings", "--json").stdout)}
    assert rows["LANEWAY_BROKER_URL"]["from"] == "environment LANEWAY_BROKER_URL"
    assert rows["LANEWAY_SMTP_PORT"]["from"] == "default"


def test_shell_completion_knows_tasks_and_queues(up: Up) -> None:
    script = Path(sys.executable).with_name("laneway")
    completed = subprocess.run(
        [script],
        env={
            **up.environment,
            "_LANEWAY_COMPLETE": "complete_bash",
            "COMP_WORDS": "laneway submit documents.",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "documents.process" in completed.stdout


def test_a_worker_that_dies_is_started_again(up: Up) -> None:
    pid = up.where["lanes"]["notifications"]["pid"]
    metrics = up.where["lanes"]["notifications"]["metrics"].replace("/metrics", "/readyz")
    os.kill(pid, 9)

    def ready_again() -> bool:
        if alive(pid) and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            return False
        try:
            with urllib.request.urlopen(metrics, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_for(ready_again, "the worker to be started again")


def test_up_stops_cleanly_and_what_was_queued_runs_next_time(up: Up, folder: Path) -> None:
    submitted = up.run(
        "submit",
        "lane.add",
        "-q",
        "high-priority",
        "-k",
        '{"x": 1, "y": 1}',
        "--countdown",
        "4",
        "--json",
    )
    task_id = json.loads(submitted.stdout)["task_id"]
    pids = [up.where["lanes"]["documents"]["pid"], *up.where["pids"].values()]

    assert up.stop() == 0
    assert not any(map(alive, pids))
    assert up.run("top", "--data", str(folder), "--json").returncode == 1

    again = Up(folder)
    try:
        assert json.loads(again.run("result", task_id, "--wait").stdout) == 2
    finally:
        assert again.stop() == 0


def test_a_second_signal_gives_back_what_runs_and_still_ends_cleanly(tmp_path: Path) -> None:
    platform = Up(tmp_path)
    payload = '{"seconds": 300}'
    submitted = platform.run("submit", "lane.sleep", "-q", "high-priority", "-k", payload, "--json")
    task_id = json.loads(submitted.stdout)["task_id"]

    def started() -> bool:
        return '"STARTED"' in platform.run("status", task_id, "--json").stdout

    wait_for(started, "the task to start")
    assert platform.process.stderr is not None
    platform.process.terminate()
    for line in platform.process.stderr:
        if "Waiting for worker-high-priority" in line:
            assert "Ctrl-C again" in line
            break
    assert platform.stop() == 0


def test_ctrl_c_ends_the_demonstration_early_and_cleanly(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*LANEWAY, "demo", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("Submitted"):
                demo.send_signal(signal.SIGINT)
            elif "cut short" in line:
                demo.send_signal(signal.SIGINT)
                break
        shown, errors = demo.communicate(timeout=100)
    assert demo.returncode == 130
    assert "nothing is left running" in shown
    assert errors == ""
