"""Where a run happens: a Redis of the bench's own, a folder of its own, processes ended by pid."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from bench.arms import COLLECTOR, Arm
from bench.environments import Environments
from bench.machine import busy_seconds, cpu_seconds, session_members
from bench.peers.probe import Stamps, count_ended, read_stamps
from laneway.services.local.processes import free_port
from observed.servers import Collector, running_collector
from redis_server import RedisServer, running_redis

PEERS = Path(__file__).with_name("peers")
LIST = "bench"
POLL_S = 0.02
PRODUCE_LIMIT_S = 600.0
ACKS_S = 0.25
"""After the last end: acknowledgements may be on their way."""

WARM_SHARE = 0.1
"""What is counted per task is counted from here on: all processes have started by then."""

LOG_LINES = 12
STOP_LIMIT_S = 10.0
BESIDE_S = 3.0
"""For what runs beside the workers to start before them."""


class RunFailed(Exception):
    """A run has no figures; the message says why, with the last words of the workers' log."""


@dataclass(frozen=True)
class Load:
    """What the workers of a run are given."""

    count: int = 40_000
    payload_bytes: int = 0
    width: int = 2
    keeps_results: bool = False
    aof: bool = False


@dataclass(frozen=True)
class Look:
    """What had been used and done at one moment."""

    at_s: float
    ended: int
    worker_cpu_s: float
    redis_cpu_s: float
    others_cpu_s: float
    """Neither workers, nor Redis, nor the bench and the producers that it has waited for."""
    beside_cpu_s: float
    """Of a collector and of what else runs beside the workers."""
    commands: int
    reads: int


class Server:
    """A Redis of the bench's own."""

    def __init__(self, server: RedisServer, *, aof: bool) -> None:
        self.url, self._aof = server.url, aof
        self.client = redis.Redis.from_url(server.url)

    def empty(self) -> None:
        """Forget the last run, in the append-only file too: a rewrite would disturb the next."""
        self.client.flushall()
        if self._aof:
            self.client.bgrewriteaof()
            while self.client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(POLL_S)
        self.client.config_resetstat()

    def usage(self) -> tuple[float, int, int]:
        """CPU seconds, commands (those in scripts too), reads of sockets: about round trips."""
        told = self.client.info()
        cpu_s = told["used_cpu_user"] + told["used_cpu_sys"]
        return cpu_s, told["total_commands_processed"], told["total_reads_processed"]

    def calls(self) -> dict[str, int]:
        """How often each command was called since `empty` or the last reset."""
        told = self.client.info("commandstats")
        return {name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items()}


@dataclass
class Stage:
    """What the runs of one bench share. `limit_s` bounds each wait for tasks."""

    environments: Environments
    folder: Path
    limit_s: float
    closing: ExitStack
    collector_binary: Path = Path(".cache/observed/otelcol")
    _servers: dict[bool, Server] = field(default_factory=dict)
    _collector: Collector | None = None
    _kept: dict[tuple[Any, ...], bytes] = field(default_factory=dict)

    def server(self, *, aof: bool) -> Server:
        if aof not in self._servers:
            options = {"appendonly": "yes", "appendfsync": "everysec"} if aof else {}
            started = running_redis(self.folder / f"redis-aof-{aof}", **options)
            self._servers[aof] = Server(self.closing.enter_context(started), aof=aof)
        return self._servers[aof]

    @property
    def collector(self) -> Collector:
        """An OpenTelemetry Collector, started when it is first asked for.

        Raises:
            RunFailed: there is none.
        """
        if self._collector is None:
            if not self.collector_binary.exists():
                raise RunFailed("there is no collector: run `sh tools/observed.sh` first")
            started = running_collector(self.collector_binary.resolve(), self.folder / "collector")
            self._collector = self.closing.enter_context(started)
        return self._collector

    @property
    def collector_pids(self) -> list[int]:
        """Of the collector, if it was started."""
        return [] if self._collector is None else [self._collector.process.pid]

    @contextmanager
    def run(self, arm: Arm, load: Load) -> Iterator["Run"]:
        """An arm on an emptied Redis; what it started is ended."""
        server = self.server(aof=load.aof)
        server.empty()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        run = Run(self, server, arm, load, folder)
        try:
            yield run
        finally:
            run.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def messages(self, run: "Run", count: int) -> bytes:
        """A list of stock Celery's messages as Redis dumps it, made once and put back each time."""
        key = (run.arm.producer, run.load.keeps_results, count)
        if key not in self._kept:
            run.produce(count)
            self._kept[key] = run.server.client.dump(LIST) or b""
            run.server.empty()
        return self._kept[key]


