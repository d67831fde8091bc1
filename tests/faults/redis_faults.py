"""Redis dies, stands still, throws everybody out, or is full."""

import time

from faults.arms import LEASE_S, with_fields
from faults.fault import Fault, Sizes, mostly_short
from faults.stage import Setup, Stage


class RedisRestart(Fault):
    """Redis is killed and started again, with an append-only file that is synced every second.

    What it had answered, it has; nobody runs anything twice, as acknowledgements are sent anew.
    """

    name = "Redis SIGKILL and restart, AOF everysec"
    sizes = Sizes(short=1, medium=4, full=20)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(0.2)):
            for _ in range(times):
                stage.wait_for_progress()
                stage.pause(0.0, 0.5)
                stage.redis.kill()
                stage.pause(0.0, 1.0)
                stage.redis.start()
                stage.inject()
            stage.wait_for_progress()


class ShortFreeze(Fault):
    """Redis stands still for 3 s, less than workers may miss renewing in a lease of 5 s.

    Nothing that runs is given to another.
    """

    name = "Redis stalled 3 s"
    sizes = Sizes(short=0, medium=1, full=6)
    frozen_s = 3.0

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(2 * self.frozen_s, among=50)):
            for _ in range(times):
                stage.wait_for_progress()
                stage.pause(0.0, 1.0)
                since_s = time.monotonic()
                stage.redis.freeze()
                stage.rest(self.frozen_s)
                stage.redis.thaw()
                stage.inject()
                if self.frozen_s > LEASE_S:
                    for worker in stage.alive():
                        stage.ledger.cut(worker.name, since_s)
            stage.wait_for_progress()


class LongFreeze(ShortFreeze):
    """Redis stands still for 10 s, longer than the lease: what ran meanwhile may run again."""

    name = "Redis stalled 10 s"
    sizes = Sizes(short=0, medium=1, full=4)
    frozen_s = 10.0


class ConnectionKill(Fault):
    """Redis closes every client's connection (CLIENT KILL TYPE normal), again and again.

    Workers come back; nothing they run is given to another, and nothing they took is gone.
    """

    name = "CLIENT KILL of every connection"
    sizes = Sizes(short=5, medium=20, full=100)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.redis.client() as killer, stage.load(*mostly_short(2.0, among=50)):
            for _ in range(times):
                stage.pause(0.05, 0.6)
                killer.client_kill_filter(_type="normal", skipme=True)
                stage.inject()
            stage.wait_for_progress()


class LongTask(Fault):
    """Tasks of three leases run while every connection is closed every other second: once each."""

    name = "tasks of three leases, connections killed"
    sizes = Sizes(short=0, medium=7, full=14)
    setup = Setup(workers=3)

    def inject(self, stage: Stage, times: int) -> None:
        tasks = 4  # two slots stay free, and would take what seems abandoned
        for _ in range(tasks):
            stage.send(seconds=max(3.0 * LEASE_S, 2.0 * times))
        stage.wait_until_running(tasks)
        with stage.redis.client() as killer:
            for _ in range(times):
                stage.pause(1.8, 2.2)
                killer.client_kill_filter(_type="normal", skipme=True)
                stage.inject()

    def check(self, stage: Stage) -> None:
        runs, tasks = len(stage.ledger.runs()), len(stage.ledger.accepted())
        stage.expect(runs == tasks, f"{tasks} long tasks were begun {runs} times")


class RedisFull(Fault):
    """Publishers fill Redis up to its maxmemory, and go on trying, while workers drain the lane.

    Publishers are refused; workers work on, whatever Redis refuses, and what was accepted runs.
    """

    name = "Redis full"
    sizes = Sizes(short=0, medium=1, full=3)
    setup = Setup(
        fields=with_fields(concurrency=4),
        redis_options={"maxmemory": "24mb", "maxmemory-policy": "noeviction"},
    )
    padding_bytes = 20_000
    tried_on_s = 5.0

    def inject(self, stage: Stage, times: int) -> None:
        for _ in range(times):
            refused, until_s = stage.publisher.refused, 0.0
            deadline_s = time.monotonic() + 60.0
            while time.monotonic() < (until_s or deadline_s):
                stage.bulk(20, seconds=0.02, padding="x" * self.padding_bytes)
                if not until_s and stage.publisher.refused > refused:
                    until_s = time.monotonic() + self.tried_on_s
                    stage.inject()
            stage.expect(bool(until_s), "Redis was never full")
            stage.wait_for_progress()
            stage.wait_for(lambda: not stage.held(), "the lane to be empty", limit_s=90.0)
