"""Lines between workers and Redis that are slow, or that break in the middle of a word."""

from faults.fault import Fault, Sizes, mostly_short
from faults.stage import Setup, Stage

MOST_BYTES_LOG10 = 4.7
"""Resets come after 1 to 50,000 bytes, as often among few as among many."""


class ProxyResets(Fault):
    """Each worker's connections are reset after a random count of bytes, again and again.

    A claim whose answer never arrived is not lost, and an acknowledgement that may have arrived is
    sent anew.
    """

    name = "connections reset after n bytes"
    sizes = Sizes(short=4, medium=12, full=80)
    setup = Setup(proxied=True)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(1.0, among=50)):
            for _ in range(times):
                for proxy in stage.proxies.values():
                    proxy.reset_after(int(10 ** stage.rng.uniform(0, MOST_BYTES_LOG10)))
                stage.pause(0.1, 0.8)
                for proxy in stage.proxies.values():
                    proxy.heal()
                stage.pause(0.0, 0.3)
                stage.inject()
            stage.wait_for_progress()


class OneWay(Fault):
    """One way of a worker's line is dead for 2 s, less than may be missed of a lease; then it heals.

    Answers that never came, and words that Redis never heard, cost nothing.
    """

    name = "line dead one way for 2 s"
    sizes = Sizes(short=0, medium=4, full=20)
    setup = Setup(proxied=True)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(4.0, among=100)):
            for number in range(times):
                worker = stage.rng.choice(stage.alive())
                stage.proxies[worker.name].black_hole("down" if number % 2 else "up")
                stage.rest(2.0)
                stage.proxies[worker.name].heal()
                stage.inject()
                stage.pause(0.5, 1.5)
            stage.wait_for_progress()


class SlowRedis(Fault):
    """Redis is 10 ms away each way, then 50 ms: work goes on, and nobody is taken for dead."""

    name = "Redis 10 and 50 ms away"
    sizes = Sizes(short=0, medium=2, full=6)
    setup = Setup(proxied=True)

    def inject(self, stage: Stage, times: int) -> None:
        for number in range(times):
            latency_ms = (10, 50)[number % 2]
            for proxy in stage.proxies.values():
                proxy.slow(latency_ms, latency_ms / 5)
            stage.bulk(100, seconds=0.01)
            for _ in range(2):
                stage.send(seconds=7.0)  # longer than a lease
            stage.inject()
            stage.wait_for(lambda: not stage.held(), "the lane to be empty", limit_s=60.0)
