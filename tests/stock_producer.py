"""A producer that knows Celery and nothing of Laneway: runs as a process of its own.

    python stock_producer.py URL < orders.json

Orders are a list of keyword arguments of `send_task`; `serializer` is one of them. Prints what
became of each, as Celery's own client reads it, unless started with `--no-wait`.
"""

import json
import sys
from typing import Any

from celery import Celery

WAIT_S = 60


def answer(result: Any) -> dict[str, Any]:
    value = result.get(timeout=WAIT_S, propagate=False)
    failed = isinstance(value, Exception)
    return {
        "id": result.id,
        "state": result.state,
        "result": None if failed else value,
        "error": f"{type(value).__name__}: {value}" if failed else None,
    }


def main() -> None:
    url = sys.argv[1]
    app = Celery(broker=url, backend=url)
    results = [app.send_task(**order) for order in json.load(sys.stdin)]
    if "--no-wait" in sys.argv:
        answers: list[dict[str, Any]] = [{"id": result.id} for result in results]
    else:
        answers = [answer(result) for result in results]
    assert not any(name.split(".")[0] == "laneway" for name in sys.modules), "not a stock producer"
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
