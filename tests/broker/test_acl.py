"""What the users of `laneway acl` may do and may not, asked of a real Redis as these users."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from acl_harness import GuardedRedis, guarded_redis, hashed, scope_of, version_of
from lane_client import write_catalogue
from laneway.tasks.broker import keys
from laneway.tasks.broker.acl import DEFAULT_OFF_COMMAND, command_line, rules
from laneway.tasks.broker.acl_roles import ROLES, make_users
from redis_server import RedisServer, running_redis

pytestmark = pytest.mark.broker

LANES = {
    "mail": {"tasks": ["mail.*", "[!a]b.x"]},
    "side": {"timeLimit": 600},
    "side-2": {"tasks": ["other.*"]},
}
OWN = [f"worker-{lane}" for lane in LANES]
USERS = ["producer", "submitter", "gateway", *OWN, "observer", "scaler", "ops", "keda", "replica"]
LOW = keys.PRIORITY_SEPARATOR + "3"

PUBLISHERS = ["producer", "submitter", "gateway"]
DEAD = ["gateway", "ops"]
COUNTERS = ["submitter", "gateway", "observer", "scaler", "ops", "keda"]


def EVAL(command: str) -> str:  # noqa: N802 - as Redis writes it
    return f"EVAL return(redis.call('{command}',KEYS[1])) 1"


DENIED_IN_A_SCRIPT = ("user executing the script", "ACL failure in script")
"""Redis to 7.0; Redis 8 and Valkey."""


# What is asked, who may, and who else may on 6.2, where all commands of a user reach all its keys.
MATRIX: list[tuple[str, list[str], list[str]]] = [
    ("PING", USERS, []),
    ("SELECT 1", USERS, []),
    ("INFO memory", ["submitter", "gateway", *OWN, "observer", "scaler", "ops"], []),
    # a lane's ready messages
    ("LPUSH mail x", [*PUBLISHERS, "worker-mail", "ops"], []),
    (f"LPUSH mail{LOW} x", [*PUBLISHERS, "worker-mail", "ops"], []),
    ("LPUSH side x", [*PUBLISHERS, "worker-side", "ops"], []),
    ("LPUSH side-2 x", [*PUBLISHERS, "worker-side-2", "ops"], []),
    ("LPUSH side-3 x", [], []),
    ("LPUSH mailab3 x", [], []),
    (f"LPUSH mail{LOW}3 x", [], []),
    ("LPUSH unacked x", [], []),
    ("LLEN mail", [*PUBLISHERS, "worker-mail", "observer", "scaler", "ops", "keda"], []),
    ("RPOP mail", ["worker-mail"], ["ops"]),
    ("BRPOP mail 0.01", [], ["ops"]),
    ("BLMOVE mail laneway:{mail}:intake RIGHT LEFT 0.01", ["worker-mail"], ["ops"]),
    ("BLMOVE side laneway:{mail}:intake RIGHT LEFT 0.01", [], ["ops"]),
    ("LMOVE side mail LEFT RIGHT", [], ["ops"]),
    ("LINDEX mail -1", ["worker-mail", "scaler"], ["ops"]),
    ("LRANGE mail 0 -1", [], DEAD),
    ("DEL mail", [], ["producer", "submitter", "worker-mail", *DEAD]),
    # what Laneway notes of a lane
    ("HLEN laneway:{mail}:claims", ["worker-mail", *COUNTERS], []),
    ("HGET laneway:{mail}:claims x", ["worker-mail", "scaler"], DEAD),
    ("HSET laneway:{mail}:claims x y", ["worker-mail"], ["submitter", "gateway", "scaler", "ops"]),
    ("HDEL laneway:{mail}:claims x", ["worker-mail", "scaler"], DEAD),
    ("HGET laneway:{side}:epochs x", ["worker-side", "scaler"], []),
    ("HGET laneway:{side-2}:epochs x", ["worker-side-2", "scaler"], []),
    ("ZADD laneway:{mail}:leases 1 x", ["worker-mail", "scaler"], ["gateway"]),
    ("ZADD laneway:{mail}:delayed 1 x", ["submitter", "gateway", "worker-mail", "scaler", "ops"], []),
    ("ZRANGE laneway:{mail}:delayed 0 -1", ["worker-mail", "scaler"], DEAD),
    # dead letters
    ("ZRANGE laneway:{mail}:dead 0 -1", ["worker-mail", "scaler", *DEAD], []),
    ("HMGET laneway:{mail}:dead-records x", DEAD, ["worker-mail"]),
    ("HSET laneway:{mail}:dead-records x y", ["worker-mail"], DEAD),
    ("LPUSH laneway:{mail}:dead-log x", DEAD, []),
    ("DEL laneway:{mail}:dead-records", [], [*DEAD, "worker-mail"]),
    # what is kept for all lanes
    ("GET laneway:rate:mail.send", ["worker-mail", "worker-side"], []),
    ("GET laneway:rate:bb.x", ["worker-mail", "worker-side"], []),
    ("GET laneway:rate:ab.x", ["worker-side"], []),
    ("SET laneway:lock:documents.process:a x", ["worker-side"], []),
    ("SET laneway:lock:rag.index_collection:a x", ["worker-side"], []),
    ("ZADD laneway:revoked 1 x", [*DEAD, *OWN], []),
    ("ZRANGEBYSCORE laneway:revoked 0 1", OWN, ["ops"]),
    ("HSET laneway:submission:x a b", ["submitter", "gateway", *OWN], ["ops"]),
    ("HGETALL laneway:submission:x", ["submitter", *DEAD], []),
    ("HSET laneway:idempotency:x a b", ["submitter", "gateway", *OWN], []),
    ("INCRBY laneway:durability-fence 1", ["submitter", "gateway", *OWN], []),
    # results
    ("GET celery-task-meta-x", [*PUBLISHERS, *OWN, "ops"], []),
    ("SET celery-task-meta-x y", OWN, ["producer", "submitter"]),
    ("DEL celery-task-meta-x", [*PUBLISHERS, *OWN, "ops"], []),
    ("SET celery-taskset-meta-x y", ["producer", "submitter", *OWN], []),
    ("PUBLISH celery-task-meta-x y", OWN, [*PUBLISHERS, "ops"]),
    ("PUBLISH celery-taskset-meta-x y", ["producer", "submitter", *OWN], DEAD),
    # remote control
    ("PUBLISH /0.celery.pidbox x", DEAD, OWN),
    ("LPUSH a.reply.celery.pidbox x", [*OWN, "ops"], []),
    ("SADD _kombu.binding.celery.pidbox x", OWN, ["ops"]),
    ("SADD _kombu.binding.reply.celery.pidbox x", ["ops"], OWN),
    ("SADD _kombu.binding.mail x", ["producer"], []),
    # scripts may do what their user may
    ("EVALSHA 0 1 mail", ["submitter", "gateway", "worker-mail", "scaler", "ops", "keda"], []),
    (f"{EVAL('RPOP')} mail", ["worker-mail"], ["ops"]),
    (f"{EVAL('LLEN')} mail", ["submitter", "gateway", "worker-mail", "scaler", "ops", "keda"], []),
    (f"{EVAL('HGETALL')} laneway:{{side}}:claims", [], ["submitter", *DEAD]),
    (f"{EVAL('HKEYS')} laneway:{{side}}:claims", ["worker-side", "scaler"], ["ops"]),
    # nobody's business
    *((words, [], []) for words in (
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET requirepass",
        "CONFIG SET save x",
        "KEYS *",
        "SCAN 0",
        "ACL LIST",
        "ACL SETUSER x on",
        "CLIENT LIST",
        "CLIENT KILL ID 999999",
        "REPLICAOF NO ONE",
        "SHUTDOWN NOSAVE",
        "SAVE",
        "SCRIPT FLUSH",
        "SWAPDB 0 1",
        "RENAME mail other",
        "DUMP mail",
        "MIGRATE h 1 mail 0 1",
        "SUBSCRIBE other",
        "PSUBSCRIBE *",
        "PUBLISH other x",
        "GET other",
        "SET other x",
    )),
]  # fmt: skip


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), **LANES)


@pytest.fixture(scope="module")
def server(tmp_path_factory, catalogue: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(tmp_path_factory.mktemp("acl"), scope_of(catalogue)) as server:
        yield server


def allowed(client: "redis.Redis", words: str) -> bool:
    try:
        client.execute_command(*words.split(" "))
    except NoPermissionError:
        return False
    except ResponseError as error:
        # What else it may say, it got past the rights; inside a script they have other words.
        return not any(words in str(error) for words in DENIED_IN_A_SCRIPT)
    return True


@pytest.mark.parametrize(("words", "expected", "on_62"), MATRIX, ids=[row[0] for row in MATRIX])
def test_who_may(server: GuardedRedis, words: str, expected: list[str], on_62: list[str]) -> None:
    merged = version_of(server) == "6.2"
    may = []
    for user in USERS:
        with server.client_of(user) as client:
            may += [user] if allowed(client, words) else []
    assert sorted(may) == sorted({*expected, *(on_62 if merged else ())})


def test_the_default_user_and_strangers_are_out(server: GuardedRedis) -> None:
    with pytest.raises(AuthenticationError), redis.Redis.from_url(server.url) as client:
        client.ping()
    with pytest.raises(AuthenticationError), server.client_of("nobody") as client:
        client.ping()


def test_a_worker_publishes_to_other_lanes_only_if_told_so(tmp_path, catalogue) -> None:
    scope = scope_of(catalogue, onward=("side",))
    with (
        guarded_redis(tmp_path / "redis", scope) as server,
        server.client_of("worker-mail") as client,
    ):
        assert allowed(client, "LPUSH side x")
        assert allowed(client, "ZADD laneway:{side}:delayed 1 x")
        assert not allowed(client, "LPUSH side-2 x")
        assert allowed(client, "RPOP side") == (version_of(server) == "6.2")


def test_a_producer_of_some_lanes_reaches_no_others(tmp_path, catalogue) -> None:
    with guarded_redis(tmp_path / "redis", scope_of(catalogue, lanes=("side",))) as server:
        for user in ("producer", "submitter"):
            with server.client_of(user) as client:
                assert allowed(client, "LPUSH side x")
                assert not allowed(client, "LPUSH mail x")


def test_the_commands_make_the_same_users(tmp_path, catalogue) -> None:
    with running_redis(tmp_path / "redis") as server:
        version = version_of(server)
        with server.client() as client:
            for user in make_users(scope_of(catalogue)):
                line = command_line(user, rules(user, version), hashed(user))
                client.execute_command(*line.split(" "))
            client.execute_command(*DEFAULT_OFF_COMMAND.split(" "))
        with pytest.raises(AuthenticationError), server.client() as stranger:
            stranger.ping()
        guarded = GuardedRedis.at(server)
        with guarded.client_of("worker-mail") as client:
            assert allowed(client, "LPUSH mail x")
            assert not allowed(client, "LPUSH side x")


def test_a_restart_forgets_nothing_that_several_commands_wrote_in_one_step(
    tmp_path, catalogue
) -> None:
    """Redis loads its append-only file as the default user, and dropped what that one may not do."""
    with guarded_redis(tmp_path, scope_of(catalogue), appendonly="yes") as server:
        with server.client() as client, client.pipeline() as step:
            step.lpush("mail", "one").lpush("mail", "two").execute()
            client.eval("redis.call('lpush', 'side', 'x'); redis.call('set', 'y', 'z')", 0)
        server.stop()
        server.start()
        with server.client() as client:
            assert client.lrange("mail", 0, -1) == ["two", "one"]
            assert client.exists("side", "y") == 2


def test_a_newer_redis_takes_the_rules_of_an_older(redis_server: RedisServer, catalogue) -> None:
    newest = version_of(redis_server)
    with redis_server.client() as client:
        for version in ("7.0", "7.2", "8"):
            for user in make_users(scope_of(catalogue)) if version <= newest else ():
                line = command_line(user, rules(user, version), hashed(user))
                client.execute_command(*line.replace(user.name, "tried", 1).split(" "))
        client.acl_deluser("tried")


def test_what_is_no_hash_is_refused_by_redis(redis_server: RedisServer, catalogue) -> None:
    """So that a file whose passwords nobody filled in lets nobody in."""
    (user,) = make_users(scope_of(catalogue), ["observer"])
    line = command_line(user, rules(user, "7.0"), "#SHA256-OF-THE-PASSWORD-OF-observer")
    with redis_server.client() as client, pytest.raises(ResponseError, match="ACL"):
        client.execute_command(*line.split(" "))


def test_results_elsewhere_leave_each_server_its_own_rights(catalogue) -> None:
    for user in make_users(scope_of(catalogue), ["producer", "worker", "gateway", "ops"]):
        broker, results = (" ".join(rules(user, "7.2", server)) for server in ("broker", "results"))
        assert "celery-task" not in broker, user.name
        assert "celery-task-meta-*" in results
        assert not any(lane in results for lane in LANES)
    (scaler,) = make_users(scope_of(catalogue), ["scaler"])
    assert rules(scaler, "7.2", "results") == []


def test_nobody_but_the_administrator_has_a_class_of_commands_or_every_key(catalogue) -> None:
    roles = [role for role in ROLES if role != "admin"]
    for user in make_users(scope_of(catalogue, kombu=True, onward=tuple(LANES)), roles):
        for version in ("6.2", "7.0", "7.2", "8"):
            words = " ".join(rules(user, version)).replace("(", "").replace(")", "").split()
            assert not any(word.startswith("+@") for word in words)
            assert not {"~*", "%R~*", "%W~*", "&*"} & set(words)
