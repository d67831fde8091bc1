"""Is this Redis fit to hold work? Version, persistence, eviction, clock."""

import time
from typing import Any

import redis

from laneway.tasks.findings import Finding

OLDEST_REDIS = (6, 2)
OLDEST_VALKEY = (7, 2)
CLOCK_TOLERANCE_S = 1.0


def inspect_broker(client: "redis.Redis") -> list[Finding]:
    """What was found of a Redis that answers. Raises redis's errors when it does not."""
    info = client.info()
    return [
        _version(info),
        _persistence(info, _snapshots(client)),
        _eviction(info),
        _clock(client),
    ]


def _version(info: dict[str, Any]) -> Finding:
    valkey = info.get("valkey_version")
    name, text = ("Valkey", valkey) if valkey else ("Redis", info["redis_version"])
    oldest = OLDEST_VALKEY if valkey else OLDEST_REDIS
    number = tuple(int(part) for part in str(text).split(".")[:2] if part.isdigit())
    wanted = ".".join(map(str, oldest))
    if number < oldest:
        return Finding(
            "version",
            "error",
            f"{name} {text}",
            f"Laneway wants {name} {wanted} or newer: upgrade.",
        )
    return Finding("version", "ok", f"{name} {text}")


def _persistence(info: dict[str, Any], snapshots: str | None) -> Finding:
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status") != "ok":
            return Finding(
                "persistence",
                "error",
                "the last write of the append-only file failed",
                "Free space on the disk of Redis, then look into its log.",
            )
        return Finding("persistence", "ok", "append-only file")
    cure = "Set `appendonly yes`, so that a restart of Redis loses at most a second."
    if snapshots == "":
        return Finding("persistence", "warning", "none: a restart of Redis loses every lane", cure)
    found = "snapshots at most: a restart loses what came since the last one"
    return Finding("persistence", "warning", found, cure)


def _snapshots(client: "redis.Redis") -> str | None:
    """When Redis saves snapshots, empty for never; None for who may not ask.

    A user of its own may not: CONFIG shows passwords too, and Redis logs what it refuses.
    """
    given = client.connection_pool.connection_kwargs
    if given.get("username") or getattr(given.get("credential_provider"), "username", None):
        return None
    try:
        return str(client.config_get("save").get("save", ""))
    except redis.exceptions.ResponseError:
        return None


def _eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return Finding(
            "eviction",
            "error" if str(policy).startswith("allkeys") else "warning",
            f"maxmemory-policy {policy}: Redis drops keys, lanes among them, when memory is short",
            "Set `maxmemory-policy noeviction` on the broker; keep caches on another Redis.",
        )
    return Finding("eviction", "ok", "noeviction")


def _clock(client: "redis.Redis") -> Finding:
    before_s = time.time()
    seconds, micros = client.time()
    offset_s = (int(seconds) + int(micros) / 1e6) - (before_s + time.time()) / 2
    found = f"{offset_s:+.3f} s to this machine"
    if abs(offset_s) > CLOCK_TOLERANCE_S:
        return Finding(
            "clock", "warning", found, "Run a time service on both: delays and ages are off by it."
        )
    return Finding("clock", "ok", found)
