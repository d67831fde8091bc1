"""Dead letters over HTTP: who looks, moves and exports, and what the log says of it."""

import base64
import json

import pytest

from gateway_harness import calling, make_api, write_tokens
from lane_holder import envelope, lane_holder
from laneway.tasks.broker import keys
from redis_server import RedisServer

pytestmark = [
    pytest.mark.broker,
    # Celery's own result backend still calls it.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]

LANE = "documents"
PATH = f"/v1/queues/{LANE}/dead-letters"
CANARY = "canary-5f1e"
BINARY = b"\x00\xff no text"


@pytest.fixture
def holder(redis_server: RedisServer):
    with lane_holder(redis_server, LANE) as holder:
        yield holder


def heads(client, query: str = "") -> list[dict]:
    return client.get(f"{PATH}{query}").json()["dead_letters"]


def ids(client, query: str = "") -> list[str]:
    return [letter["id"] for letter in heads(client, query)]


def lines(answer) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def post(client, verb: str, **order):
    return client.post(f"{PATH}/{verb}", json={"why": "mended", **order})


def stored(api, task_id: str) -> str:
    return api.state.gateway.app.backend.get_state(task_id)


def test_a_list_tells_why_and_shows_nothing_of_what_was_given(client, holder) -> None:
    old = holder.bury(envelope("a.b", "t-1", CANARY), "invalid task", "no id")
    young = holder.bury(CANARY.encode(), "malformed envelope")
    answer = client.get(PATH)
    assert CANARY not in answer.text
    found = answer.json()
    assert (found["queue"], found["more"]) == (LANE, False)
    assert {one["id"] for one in found["dead_letters"]} == {old, young}
    (letter,) = [one for one in found["dead_letters"] if one["id"] == old]
    assert letter.pop("died_at_s") > 1e9
    assert letter == {
        "id": old,
        "kind": "invalid task",
        "reason": "no id",
        "task": "a.b",
        "task_id": "t-1",
        "worker": "w1",
        "deliveries": 1,
        "size_bytes": len(envelope("a.b", "t-1", CANARY)),
    }


def test_a_list_is_bounded_and_filtered(client, holder) -> None:
    first = holder.bury(envelope("a.b"), "invalid task")
    second = holder.bury(envelope("a.c"), "unknown task")
    assert len(heads(client, "?limit=1")) == 1
    assert client.get(f"{PATH}?limit=1").json()["more"] is True
    assert ids(client, "?kind=invalid%20task") == [first]
    assert ids(client, "?task=a.c") == [second]
    assert ids(client, "?task=a.c&kind=invalid%20task") == []
    assert ids(client, "?before=2020-01-01T00:00:00Z") == []
    assert set(ids(client, "?after=2020-01-01T00:00:00Z")) == {first, second}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "before=soon", "after=2020-01-01T00:00:00", "task="]
)
def test_what_no_list_can_be_asked_is_refused(client, query: str) -> None:
    answer = client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert query.partition("=")[0] in answer.json()["message"]


def test_one_is_shown_with_its_message_as_it_was_sent(client, holder) -> None:
    text, binary = holder.bury(envelope(body=CANARY)), holder.bury(BINARY)
    shown = client.get(f"{PATH}/{text}").json()
    assert (shown["encoding"], shown["message"]) == ("utf-8", envelope(body=CANARY).decode())
    shown = client.get(f"{PATH}/{binary}").json()
    assert (shown["encoding"], base64.b64decode(shown["message"])) == ("base64", BINARY)


def test_a_letter_that_is_not_there_is_not_found(client) -> None:
    for letter in ("0" * 16, "log.", "g" * 16):
        answer = client.get(f"{PATH}/{letter}")
        assert answer.status_code in (404, 422)
    answer = client.get(f"{PATH}/{'0' * 16}")
    assert answer.json()["error"] == "unknown_dead_letter"
    assert "deadLetterRetention" in answer.json()["message"]


def test_a_message_above_the_limit_is_left_out_and_told(redis_server: RedisServer) -> None:
    with (
        lane_holder(redis_server, LANE) as holder,
        calling(make_api(redis_server.url, message_limit_bytes=1_024)) as client,
    ):
        letter = holder.bury(envelope("a.b", body="x" * 3_000))
        for shown in (client.get(f"{PATH}/{letter}").json(), *lines(client.get(f"{PATH}/export"))):
            assert (shown["encoding"], shown["message"]) == (None, None)
            assert shown["size_bytes"] == len(envelope("a.b", body="x" * 3_000))


