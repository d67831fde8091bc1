"""Who uses Redis, and what each of them may do there: the least that its code takes.

A lane's worker has no right to another lane's keys. Rights follow the scripts that a role runs;
`tests/broker/test_acl.py` lets every role do its work as its user, and finds nothing refused.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from celery.backends import redis as celery_results
from kombu.transport import redis as kombu_redis
from redis.lock import Lock

from laneway.tasks.broker import keys
from laneway.tasks.broker.acl import Grant, User, called, script_commands
from laneway.tasks.broker.commands import SCRIPTS
from laneway.tasks.queues import Catalogue, Queue

EVERY_TASK = "*"

_RUN = ("evalsha", "eval")
_COUNTS = ("llen", "hlen", "zcard")
_LOCKING_TASKS = ("documents.process", "rag.index_collection")


@dataclass(frozen=True)
class Scope:
    """For what users are made.

    `lanes` are those that a producer reaches, `onward` those that a task may publish to besides its
    own; `broker` is the name of the Redis in LANEWAY_BROKERS, `database` its number; `kombu` says
    that workers use kombu's transport.
    """

    catalogue: Catalogue
    lanes: tuple[str, ...]
    onward: tuple[str, ...] = ()
    broker: str | None = None
    database: int = 0
    kombu: bool = False

    @property
    def here(self) -> tuple[str, ...]:
        """The lanes that this Redis holds."""
        return self.those_here(self.catalogue)

    def those_here(self, lanes: Iterable[str]) -> tuple[str, ...]:
        """Those of some lanes that this Redis holds."""
        return tuple(lane for lane in lanes if self.catalogue[lane].broker == self.broker)


def make_users(scope: Scope, roles: Iterable[str] = ()) -> list[User]:
    """The users of these roles, or of all, in the order of ROLES."""
    wanted = set(roles) or set(ROLES)
    return [user for role, make in ROLES.items() if role in wanted for user in make(scope)]


def _producers(scope: Scope) -> Iterator[User]:
    """A Celery program with nothing of Laneway: it publishes and reads what became of it."""
    lanes = scope.those_here(scope.lanes)
    bindings = (*map(keys.binding, lanes), *map(keys.lasting_binding, lanes))
    publishing = (
        Grant(("multi", "exec")),
        Grant(("lpush", "llen"), writes=_lists(*lanes)),
        Grant(("sadd",), writes=bindings),
    )
    yield User("producer", "producer", broker=publishing, results=(*_RESULTS_READ, *_CANVAS))


def _submitters(scope: Scope) -> Iterator[User]:
    """A program that publishes with `laneway.tasks.submit`, or `laneway submit`."""
    broker = (*_publishing(scope.those_here(scope.lanes)), *_SUBMISSIONS_READ)
    yield User("submitter", "submitter", broker=broker, results=(*_RESULTS_READ, *_CANVAS))


def _gateways(scope: Scope) -> Iterator[User]:
    lanes = scope.here
    broker = (
        *_publishing(lanes),
        *_SUBMISSIONS_READ,
        *_revoking(scope),
        *_dead_letter_work(lanes),
        *_surveying(lanes),
    )
    yield User("gateway", "gateway", broker=broker, results=(*_RESULTS_READ, *_FORGETTING))


def _workers(scope: Scope) -> Iterator[User]:
    """One for each lane. Those of lanes elsewhere are here for locks, and what tasks submit."""
    for lane, queue in scope.catalogue.items():
        onward = scope.those_here(other for other in scope.onward if other != lane)
        if lane not in scope.here and not onward and scope.broker is not None:
            continue
        broker = (
            *(_lane_work(scope, lane, queue) if lane in scope.here else ()),
            Grant((*_MULTI, "script|load", "script|exists", "info", "time")),
            *_submitting(),
            *_publishing(onward),
            *_locking(queue),
        )
        yield User(f"worker-{lane}", "worker", lane, broker, _RESULTS_WRITTEN)


def _lane_work(scope: Scope, lane: str, queue: Queue) -> tuple[Grant, ...]:
    """A worker on its lane."""
    return (
        _WAITING,
        _holding(lane),
        *_surveying([lane]),
        Grant(("hincrby",), writes=(keys.tally(lane),)),
        Grant((*_RUN, *script_commands("take_turn")), keys=_rates(queue)),
        Grant(("zrangebyscore",), reads=(keys.revoked(),)),
        _REMEMBERING,
        *_listening(scope, lane),
        *(_kombu_work(lane) if scope.kombu else ()),
    )


def _observers(scope: Scope) -> Iterator[User]:
    """Counts, and nothing of what a message says."""
    yield User("observer", "observer", broker=(Grant(("info", "time")), _counting(scope.here)))


def _scalers(scope: Scope) -> Iterator[User]:
    """Looks after lanes that have no worker: what is due there, and what the dead held."""
    lanes = scope.here
    tended = [name for lane in lanes for name in _tended(lane)]
    intakes = set(map(keys.intake, lanes))
    broker = (
        Grant(("info", "time", "script|load")),
        *_surveying(lanes),
        Grant(("lindex",), reads=_lists(*lanes)),
        Grant(_RUN, keys=tuple(tended)),
        Grant(
            tuple(command for command in script_commands("tend") if command != "hset"),
            keys=tuple(name for name in tended if name not in intakes),
        ),
        Grant(("hset",), writes=tuple(map(keys.epochs, lanes))),
    )
    yield User("scaler", "scaler", broker=broker)


def _operators(scope: Scope) -> Iterator[User]:
    """People: dead letters, revocations, what waits, and Celery's `inspect` and `control`."""
    lanes = scope.here
    broker = (
        Grant((*_MULTI, "info", "time", "script|load", "script|exists")),
        _counting(lanes),
        *_SUBMISSIONS_READ,
        *_revoking(scope),
        *_dead_letter_work(lanes),
        *_binding(keys.CONTROL_REPLIES),
        _WAITING,
        _holding(keys.control_reply("*")),
        Grant(("llen", "rpop", "brpop", "del", "pexpire"), keys=_lists(keys.control_reply("*"))),
    )
    yield User("ops", "ops", broker=broker, results=(*_RESULTS_READ, *_FORGETTING))


