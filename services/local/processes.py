"""Starting, watching and ending the platform's processes, each by its own id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from laneway.services.lifecycle import die_with_parent
from laneway.tasks.errors import LanewayError

READY_POLL_S = 0.1


class StartFailed(LanewayError):
    """A process of the platform ended, or never became ready."""


@dataclass
class ManagedProcess:
    """One process: how it is started, how it is known to be ready, how long its end may take."""

    name: str
    command: Sequence[str]
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] = lambda: True
    stop_limit_s: float = 10.0
    keeps: Sequence[int] = ()
    """File descriptors it inherits."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int:
        """Its process id."""
        if self.process is None:
            raise StartFailed(f"{self.name} was not started.")
        return self.process.pid

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C reaches the platform alone, which stops it."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Handed on, not read: what a setting says is read by the process itself.
                env={**os.environ, **self.environment},  # noqa: TID251
                pass_fds=self.keeps,
                start_new_session=True,
                # Should the platform be killed outright, its processes get the SIGTERM it could not
                # send. Started from the main thread alone, which such a function asks for.
                preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509
            )

    def wait_until_ready(self, limit_s: float) -> None:
        """Wait for its readiness.

        Raises:
            StartFailed: it ended, or the time is over; the message holds the end of its log.
        """
        deadline_s = time.monotonic() + limit_s
        while not self.ready():
            if self.ended():
                raise StartFailed(f"{self.name} ended while starting.\n{self.last_words()}")
            if time.monotonic() > deadline_s:
                raise StartFailed(
                    f"{self.name} is not ready after {limit_s:.0f} s.\n{self.last_words()}"
                )
            time.sleep(READY_POLL_S)
        if self.ended():  # another's answer was taken for its own
            raise StartFailed(f"{self.name} ended while starting.\n{self.last_words()}")

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process is not None and self.process.poll() is not None

    def ask_to_stop(self) -> None:
        """SIGTERM; harmless when it has ended."""
        self._signal(signal.SIGTERM)

    def ask_to_give_back(self) -> None:
        """SIGQUIT, which makes a worker give back what it runs; harmless when it has ended."""
        self._signal(signal.SIGQUIT)

    def wait_until_stopped(self, limit_s: float | None = None) -> int:
        """Its exit code; what does not end within its limit is killed with its whole session."""
        if self.process is None:
            return 0
        try:
            return self.process.wait(self.stop_limit_s if limit_s is None else limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log_file.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"The end of {self.log_file}:", *lines])


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(ports: Mapping[str, int]) -> None:
    """Make sure that every given port, by the option that gave it, can be listened on; 0 can.

    Raises:
        StartFailed: one cannot; names the option and the port.
    """
    with ExitStack() as probes:
        for option, port in ports.items():
            probe = probes.enter_context(socket.socket())
            # As servers do: what a past one has left in TIME_WAIT is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            except OSError as error:
                raise StartFailed(
                    f"{option} {port}: 127.0.0.1:{port} cannot be listened on ({error.strerror}). "
                    f"End what listens there, choose another port, or leave {option} out for a "
                    "free one."
                ) from None


def answers(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
