"""The peers' virtual environments: made once with pip, outside the checkout, and kept.

An environment's folder carries a digest of its pins and of Python's version, so that changed pins
make a new one. Laneway runs from the environment that the bench itself runs in.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

REDIS_CLIENT = "redis[hiredis]==8.1.0"

PINS = {
    "celery": ("celery[redis]==5.7.0", "kombu==5.7.0", REDIS_CLIENT),
    "celery-observed": (
        "celery[redis]==5.7.0",
        "kombu==5.7.0",
        REDIS_CLIENT,
        "flower==2.0.1",
        "opentelemetry-distro==0.66b2",
        "opentelemetry-instrumentation-celery==0.66b2",
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
    ),
    "dramatiq": ("dramatiq==2.2.1", REDIS_CLIENT),
    "taskiq": ("taskiq==0.13.0", "taskiq-redis==1.2.4", REDIS_CLIENT),
    "saq": ("saq[hiredis]==0.26.4", "typing_extensions", REDIS_CLIENT),
    "huey": ("huey==3.5.4", REDIS_CLIENT),
}
"""What each peer's environment is made of; one client of Redis for all."""

OWN = "laneway"

NAMED = (
    "laneway",
    "celery",
    "kombu",
    "flower",
    "opentelemetry-instrumentation-celery",
    "dramatiq",
    "taskiq",
    "taskiq-redis",
    "saq",
    "huey",
)
"""Packages whose versions a report tells, and the client of Redis."""

INSTALL_LIMIT_S = 300.0

_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class EnvironmentFailed(Exception):
    """A peer's environment could not be made; its runs are left out."""


def default_cache() -> Path:
    return Path.home() / ".cache" / "laneway" / "bench"


class Environments:
    """The `bin` folders of environments by name, each made when it is first asked for."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._failed: dict[str, str] = {}

    def bin(self, name: str) -> Path:
        """The folder of an environment's programs.

        Raises:
            EnvironmentFailed: it cannot be made; the message says what pip said.
        """
        if name == OWN:
            return Path(sys.executable).parent
        if name in self._failed:
            raise EnvironmentFailed(self._failed[name])
        folder = self._cache / f"{name}-{_digest(name)}"
        complete = folder / "complete"
        if not complete.exists():
            try:
                _make(name, folder)
            except EnvironmentFailed as error:
                self._failed[name] = str(error)
                raise
            complete.touch()
        return folder / "bin"

    def versions(self, name: str) -> dict[str, str]:
        """The versions of what matters in an environment."""
        command = [self.bin(name) / "python", "-c", _VERSIONS, *NAMED, "redis", "hiredis"]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(told.stdout)


def _digest(name: str) -> str:
    return hashlib.sha256(f"{sys.version}{PINS[name]}".encode()).hexdigest()[:8]


def _make(name: str, folder: Path) -> None:
    print(f"making the environment of {name} in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left half made
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", *PINS[name]]
    try:
        for command in ([sys.executable, "-m", "venv", folder], pip):
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S
            )
    except subprocess.TimeoutExpired:
        raise EnvironmentFailed(
            f"The environment of {name} was not made within {INSTALL_LIMIT_S:.0f} s. "
            "See whether pip reaches its registry, and run again."
        ) from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip()
        raise EnvironmentFailed(
            f"The environment of {name} cannot be made: {said[-500:]}. "
            "Correct PINS in tests/bench/environments.py, or leave the peer out with --only."
        ) from None
