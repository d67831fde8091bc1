"""Send COUNT tasks from one process, in one of the WAYS of a peer; prints the pace as JSON.

    python produce.py PEER WAY COUNT [--bytes N] [--rate TASKS_PER_S] [--warm N]

With a rate the sends are open-loop: at fixed times, however long the last one took. What warms
up is sent first, with no stamp, and is not in the pace.
"""

import argparse
import asyncio
import inspect
import json
import string
import time
from importlib import import_module


class Orders:
    """The arguments of one task after another, each made just before it is sent."""

    def __init__(self, count: int, warm: int, rate: float, payload: str) -> None:
        self._count, self._warm, self._payload = count, warm, payload
        self._step_s = 1 / rate if rate else 0.0
        self.began_s = self.began_cpu_s = 0.0

    def __iter__(self):
        for number in range(self._warm):
            # Sleeping holds up nothing: a producer does one thing at a time, the async ones too.
            time.sleep(self._step_s)
            yield number, 0.0, self._payload
        self.began_s, self.began_cpu_s = time.time(), time.process_time()
        for number in range(self._count):
            if self._step_s:
                time.sleep(max(0.0, self.began_s + number * self._step_s - time.time()))
            yield number, time.time(), self._payload


def payload_of(size_bytes: int) -> str:
    """Text of so many bytes."""
    letters = string.ascii_letters + string.digits
    return (letters * (size_bytes // len(letters) + 1))[:size_bytes]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("way")
    parser.add_argument("count", type=int)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--warm", type=int, default=0)
    asked = parser.parse_args()
    send = import_module(f"{asked.peer}_peer").WAYS[asked.way]
    orders = Orders(asked.count, asked.warm, asked.rate, payload_of(asked.bytes))
    sending = send(orders)
    if inspect.iscoroutine(sending):
        asyncio.run(sending)
    took_s, cpu_s = time.time() - orders.began_s, time.process_time() - orders.began_cpu_s
    pace = {"rate": asked.count / took_s, "cpu_us": 1e6 * cpu_s / max(1, asked.count)}
    print(json.dumps(pace))


if __name__ == "__main__":
    main()
