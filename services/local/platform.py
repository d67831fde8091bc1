"""The platform: its processes in the order they start, and in reverse the order they stop."""

import sys
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self, TextIO
from urllib.error import URLError

import redis

from laneway.services.local.draining import drain
from laneway.services.local.endpoints import forget_endpoints, write_endpoints
from laneway.services.local.folder_lock import lock_folder
from laneway.services.local.observing import Observing, spans_file
from laneway.services.local.processes import (
    ManagedProcess,
    StartFailed,
    answers,
    free_port,
    require_free,
)
from laneway.services.local.redis_server import redis_binary, redis_command
from laneway.services.local.upkeep import Upkeep
from laneway.tasks.queues import Catalogue

START_LIMIT_S = 60.0
DRAIN_MARGIN_S = 15.0


@dataclass(frozen=True)
class Ports:
    """Where things listen on 127.0.0.1; 0 means a free port."""

    redis: int = 0
    gateway: int = 0
    smtp: int = 0

    def by_option(self) -> dict[str, int]:
        """Each under the name of its option."""
        return {
            "--redis-port": self.redis,
            "--gateway-port": self.gateway,
            "--smtp-port": self.smtp,
        }


@dataclass(frozen=True)
class LaneAddress:
    """One lane's worker."""

    pid: int
    metrics: str


@dataclass(frozen=True)
class Addresses:
    """Where everything is."""

    broker: str
    results: str
    gateway: str
    smtp: str
    lanes: dict[str, LaneAddress]
    pids: dict[str, int] = field(default_factory=dict)
    data: str = ""
    storage: str = ""
    logs: str = ""
    mails: str = ""
    prometheus: str = ""
    """Empty where nobody observes; `spans` too."""
    spans: str = ""