def test_letters_are_replayed_by_id_and_their_failure_is_forgotten(api, client, holder) -> None:
    backend = api.state.gateway.app.backend
    for task_id, state in (("t-1", "FAILURE"), ("t-2", "SUCCESS"), ("t-3", "FAILURE")):
        backend.store_result(task_id, ValueError("no") if state == "FAILURE" else 1, state)
    first, second, third = (holder.bury(envelope(task_id=f"t-{n}")) for n in (1, 2, 3))

    answer = post(client, "replay", ids=[second, first, "0" * 16])

    assert answer.status_code == 200
    assert answer.json() == {
        "queue": LANE,
        "count": 2,
        "dry_run": False,
        "missing": ["0" * 16],
        "more": False,
        "until_s": None,
        "matched": [],
    }
    assert ids(client) == [third]
    assert [claim.message for claim in holder.claim()] == [
        envelope(task_id="t-2"),
        envelope(task_id="t-1"),
    ]
    assert [stored(api, f"t-{n}") for n in (1, 2, 3)] == ["PENDING", "SUCCESS", "FAILURE"]


def test_letters_are_replayed_by_filter_the_oldest_first_up_to_a_limit(client, holder) -> None:
    names = keys.dead_letters(LANE)
    letters = [holder.bury(envelope("a.b", str(number))) for number in range(4)]
    other = holder.bury(envelope("a.c"))
    for number, letter in enumerate(letters):
        holder.client.zadd(names, {letter: -10_000 + number}, xx=True, incr=True)

    answer = post(client, "replay", task="a.b", limit=2).json()
    assert (answer["count"], answer["more"]) == (2, True)
    answer = post(client, "replay", task="a.b").json()
    assert (answer["count"], answer["more"]) == (2, False)

    assert [claim.message for claim in holder.claim()] == [
        envelope("a.b", str(number)) for number in range(4)
    ]
    assert ids(client) == [other]


def test_letters_are_replayed_at_a_rate(client, holder) -> None:
    for number in range(3):
        holder.bury(envelope(task_id=str(number)))
    before_s = holder.redis_ms() / 1000
    answer = post(client, "replay", all=True, rate_per_s=0.1).json()
    assert answer["count"] == 3
    assert 20 <= answer["until_s"] - before_s < 80
    due = holder.client.zrange(keys.delayed(LANE), 0, -1, withscores=True)
    assert [at_ms - due[0][1] for _, at_ms in due] == [0, 10_000, 20_000]
    assert due[-1][1] / 1000 == pytest.approx(answer["until_s"], abs=0.002)


def test_letters_are_discarded(client, holder) -> None:
    gone, kept = holder.bury(envelope("a.b")), holder.bury(envelope("a.c"))
    assert post(client, "discard", task="a.b").json()["count"] == 1
    assert ids(client) == [kept]
    assert post(client, "discard", ids=[gone, kept]).json()["missing"] == [gone]
    assert ids(client) == []
    assert holder.claim() == []


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_dry_run_tells_by_kind_and_task_and_changes_nothing(client, holder, verb: str) -> None:
    letters = {holder.bury(envelope("a.b"), "invalid task") for _ in range(2)}
    other = holder.bury(b"garbage", "malformed envelope")
    answer = post(client, verb, all=True, dry_run=True).json()
    assert (answer["count"], answer["dry_run"]) == (3, True)
    assert answer["matched"] == [
        {"kind": "invalid task", "task": "a.b", "count": 2},
        {"kind": "malformed envelope", "task": None, "count": 1},
    ]
    assert post(client, verb, ids=[other], dry_run=True).json()["count"] == 1
    assert set(ids(client)) == {*letters, other}
    assert client.get(f"{PATH}/log").json()["actions"] == []


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({}, "give either ids"),
        ({"ids": []}, "ids"),
        ({"ids": ["0" * 16], "all": True}, "give either ids"),
        ({"ids": ["0" * 16], "task": "a.b"}, "give either ids"),
        ({"all": True, "kind": "a"}, "give either ids"),
        ({"all": True, "why": "  "}, "why"),
        ({"all": True, "why": None}, "why"),
        ({"all": True, "why": "x" * 501}, "why"),
        ({"ids": ["../x"]}, "ids.0"),
        ({"all": True, "rate_per_s": 0}, "rate_per_s"),
        ({"all": True, "limit": 0}, "limit"),
        ({"all": True, "typo": 1}, "typo"),
    ],
)
def test_an_order_without_choice_or_reason_is_refused(client, holder, order, told) -> None:
    letter = holder.bury(envelope())
    answer = post(client, "replay", **order)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert told in answer.json()["message"]
    assert ids(client) == [letter]