def _kedas(scope: Scope) -> Iterator[User]:
    """KEDA's redis scaler: it counts in a script of its own, for which it must be let write."""
    names = [name for lane in scope.here for name in _counted(lane)]
    counts = ("eval", "evalsha", "type", *_COUNTS, "scard")
    yield User("keda", "keda", broker=(Grant(counts, keys=tuple(names)),))


def _replicas(scope: Scope) -> Iterator[User]:
    del scope
    copying = (Grant(("psync", "replconf")),)
    yield User("replica", "replica", broker=copying, results=copying)


def _sentinels(scope: Scope) -> Iterator[User]:
    """As Redis's manual lists it, but for the channel, which there is every one."""
    del scope
    watching = (
        Grant(("multi", "exec", "slaveof", "config|rewrite", "role", "info")),
        Grant(("client|setname", "client|kill", "script|kill")),
        Grant(("subscribe", "publish"), channels=("__sentinel__:hello",)),
    )
    yield User("sentinel", "sentinel", broker=watching, results=watching)


def _admins(scope: Scope) -> Iterator[User]:
    """Everything: to load these rules, look into ACL LOG, and mend what is broken."""
    del scope
    everything = (Grant(("@all",), keys=("*",), channels=("*",)),)
    yield User("admin", "admin", broker=everything, results=everything)


ROLES: dict[str, Callable[[Scope], Iterator[User]]] = {
    "producer": _producers,
    "submitter": _submitters,
    "gateway": _gateways,
    "worker": _workers,
    "observer": _observers,
    "scaler": _scalers,
    "ops": _operators,
    "keda": _kedas,
    "replica": _replicas,
    "sentinel": _sentinels,
    "admin": _admins,
}


_MULTI = ("multi", "exec")

_RESULTS_READ = (
    Grant(("get", "mget"), reads=(keys.result("*"), keys.group("*"))),
    Grant(("subscribe", "unsubscribe"), channels=(keys.result("*"), keys.group("*"))),
)
_FORGETTING = (Grant(("del",), writes=(keys.result("*"),)),)
_CANVAS = (
    *_FORGETTING,
    Grant(_MULTI),
    Grant(("set", "setex", "del"), writes=(keys.group("*"),)),
    Grant(("publish",), channels=(keys.group("*"),)),
)
"""What a client of Celery's writes of groups and chords, and forgets of results."""

