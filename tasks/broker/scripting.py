"""The Lua scripts: what changes a lane in one step does so on Redis's side, by Redis's clock."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, NamedTuple

import redis
from redis.exceptions import NoScriptError

_FOLDER = Path(__file__).with_name("scripts")
_SHARED = "records"
_ALONE = frozenset({"publish", "take_turn", "store_result"})
"""Scripts that need nothing of what the others share."""

FENCED = -1
"""First element of an answer to a worker whose lease or connection is no longer the present one."""


class Script(NamedTuple):
    """One script's text, and the digest Redis knows it by."""

    source: str
    digest: str


@cache
def script(name: str) -> Script:
    """The script `scripts/NAME.lua`, with what it shares with the others in front."""
    text = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    if name not in _ALONE:
        text = (_FOLDER / f"{_SHARED}.lua").read_text(encoding="utf-8") + text
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def run(
    client: "redis.Redis", name: str, keys: Sequence[str], arguments: Sequence[str | bytes | float]
) -> Any:
    """Run a script, and load it first where Redis does not know it yet."""
    found = script(name)
    try:
        return client.evalsha(found.digest, len(keys), *keys, *arguments)
    except NoScriptError:
        return client.eval(found.source, len(keys), *keys, *arguments)
