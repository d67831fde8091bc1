"""Redis with a clock that the test sets: the scripts read it instead of TIME, and are else as shipped.

Redis has no clock to set. The scripts ask for the time in one way only, `redis.call('TIME')`, and
so that one call is replaced by a read of two words, which have the form of TIME's answer.
"""

from typing import Any

from laneway.tasks.broker.scripting import script

SCRIPTS = ("claim", "settle", "tend", "enlist", "leave", "take_turn")
ASKED = "redis.call('TIME')"
STEERED = "redis.call('MGET', 'test-clock-s', 'test-clock-us')"


class SteeredRedis:
    """Runs a worker's commands by the test's clock."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._digests = {}
        for name in SCRIPTS:
            shipped = script(name)
            assert ASKED in shipped.source, name
            steered = shipped.source.replace(ASKED, STEERED)
            self._digests[shipped.digest] = client.script_load(steered)

    def set_clock(self, now_ms: int) -> None:
        seconds, ms = divmod(now_ms, 1000)
        self._client.mset({"test-clock-s": seconds, "test-clock-us": ms * 1000})

    def run(self, command: tuple[Any, ...]) -> Any:
        """Run a command of `Commands`."""
        name, digest, *rest = command
        assert name == "EVALSHA"
        return self._client.execute_command("EVALSHA", self._digests[digest], *rest)

    def evalsha(self, digest: str, *rest: Any) -> Any:
        """As redis-py's, for `scripting.run`."""
        return self._client.evalsha(self._digests[digest], *rest)