_CHORDS = (
    celery_results.CHORD_PART_RETURN_LUA,
    celery_results.CHORD_CLEANUP_LUA,
    celery_results.CHORD_CLAIM_EXTEND_LUA,
)
_CHORD_ENDS = ("mget", "setex", "incrby", "zrange", "publish")
_RESULTS_WRITTEN = (
    Grant((*_MULTI, "script|load")),
    Grant(
        (*_RUN, *script_commands("store_result"), "get", "mget", "setex", "publish"),
        keys=(keys.result("*"),),
        channels=(keys.result("*"),),
    ),
    Grant(
        (*_RUN, *called("".join(_CHORDS)), *_CHORD_ENDS),
        keys=(keys.group("*"),),
        channels=(keys.group("*"),),
    ),
    Grant(("subscribe", "unsubscribe"), channels=(keys.result("*"), keys.group("*"))),
)

_REMEMBERING = Grant(("zremrangebyscore", "zadd", "expire"), writes=(keys.revoked(),))
"""Of revocations. Workers note those that Celery's own `revoke` tells them."""

_SUBMISSIONS_READ = (Grant(("hgetall",), reads=(keys.submission("*"),)),)


def _submitting() -> tuple[Grant, ...]:
    """`submit()` but for the lane itself: its records, and the wait for durability."""
    return (
        Grant((*_MULTI, "info", "wait", "waitaof")),
        Grant(("hset", "expire"), writes=(keys.submission("*"),)),
        Grant((*_RUN, "hmget", "hset", "expire", "time"), keys=(keys.idempotency("*"),)),
        Grant(("incrby",), keys=(keys.durability_fence(),)),
    )


def _publishing(lanes: Iterable[str]) -> tuple[Grant, ...]:
    """To put messages into lanes as Laneway does, as far as there is room."""
    names = list(lanes)
    counted = [keys.claims, keys.stock_unacked, keys.delayed, keys.intake]
    beside = [name(lane) for lane in names for name in counted]
    return (
        *_submitting(),
        Grant(_RUN, keys=(*_lists(*names), *beside)),
        _counting(names),
        Grant(("lpush",), writes=_lists(*names)),
        Grant(("zadd",), writes=tuple(map(keys.delayed, names))),
    )


def _holding(lane: str) -> Grant:
    """To claim the messages of a lane, and to do with them all that a worker may."""
    scripts = [command for name in (*SCRIPTS, "prune") for command in script_commands(name)]
    own = (*_RUN, "blmove", "lpush", "zadd", "zscan", "lindex", *_COUNTS)
    names = (*_tended(lane), keys.dead_letters(lane), keys.dead_records(lane))
    return Grant((*own, *scripts), keys=(*names, keys.stock_unacked(lane)))


_WAITING = Grant(("client|id", "client|unblock"))
"""For a message, and to stop it."""


def _kombu_work(lane: str) -> tuple[Grant, ...]:
    held = keys.stock_unacked(lane)
    beside = ("hset", "hget", "hdel", "zadd", "zrem", "zrange", "set", "get", "del")
    return (
        Grant(("watch", "unwatch"), keys=(held,)),
        Grant((*_RUN, *beside, *called(Lock.LUA_RELEASE_SCRIPT)), keys=(f"{held}*",)),
        Grant(("brpop", "rpush", "lpush", "llen"), keys=_lists(lane)),
    )


def _locking(queue: Queue) -> tuple[Grant, ...]:
    """For the tasks of ours that take a lock."""
    held = [keys.lock(f"{task}:*") for task in _LOCKING_TASKS if queue.admits(task)]
    scripts = called(Lock.LUA_RELEASE_SCRIPT + Lock.LUA_REACQUIRE_SCRIPT)
    return (Grant((*_RUN, "set", *scripts), keys=tuple(held)),) if held else ()


