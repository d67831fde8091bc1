"""What one fault happens on: a Redis, a ledger, a lane with workers, and a producer."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from faults.arms import ARMS, LANE, LEASE_S, Arm, LaneFields, WorkerProcess
from faults.lane_state import Letter
from faults.ledger import Ledger, Run, open_ledger
from faults.proxy import FaultProxy
from faults.publishing import AWAY, Publisher
from redis_server import RedisServer, running_redis

RECOVERY_LIMIT_S = LEASE_S + 10.0
"""What the design promises: messages of a dead worker run again within their lease and 10 s."""

POLL_S = 0.05
SETTLE_POLL_S = 0.2
UNHEARD_LIMIT_S = 3.0
"""With nothing held any more, the last line of a task that ran is in the ledger after this."""

CLIENT_TIMEOUT_S = 5.0
PATIENCE_S = 60.0


ABORT = threading.Event()
"""Set once the whole run is to end."""


class Aborted(Exception):
    """The run was interrupted: whatever was started is to be ended."""


@dataclass(frozen=True)
class Setup:
    """What a fault asks for."""

    fields: LaneFields = field(default_factory=LaneFields)
    workers: int = 2
    proxied: bool = False
    """Whether each worker reaches Redis by way of a fault proxy of its own."""
    redis_options: dict[str, str] = field(default_factory=dict)
    restarts: int = 10
    """How many workers that ended may be replaced, as a Deployment would."""
    settle_limit_s: float = 90.0


class Stage:
    """One fault in one arm. Faults act on it; the verdict is read off its ledger."""

    lane = LANE

    def __init__(
        self, arm: Arm, server: RedisServer, ledger: Ledger, setup: Setup, rng: random.Random
    ) -> None:
        self.arm = arm
        self.redis = server
        self.ledger = ledger
        self.setup = setup
        self.rng = rng
        self.injected = 0
        self.broken: list[str] = []
        self.workers: list[WorkerProcess] = []
        self.proxies: dict[str, FaultProxy] = {}
        self.client = redis.Redis.from_url(
            server.admin_url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=CLIENT_TIMEOUT_S,
        )
        self.publisher = Publisher(arm.producer(server.url), self.client, LANE, ledger)
        self._ended_by_us: set[str] = set()
        self._restarts = 0
        self._proxies = ExitStack()

    # Workers

    def start(self, count: int = 1, **environment: str) -> list[WorkerProcess]:
        """Start workers and wait until they take messages."""
        new = [self.begin(**environment) for _ in range(count)]
        return [self.arm.wait_until_ready(worker) for worker in new]

    def begin(self, **environment: str) -> WorkerProcess:
        """Start a worker, without waiting for it."""
        url, proxy = self.redis.url, None
        if self.setup.proxied:
            proxy = FaultProxy(self.redis.port, self.rng.randrange(2**32))
            self._proxies.enter_context(proxy)
            url = f"redis://127.0.0.1:{proxy.port}/0"
        worker = self.arm.start(url, self.ledger.url, **environment)
        self.workers.append(worker)
        if proxy is not None:
            self.proxies[worker.name] = proxy
        return worker

    def alive(self) -> list[WorkerProcess]:
        """The workers that run."""
        return [worker for worker in self.workers if worker.alive]

    def kill(self, worker: WorkerProcess, since_s: float | None = None) -> None:
        """SIGKILL all of a worker; what it ran from `since_s` on, else now, was cut."""
        self._ended_by_us.add(worker.name)
        since_s = time.monotonic() if since_s is None else since_s
        worker.kill()
        self.ledger.cut(worker.name, since_s)

    def stop(self, worker: WorkerProcess, limit_s: float) -> int | None:
        """SIGTERM; its exit code, or None if it hung beyond its limit and was killed."""
        self._ended_by_us.add(worker.name)
        code = worker.stop(limit_s)
        if code is None:
            self.kill(worker)
        return code

    def replace_ended(self) -> int:
        """Start workers in place of those that ended by themselves, so far as allowed."""
        missing = self.setup.workers - len(self.alive())
        allowed = max(0, min(missing, self.setup.restarts - self._restarts))
        for _ in range(allowed):
            self.begin()
        self._restarts += allowed
        return allowed

    def ended_by_themselves(self) -> list[str]:
        """Workers that are gone, and were neither killed nor stopped."""
        return [w.name for w in self.workers if not w.alive and w.name not in self._ended_by_us]

    # Work

    def send(
        self, task: str = "faults.work", options: dict[str, Any] | None = None, **kwargs: Any
    ) -> str | None:
        """Publish one with the arm's producer; its id, or None if it was not accepted."""
        return self.publisher.send(task, kwargs, options or {})

    def bulk(self, count: int, task: str = "faults.work", **kwargs: Any) -> list[str]:
        """Publish so many at once; their ids, or none if they were not accepted."""
        return self.publisher.bulk(count, task, kwargs)

    def load(self, *seconds: float, floor: int = 100) -> AbstractContextManager[None]:
        """Keep the lane from running dry meanwhile, with tasks of these seconds in turn."""
        return self.publisher.load(self.arm.state, floor, seconds)

    # Looking

    def pause(self, least_s: float, most_s: float) -> None:
        """Wait for a random moment."""
        self.rest(self.rng.uniform(least_s, most_s))

    def rest(self, seconds: float) -> None:
        """Wait.

        Raises:
            Aborted: the whole run is to end.
        """
        if ABORT.wait(seconds):
            raise Aborted

    def inject(self, count: int = 1) -> None:
        """Count a fault."""
        self.injected += count

    def expect(self, holds: bool, promise: str) -> None:
        """Note a promise as broken unless it holds."""
        if not holds:
            self.broken.append(promise)

    def wait_for(self, condition: Callable[[], Any], what: str, limit_s: float = 30.0) -> Any:
        """The first true answer; None, and a broken promise, if there is none in time."""
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            with suppress(*AWAY):
                answer = condition()
                if answer:
                    return answer
            self.rest(POLL_S)
        self.broken.append(f"waited {limit_s:.0f} s in vain for {what}")
        return None

    def running(self, worker: WorkerProcess | None = None) -> list[Run]:
        """Runs under way of a live worker, or of any."""
        names = {w.name for w in self.alive() if worker in (None, w)}
        return [run for run in self.ledger.under_way() if run.worker in names and exists(run.pid)]

    def wait_until_running(self, count: int, worker: WorkerProcess | None = None) -> list[Run]:
        """Wait until so many tasks are under way at once."""

        def enough() -> list[Run]:
            now = self.running(worker)
            return now if len(now) >= count else []

        return self.wait_for(enough, f"{count} tasks under way at once") or []

    def wait_until_at_work(self, count: int) -> list[WorkerProcess]:
        """Wait until so many live workers have begun a first task; all of them."""

        def at_work() -> list[WorkerProcess]:
            found = [w for w in self.alive() if self.ledger.has_begun(w.name)]
            return found if len(found) >= count else []

        return self.wait_for(at_work, f"{count} workers at work", limit_s=60.0) or []

    def wait_for_progress(self, count: int = 20, limit_s: float = RECOVERY_LIMIT_S) -> None:
        """Wait until so many more tasks are done."""
        before = self.ledger.count()[1]
        self.wait_for(
            lambda: self.ledger.count()[1] >= before + count, f"{count} more tasks done", limit_s
        )

    def of(self, run: Run) -> WorkerProcess:
        """The worker of a run."""
        return next(worker for worker in self.workers if worker.name == run.worker)

    def held(self) -> int:
        """Messages without an outcome."""
        return self.arm.state.held(self.client, LANE)

    def dead_letters(self) -> list[Letter]:
        """The lane's dead letters."""
        return self.arm.state.dead_letters(self.client, LANE)

    def settle(self, accounted: Callable[[], set[str]], may_wait: int = 0) -> None:
        """Wait until all is accounted for, or until nothing more can come of what is not.

        That is: nothing is held any more, or nothing has moved for longer than a recovery takes.
        """
        deadline_s = time.monotonic() + self.setup.settle_limit_s
        seen: tuple[int, ...] = ()
        moved_s = time.monotonic()
        while time.monotonic() < deadline_s:
            self.replace_ended()
            with suppress(*AWAY):
                missing = len(self.ledger.missing() - accounted())
                held, busy = max(0, self.held() - may_wait), len(self.running())
                now = (missing, held, busy, *self.ledger.count())
                if now != seen:
                    seen, moved_s = now, time.monotonic()
                if not missing and not held and not busy:
                    return
                idle_s = time.monotonic() - moved_s
                waits = RECOVERY_LIMIT_S if held or busy else 0.0
                if idle_s > waits + UNHEARD_LIMIT_S:
                    return
            self.rest(SETTLE_POLL_S)

    def close(self) -> None:
        """End every worker, proxy and connection."""
        for worker in self.alive():
            worker.kill()
        self._proxies.close()
        self.publisher.close()
        self.client.close()


def patient_client(url: str) -> "redis.Redis":
    """A client for what takes its time; whatever goes wrong is told."""
    return redis.Redis.from_url(url, socket_timeout=PATIENCE_S, retry=Retry(NoBackoff(), 0))


def exists(pid: int) -> bool:
    """Whether a process runs."""
    return Path(f"/proc/{pid}").exists()


@contextmanager
def open_stage(arm_name: str, setup: Setup, folder: Path, rng: random.Random) -> Iterator[Stage]:
    """A stage with its workers ready, and nothing left of it afterwards."""
    folder.mkdir(parents=True)
    options = {"appendonly": "yes", "appendfsync": "everysec", **setup.redis_options}
    with ExitStack() as stack:
        server = stack.enter_context(running_redis(folder / "redis", **options))
        ledger = stack.enter_context(open_ledger(folder / "ledger"))
        stage = Stage(ARMS[arm_name](setup.fields, folder), server, ledger, setup, rng)
        stack.callback(stage.close)
        stage.start(setup.workers)
        yield stage
