"""examples/team, run as its README says: a team's own tasks on a lane of their own."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from laneway.services.local.processes import free_port
from lesson_harness import order
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

FOLDER = Path(__file__).parents[2] / "examples" / "team"
SERVE, SUBMIT = re.findall(
    r"^```\n(.*?)^```", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
VARIABLES, WORKER = SERVE.splitlines()
RENDER, COUNT, REFUSED = SUBMIT.splitlines()


@pytest.fixture(scope="module")
def environment(module_redis: RedisServer) -> dict[str, str]:
    return {
        **os.environ,  # noqa: TID251 - handed on
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "LANEWAY_BROKER_URL": module_redis.url,
        "LANEWAY_HEALTH_BIND": f"127.0.0.1:{free_port()}",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module", autouse=True)
def _worker(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    log = tmp_path_factory.mktemp("team") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"{VARIABLES}\nexec {WORKER}"],
            cwd=FOLDER,
            env=environment,
            stdout=output,
            stderr=output,
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            url = f"http://{environment['LANEWAY_HEALTH_BIND']}/readyz"
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False

    try:
        wait_for(ready, "the team's worker")
        yield
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def run(environment: dict[str, str], line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{VARIABLES}\n{line}"],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_both_tasks_run_on_the_teams_lane(environment) -> None:
    for line, expected in ((RENDER, '"rendered"'), (COUNT, "2")):
        done = run(environment, f"{line} --json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["state"], told["queue"]) == ("SUCCESS", "reports")
        assert expected in json.dumps(told["result"])


def test_a_broken_payload_is_refused_with_field_and_reason(environment) -> None:
    done = run(environment, REFUSED)
    assert done.returncode != 0
    assert "month: String should match pattern" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stock_producer_reaches_them_and_the_contract_holds_there_too(module_redis) -> None:
    good, bad = order(
        module_redis,
        [
            {"name": "reports.count", "args": [["a", "b", "c"]], "queue": "reports"},
            {"name": "reports.render", "kwargs": {"month": "soon"}, "queue": "reports"},
        ],
    )
    assert good["result"] == 3
    assert bad["state"] == "FAILURE"
    assert "month: String should match pattern" in bad["error"]
    assert "soon" not in bad["error"]