def test_an_export_holds_every_message_and_can_tell_bytes_from_text(client, holder) -> None:
    messages = [envelope("a.b", "1", CANARY), BINARY, "æøå\u2028".encode(), b""]
    for message in messages:
        holder.bury(message)
    answer = client.get(f"{PATH}/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"].endswith('"documents-dead-letters.jsonl"')
    found = [json.loads(line) for line in answer.content.split(b"\n") if line]
    decode = {"utf-8": str.encode, "base64": base64.b64decode}
    assert {decode[one["encoding"]](one["message"]) for one in found} == set(messages)
    assert lines(client.get(f"{PATH}/export?task=a.b"))[0]["message"] == messages[0].decode()
    assert lines(client.get(f"{PATH}/export?task=nobody")) == []


def test_the_log_names_the_token_and_the_reason(redis_server: RedisServer, tmp_path) -> None:
    file = tmp_path / "tokens.yaml"
    secrets = write_tokens(file, night_shift={"verbs": ["ops"]}, other={"verbs": ["ops"]})
    api = make_api(redis_server.url, gateway_tokens_file=file)
    with lane_holder(redis_server, LANE) as holder, calling(api) as client:
        letters = [holder.bury(envelope("a.b")) for _ in range(3)]
        client.headers["Authorization"] = f"Bearer {secrets['night_shift']}"
        assert post(client, "replay", ids=letters[:1], why=" fixed in 1.2 ").status_code == 200
        assert client.get(f"{PATH}/export?task=a.b&why=for%20Bob").status_code == 200
        client.headers["Authorization"] = f"Bearer {secrets['other']}"
        assert post(client, "discard", all=True, why="spam").status_code == 200
        answer = client.get(f"{PATH}/log")
    fields = ("verb", "count", "by", "via", "why", "chosen")
    assert [tuple(one[name] for name in fields) for one in answer.json()["actions"]] == [
        ("discard", 2, "other", "gateway", "spam", "all"),
        ("export", 2, "night_shift", "gateway", "for Bob", "task a.b"),
        ("replay", 1, "night_shift", "gateway", "fixed in 1.2", letters[0]),
    ]
    assert not [secret for secret in secrets.values() if secret in answer.text]


ENDPOINTS = [
    ("GET", ""),
    ("GET", "/log"),
    ("GET", "/export"),
    ("GET", f"/{'0' * 16}"),
    ("POST", "/replay"),
    ("POST", "/discard"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_only_a_token_with_ops_for_the_queue_gets_in(
    redis_server: RedisServer, tmp_path, method: str, path: str
) -> None:
    file = tmp_path / "tokens.yaml"
    every = ["submit", "read", "revoke", "upload", "search"]
    secrets = write_tokens(
        file,
        no_ops={"verbs": every},
        elsewhere={"verbs": ["ops"], "queues": ["notifications"]},
        ops={"verbs": ["ops"], "queues": [LANE]},
    )
    order = {"json": {"all": True, "why": "a"}} if method == "POST" else {}
    api = make_api(redis_server.url, gateway_tokens_file=file)
    with lane_holder(redis_server, LANE) as holder, calling(api) as client:
        holder.bury(envelope())
        assert client.request(method, PATH + path, **order).status_code == 401
        for name, allowed in (("no_ops", False), ("elsewhere", False), ("ops", True)):
            headers = {"Authorization": f"Bearer {secrets[name]}"}
            status = client.request(method, PATH + path, headers=headers, **order).status_code
            assert (status == 403) is not allowed, (name, status)
            assert holder.client.zcard(keys.dead_letters(LANE)) == 1 or name == "ops"


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_unknown_queue_and_a_redis_that_is_away_are_told(client, method: str, path: str) -> None:
    order = {"json": {"all": True, "why": "a"}} if method == "POST" else {}
    answer = client.request(method, f"/v1/queues/nope/dead-letters{path}", **order)
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_queue")
    with calling(make_api("redis://127.0.0.1:1/0", broker_timeout_s=1)) as away:
        answer = away.request(method, PATH + path, **order)
        assert (answer.status_code, answer.json()["error"]) == (503, "broker_unavailable")