def _listening(scope: Scope, lane: str) -> tuple[Grant, ...]:
    """To hear Celery's remote control, and to answer."""
    return (
        Grant(("psubscribe", "punsubscribe"), channels=(keys.control_channel(scope.database),)),
        *_binding(keys.CONTROL),
        Grant(("del", "exists", "llen"), writes=_lists(keys.control_queue(f"{lane}@*"))),
        Grant(("smembers",), reads=(keys.binding(keys.CONTROL_REPLIES),)),
        Grant(("lpush", "pexpire"), writes=_lists(keys.control_reply("*"))),
    )


def _binding(exchange: str) -> tuple[Grant, ...]:
    """To bind a queue to an exchange of remote control for a while, and sweep out what is overdue.

    Everybody who listens sweeps for everybody.
    """
    exchanges = (keys.CONTROL, keys.CONTROL_REPLIES)
    swept = [make(name) for name in exchanges for make in (keys.binding, keys.lasting_binding)]
    deadlines, sweeps = keys.binding_deadlines(), called(kombu_redis.SWEEP_BINDINGS)
    return (
        Grant(_RUN, keys=(keys.binding(exchange), deadlines)),
        Grant((*called(kombu_redis.REFRESH_BINDING), *sweeps), keys=(deadlines,)),
        Grant(("sadd", "srem", "smembers"), keys=(keys.binding(exchange),)),
        Grant(("sadd", "srem"), writes=(keys.lasting_binding(exchange),)),
        Grant(("exists", "del"), writes=tuple(swept)),
    )


def _revoking(scope: Scope) -> tuple[Grant, ...]:
    """To call tasks off: remembered for workers to come, and told to those that run."""
    return (
        _REMEMBERING,
        Grant(("publish",), channels=(keys.control_channel(scope.database),)),
    )


def _dead_letter_work(lanes: Iterable[str]) -> tuple[Grant, ...]:
    """To look at dead letters, and to replay and remove them."""
    letters = tuple(map(keys.dead_letters, lanes))
    records, logs = tuple(map(keys.dead_records, lanes)), tuple(map(keys.dead_log, lanes))
    delayed, ready = tuple(map(keys.delayed, lanes)), _lists(*lanes)
    return (
        Grant(("script|load", "time")),
        Grant(_RUN, keys=(*letters, *records, *logs, *delayed, *ready)),
        Grant(("zrange",), reads=letters),
        Grant(("hget", "hmget", "hstrlen"), reads=records),
        Grant(("zrem", "hdel"), writes=(*letters, *records)),
        Grant(("lpush", "ltrim", "lrange"), keys=logs),
        Grant(("lpush",), writes=ready),
        Grant(("zadd",), writes=delayed),
    )


def _lists(*queues: str) -> tuple[str, ...]:
    return tuple(name for queue in queues for name in keys.list_globs(queue))


def _tended(lane: str) -> tuple[str, ...]:
    """The keys of `tend.lua`."""
    names = (keys.claims, keys.epochs, keys.leases, keys.delayed, keys.intake)
    return (*keys.list_globs(lane), *(name(lane) for name in names))


def _counted(lane: str) -> tuple[str, ...]:
    names = (keys.intake, keys.claims, keys.stock_unacked, keys.delayed, keys.dead_letters)
    return (*keys.list_globs(lane), *(name(lane) for name in names))


def _counting(lanes: Iterable[str]) -> Grant:
    return Grant(_COUNTS, reads=tuple(name for lane in lanes for name in _counted(lane)))


def _surveying(lanes: Iterable[str]) -> tuple[Grant, ...]:
    """To see how long dead letters have lain, and who serves the lanes; no message is read."""
    names = list(lanes)
    return (
        Grant(("info", "time")),
        _counting(names),
        Grant(("zcount",), reads=tuple(map(keys.leases, names))),
        Grant(("zrange",), reads=tuple(map(keys.dead_letters, names))),
        Grant(("hget",), reads=tuple(map(keys.tally, names))),
    )


def _rates(queue: Queue) -> tuple[str, ...]:
    """The rate limits of the tasks that a queue names."""
    return tuple(
        keys.rate_limit(pattern.replace("[!", "[^")) for pattern in queue.tasks or (EVERY_TASK,)
    )
