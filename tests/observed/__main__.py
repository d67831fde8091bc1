"""Lives a day of load and faults, and draws the dashboards from the Prometheus that scraped it.

    PYTHONPATH=tests python -m observed [FOLDER]

The pictures of the documents are made so. Prometheus and the collector are those in
`.cache/observed`, which `tools/observed.sh` fills.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from observed.day import LANES, Platform, live_a_day, platform_at_work, watched
from observed.servers import running_collector
from redis_server import running_redis
from worker_harness import TASKS_FOLDER

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".cache" / "observed"
STEADY_S = 45.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="?", default=ROOT / "docs" / "dashboards")
    pictures = parser.parse_args().pictures
    sys.path.insert(0, str(TASKS_FOLDER))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(running_redis(folder / "redis", appendonly="yes"))
        collector = stack.enter_context(
            running_collector(PROGRAMS / "otelcol", folder / "collector")
        )
        platform = stack.enter_context(platform_at_work(redis, folder, LANES, collector.url))
        server = stack.enter_context(watched(platform, PROGRAMS / "prometheus"))
        began_s = time.time()
        _work_steadily(platform)
        live_a_day(platform)
        _work_steadily(platform)
        hours = (time.time() - began_s) / 3_600
        words = ["--prometheus", server.url, "--hours", f"{hours:.4f}", "--scrape", "1"]
        module = "laneway.observability.mixin.dashboards"
        boards = ROOT / "charts" / "laneway" / "files" / "dashboards"
        subprocess.run(
            [sys.executable, "-m", module, boards, "--pictures", pictures, *words], check=True
        )


def _work_steadily(platform: Platform) -> None:
    """An even load on every lane, now and then with a retry."""
    lanes = [platform.lane(name) for name in LANES]
    until_s, turn = time.monotonic() + STEADY_S, 0
    while time.monotonic() < until_s:
        for lane in lanes:
            lane.send("lane.add", x=1, y=2)
        if turn % 10 == 0:
            lanes[0].send("lane.retry", countdown=0.5)
            lanes[1].send("fate.short", mark=str(platform.folder / "steady"), seconds=0.3)
        turn += 1
        time.sleep(0.1)


if __name__ == "__main__":
    main()
