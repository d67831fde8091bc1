"""A task with a rate limit that the environment names: `BENCH_RATE`, in Celery's words."""

import os
import time
from pathlib import Path

from celery import shared_task


@shared_task(
    name="bench.rated",
    rate_limit=os.environ.get("BENCH_RATE"),  # noqa: TID251 - the bench's own variable
    ignore_result=True,
)
def rated(mark: str) -> None:
    """Leaves when it ran in the file `mark`, seconds since the epoch."""
    with Path(mark).open("a", encoding="utf-8") as file:
        file.write(f"{time.time():.6f}\n")
