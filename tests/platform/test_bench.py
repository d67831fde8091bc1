"""The bench at work, on what needs no other project's package: it ends, and tells of failures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.peers.probe import count_ended, read_stamps

pytestmark = pytest.mark.platform

TESTS = Path(__file__).parents[1]

STAMP = """
import probe
assert [probe.noop(number, sent_s, "") for number, sent_s in enumerate((0.0, 1.0, 1.0))] == [0, 1, 2]
"""


def bench(folder: Path, *words: str) -> list[dict]:
    """The rows of a bench whose cache of environments is a file: no peer's can be made."""
    cache, out = folder / "cache", folder / "runs.jsonl"
    cache.touch()
    command = [sys.executable, "-m", "bench", "--cache", cache, "--out", out, "--rounds", "1"]
    environment = {"PYTHONPATH": str(TESTS), "HOME": str(folder)}
    subprocess.run(
        [*command, *words], cwd=folder, env=environment, check=True, timeout=100, text=True
    )
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_an_arm_that_cannot_run_does_not_stop_the_others(tmp_path: Path) -> None:
    words = ("--kinds", "enqueue", "--only", "celery-delay", "laneway-delay", "--count", "30")
    rows = {row["arm"]: row for row in bench(tmp_path, *words) if row["kind"] == "enqueue"}
    assert "The environment of celery cannot be made" in rows["celery-delay"]["error"]
    assert rows["laneway-delay"]["rate"] > 0
    assert rows["laneway-delay-results"]["rate"] > 0


def test_stamps_of_several_processes_add_up(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(TESTS / "bench" / "peers"), "BENCH_STAMPS": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", STAMP], env=environment, check=True, timeout=30)
    stamps = read_stamps(tmp_path)
    assert count_ended(tmp_path) == stamps.ended == 6
    assert len(stamps.waits_s) == 4, "what warms up is counted, and not among the waits"
    assert 0 < stamps.first_start_s < stamps.last_end_s