class Run:
    """One arm's workers, from their messages to their end."""

    def __init__(self, stage: Stage, server: Server, arm: Arm, load: Load, folder: Path) -> None:
        self.stage, self.server, self.arm, self.load, self.folder = stage, server, arm, load, folder
        self.started_s = 0.0
        self._workers: list[subprocess.Popen[bytes]] = []
        self._beside: list[subprocess.Popen[bytes]] = []
        self._log = folder / "log.txt"

    def fill(self, count: int) -> None:
        """Put so many tasks where the workers will look for them."""
        if self.arm.producer.wire and not self.load.payload_bytes:
            self.server.client.restore(LIST, 0, self.stage.messages(self, count), replace=True)
        else:
            self.produce(count)

    def produce(self, count: int, *, rate: float = 0.0, warm: int = 0) -> dict[str, float]:
        """Send so many tasks from a process of its own; what it tells of its pace."""
        producer = self.arm.producer
        way = (rate and producer.steady_way) or producer.way
        python = self.stage.environments.bin(producer.environment) / "python"
        options = {"--bytes": self.load.payload_bytes, "--rate": rate, "--warm": warm}
        words = [str(word) for option in options.items() for word in option]
        command = [python, PEERS / "produce.py", producer.peer, way, str(count), *words]
        environment = self.environment(producer.environment)
        with self._log.open("ab") as log:
            done = subprocess.run(
                command,
                env=environment,
                cwd=self.folder,
                check=False,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=PRODUCE_LIMIT_S,
            )
        if done.returncode:
            raise RunFailed(f"the producer ended with {done.returncode}: {self._last_words()}")
        return json.loads(done.stdout.splitlines()[-1])

    def start(self, **given: str) -> None:
        """Start the workers; `given` reaches their tasks as BENCH_ variables."""
        assert self.arm.workers is not None
        programs = self.stage.environments.bin(self.arm.environment)
        self.started_s = time.time()

        def started(program: str, *rest: str) -> subprocess.Popen[bytes]:
            with self._log.open("ab") as log:
                return subprocess.Popen(
                    [programs / program, *rest],
                    # Made anew for each: it holds a port.
                    env={
                        **self.environment(self.arm.environment, **given),
                        **self._own_settings(),
                    },
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

        if self.arm.beside is not None:
            self._beside.append(started(*self.arm.beside))
            time.sleep(BESIDE_S)
            self.started_s = time.time()
        self._workers += [started(*command) for command in self.arm.workers(self.load.width)]

    def _own_settings(self) -> dict[str, str]:
        """Those of the arm, with the collector's address in place."""
        return {
            name: self.stage.collector.url if value == COLLECTOR else value
            for name, value in self.arm.settings.items()
        }

    def environment(self, name: str, **given: str) -> dict[str, str]:
        """The variables of a process: the bench's, Laneway's, and none of the caller's own."""
        inherited = {
            key: value
            for key, value in os.environ.items()  # noqa: TID251 - handed on
            if not key.startswith(("LANEWAY_", "CELERY_", "BENCH_", "PYTHON"))
        }
        programs = self.stage.environments.bin(name)
        bench = {
            "REDIS_URL": self.server.url,
            "STAMPS": str(self.folder),
            "RESULTS": "keep" if self.load.keeps_results else "",
            **given,
        }
        return {
            **inherited,
            "PATH": f"{programs}{os.pathsep}{inherited.get('PATH', '')}",
            "PYTHONPATH": str(PEERS),
            **{f"BENCH_{key}": value for key, value in bench.items()},
            **self._settings(),
        }

    def look(self) -> Look:
        """What has been used and done by now."""
        worker_cpu_s = cpu_seconds(_members(self._workers))
        beside_cpu_s = cpu_seconds([*_members(self._beside), *self.stage.collector_pids])
        redis_cpu_s, commands, reads = self.server.usage()
        own = os.times()
        own_s = own.user + own.system + own.children_user + own.children_system
        return Look(
            at_s=time.time(),
            ended=count_ended(self.folder),
            worker_cpu_s=worker_cpu_s,
            redis_cpu_s=redis_cpu_s,
            others_cpu_s=busy_seconds() - worker_cpu_s - redis_cpu_s - own_s - beside_cpu_s,
            beside_cpu_s=beside_cpu_s,
            commands=commands,
            reads=reads,
        )

    def wait(self, count: int) -> None:
        """Wait until so many tasks have ended.

        Raises:
            RunFailed: the workers are gone, or the time is over.
        """
        deadline_s = time.monotonic() + self.stage.limit_s
        while (ended := count_ended(self.folder)) < count:
            if all(worker.poll() is not None for worker in self._workers):
                raise RunFailed(f"the workers ended by themselves: {self._last_words()}")
            if time.monotonic() > deadline_s:
                raise RunFailed(
                    f"{ended} of {count} tasks ended within {self.stage.limit_s:.0f} s. Allow more "
                    f"with --limit, or ask for fewer with --count.\n{self._last_words()}"
                )
            time.sleep(POLL_S)

    def settle(self) -> None:
        """Let acknowledgements arrive."""
        time.sleep(ACKS_S)

    def stamps(self) -> Stamps:
        return read_stamps(self.folder)

    def stop(self) -> None:
        """End all that it started, at once: what they leave in Redis is forgotten anyway."""
        # Parents first, as some would start another child; and again, as one may just have.
        deadline_s = time.monotonic() + STOP_LIMIT_S
        started = [*self._workers, *self._beside]
        while (members := _members(started)) and time.monotonic() < deadline_s:
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        for process in started:
            process.wait(STOP_LIMIT_S)

    def _settings(self) -> dict[str, str]:
        """What a lane's worker and its producers are told, as its users tell them."""
        catalogue = self.folder / "queues.yaml"
        fields = self.arm.lane(self.load.width) if self.arm.lane else {}
        lane = {"tasks": ["bench.*"], **fields}
        catalogue.write_text(json.dumps({"queues": {LIST: lane}}))  # JSON is YAML
        settings = {
            "BROKER_URL": self.server.url,
            "QUEUES_FILE": str(catalogue),
            "TASK_MODULES": "celery_tasks",
            # The peers log nothing of a task that went well.
            "LOG_LEVEL": "warning",
            "HEALTH_BIND": f"127.0.0.1:{free_port()}",
        }
        return {f"LANEWAY_{name}": value for name, value in settings.items()}

    def _last_words(self) -> str:
        """The last line of the log, and under it the last few."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join((*lines[-1:], *lines[-LOG_LINES:]))


def _members(started: list[subprocess.Popen[bytes]]) -> list[int]:
    """Processes of the sessions that these began."""
    return [pid for process in started for pid in session_members(process.pid)]