class Platform:
    """Redis, mail sink, a worker per lane and the gateway, as a context manager.

    Data lie in `folder` and outlive the platform: what is queued when it stops runs next time.
    """

    def __init__(
        self,
        folder: Path,
        catalogue: Catalogue,
        ports: Ports,
        observing: Observing | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._observing = observing
        self._catalogue = catalogue
        self._given_ports = ports
        self._redis_port = ports.redis or free_port()
        self._gateway_port = ports.gateway or free_port()
        self._smtp_port = ports.smtp or free_port()
        self._health_ports = {name: free_port() for name in catalogue}
        self._processes: list[ManagedProcess] = []
        self._lock: TextIO | None = None
        self._upkeep = Upkeep()

    def __enter__(self) -> Self:
        for name in ("redis", "storage", "mails", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(self.folder)
        try:
            require_free(self._given_ports.by_option())
            self._start_together([self._redis(), self._smtp(), *self._observers()])
            self._start_together([*map(self._worker, self._catalogue), self._gateway()])
            write_endpoints(self.folder, self._endpoints())
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    @property
    def addresses(self) -> Addresses:
        """Where everything is now."""
        pids = {process.name: process.pid for process in self._processes}
        lanes = {
            name: LaneAddress(pids[f"worker-{name}"], f"http://127.0.0.1:{port}/metrics")
            for name, port in self._health_ports.items()
        }
        return Addresses(
            broker=self._redis_url,
            results=self._redis_url,
            gateway=f"http://127.0.0.1:{self._gateway_port}",
            smtp=f"127.0.0.1:{self._smtp_port}",
            lanes=lanes,
            pids=pids,
            data=str(self.folder),
            storage=self._storage_url,
            logs=str(self.folder / "logs"),
            mails=str(self.folder / "mails"),
            prometheus=self._observing.prometheus_url if self._observing else "",
            spans=str(spans_file(self._observed)) if self._observing else "",
        )

    def as_dict(self) -> dict[str, object]:
        """The addresses as plain data."""
        return asdict(self.addresses)

    def tend(self, report: Callable[[str], None]) -> None:
        """Start again what ended by itself, as a Deployment would."""
        for process in self._processes:
            self._upkeep.tend(process, report)

    def stop(
        self, hurry: Event | None = None, report: Callable[[str], None] = lambda _line: None
    ) -> dict[str, int]:
        """Stop in reverse: doors first, then the workers drain, then what they need.

        Once `hurry` is set, the workers give back what still runs instead of finishing it.

        Returns:
            Exit codes by name.
        """
        codes = self._end("gateway")
        workers = [p for p in self._processes if p.name.startswith("worker-")]
        codes |= drain(workers, hurry or Event(), report)
        codes |= self._end("prometheus") | self._end("collector")
        codes |= self._end("smtp") | self._end("redis")
        self._processes.clear()
        return codes

    def _endpoints(self) -> dict[str, str]:
        """The URL of each part's metrics."""
        ports = {f"worker-{name}": port for name, port in self._health_ports.items()}
        ports["gateway"] = self._gateway_port
        return {name: f"http://127.0.0.1:{port}/metrics" for name, port in ports.items()}

    def _end(self, name: str) -> dict[str, int]:
        group = [process for process in self._processes if process.name == name]
        for process in group:
            process.ask_to_stop()
        return {process.name: process.wait_until_stopped() for process in group}

    def _leave(self) -> None:
        self.stop()
        if self._lock is not None:
            forget_endpoints(self.folder)
            self._lock.close()

    def _start_together(self, processes: list[ManagedProcess]) -> None:
        for process in processes:
            process.start()
            self._processes.append(process)
        for process in processes:
            process.wait_until_ready(START_LIMIT_S)

    def _observers(self) -> list[ManagedProcess]:
        if self._observing is None:
            return []
        return self._observing.processes(self._observed, self._endpoints())

    @property
    def _observed(self) -> Path:
        return self.folder / "observed"

    def _redis(self) -> ManagedProcess:
        command = redis_command(redis_binary(), self._redis_port, self.folder / "redis")
        process = self._process("redis", command, ready=self._redis_is_ready)
        if self._lock is not None:
            # Should the platform be killed, its Redis may write a moment longer.
            process.keeps = (self._lock.fileno(),)
        return process

    def _smtp(self) -> ManagedProcess:
        module = "laneway.services.local.smtp_sink"
        bind, mails = f"127.0.0.1:{self._smtp_port}", str(self.folder / "mails")
        command = [sys.executable, "-m", module, "--bind", bind, "--folder", mails]
        return self._process("smtp", command, ready=lambda: answers(self._smtp_port))

    def _worker(self, name: str) -> ManagedProcess:
        port = self._health_ports[name]
        process = self._process(
            f"worker-{name}",
            [*_cli(), "worker", "--queue", name],
            ready=lambda: _is_ready(port),
            environment={"LANEWAY_HEALTH_BIND": f"127.0.0.1:{port}"},
        )
        process.stop_limit_s = self._catalogue[name].drain_limit_s + DRAIN_MARGIN_S
        return process

    def _gateway(self) -> ManagedProcess:
        return self._process(
            "gateway", [*_cli(), "gateway"], ready=lambda: _is_ready(self._gateway_port)
        )

    def _process(
        self,
        name: str,
        command: list[str],
        ready: Callable[[], bool],
        environment: dict[str, str] | None = None,
    ) -> ManagedProcess:
        return ManagedProcess(
            name=name,
            command=command,
            log_file=self.folder / "logs" / f"{name}.log",
            environment={**self._environment(), **(environment or {})},
            ready=ready,
        )

    def _environment(self) -> dict[str, str]:
        return {
            "LANEWAY_BROKER_URL": self._redis_url,
            "LANEWAY_RESULT_URL": self._redis_url,
            "LANEWAY_STORAGE_URL": self._storage_url,
            "LANEWAY_GATEWAY_BIND": f"127.0.0.1:{self._gateway_port}",
            "LANEWAY_SMTP_HOST": "127.0.0.1",
            "LANEWAY_SMTP_PORT": str(self._smtp_port),
            "LANEWAY_SMTP_SECURITY": "none",
            **({"LANEWAY_OTLP_ENDPOINT": self._observing.otlp_endpoint} if self._observing else {}),
        }

    @property
    def _redis_url(self) -> str:
        """Of the broker and of the results: one to copy."""
        return f"redis://127.0.0.1:{self._redis_port}/0"

    @property
    def _storage_url(self) -> str:
        return (self.folder / "storage").as_uri()

    def _redis_is_ready(self) -> bool:
        with redis.Redis(port=self._redis_port, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                return False
            except redis.exceptions.BusyLoadingError:
                return False


def _cli() -> list[str]:
    return [sys.executable, "-m", "laneway.services.cli.main"]


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's own number
    except (URLError, OSError):
        return False


__all__ = ["Addresses", "LaneAddress", "Platform", "Ports", "StartFailed"]
