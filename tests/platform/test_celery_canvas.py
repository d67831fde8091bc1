"""Celery's canvas as its manual tells it: nested, replaced, failing, and with processes killed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError

from celery_user import GET_S, User, celery_user, lines
from lesson_harness import wait_for_state
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

LANE = "high-priority"
ELSEWHERE = "documents"
"""A lane without a worker."""


@pytest.fixture(scope="module")
def user(module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    with celery_user(module_redis, tmp_path_factory.mktemp("worker"), LANE) as running:
        yield running


def adds(user: User, *numbers: float) -> list:
    return [user.sig("add", n, n) for n in numbers]


def test_a_chord_of_chords_adds_up(user) -> None:
    inner = [chord(adds(user, n, n), user.sig("total")) for n in (1, 10)]
    assert chord(inner, user.sig("total")).apply_async().get(timeout=GET_S) == 44


def test_a_chords_body_may_be_a_chord(user) -> None:
    add = user.app.tasks["user.add"]
    body = chord([add.si(n, n).set(queue=LANE) for n in (1, 2)], user.sig("total"))
    steps = chord(adds(user, 1), body)
    assert steps.apply_async().get(timeout=GET_S) == 6


def test_a_group_in_a_chain_becomes_a_chord(user) -> None:
    doubles = group(user.sig("double") for _ in range(3))
    steps = chain(user.sig("add", 1, 1), doubles, user.sig("total"), user.sig("double"))
    assert steps.apply_async().get(timeout=GET_S) == 24


def test_a_group_at_a_chains_end_gives_all_its_results(user) -> None:
    steps = chain(user.sig("add", 1, 1), group(user.sig("add", 10), user.sig("double")))
    assert steps.apply_async().get(timeout=GET_S) == [12, 4]


def test_a_group_of_chains_keeps_its_order(user) -> None:
    chains = [chain(user.sig("add", n, 0), user.sig("double")) for n in range(5)]
    assert group(chains).apply_async().get(timeout=GET_S) == [0, 2, 4, 6, 8]


def test_a_chord_of_a_hundred_runs_its_body_once(user, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    body = user.sig("note_total", mark=str(mark))
    assert chord(adds(user, *range(100)), body).apply_async().get(timeout=GET_S) == 9900
    assert lines(mark) == ["total 9900"]


@pytest.mark.parametrize("way", ["map", "starmap", "chunks"])
def test_many_arguments_travel_in_one_message(user, way: str) -> None:
    double, add = user.app.tasks["user.double"], user.app.tasks["user.add"]
    made, expected = {
        "map": (double.map([1, 2, 3]), [2, 4, 6]),
        "starmap": (add.starmap([(1, 1), (2, 2)]), [2, 4]),
        "chunks": (add.chunks([(n, n) for n in range(5)], 2), [[0, 2], [4, 6], [8]]),
    }[way]
    sent = made.apply_async(queue=LANE)
    assert sent.get(timeout=GET_S) == expected


@pytest.mark.parametrize(
    ("task", "arguments", "expected"),
    [
        ("replace_with_add", (1, 2), 3),
        ("replace_with_group", ([1, 2],), [2, 4]),
        ("replace_with_chord", ([1, 2],), 6),
    ],
)
def test_a_task_may_put_another_in_its_place(user, task: str, arguments, expected) -> None:
    assert user.get(task, *arguments) == expected


def test_what_takes_a_tasks_place_takes_its_place_in_the_canvas(user) -> None:
    steps = chain(user.sig("replace_with_add", 1, 2), user.sig("double"))
    assert steps.apply_async().get(timeout=GET_S) == 6
    header = [user.sig("replace_with_add", n, n) for n in (1, 2)]
    header.append(user.sig("replace_with_chord", [1, 2]))
    assert chord(header, user.sig("total")).apply_async().get(timeout=GET_S) == 12


def test_a_chord_that_fails_names_the_member_and_leaves_its_body_unrun(
    user, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    failing = user.sig("fail").set(task_id="the-one-that-failed")
    body = user.sig("note_total", mark=str(mark))
    result = chord([*adds(user, 1), failing], body).apply_async()
    error = wait_for_state(result, "FAILURE")
    assert isinstance(error, ChordError)
    assert "the-one-that-failed" in str(error)
    assert "ValueError" in str(error)
    assert user.get("add", 1, 1) == 2
    assert lines(mark) == []


def test_a_chords_errback_is_called_with_its_failure(user, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    body = user.sig("total").on_error(user.sig("note_error", mark=str(mark)))
    result = chord([*adds(user, 1), user.sig("fail")], body).apply_async()
    assert wait_for_state(result, "FAILURE")
    wait_for(lambda: lines(mark), "the errback")
    assert lines(mark) == [f"{result.id} ChordError"]


def test_an_inner_chord_that_fails_leaves_the_outers_body_unrun(user, tmp_path: Path) -> None:
    """The outer one stays pending, as on stock Celery: nobody tells it of the inner one's end."""
    mark = tmp_path / "mark"
    inner = chord([*adds(user, 1), user.sig("fail")], user.sig("total"))
    body = user.sig("note_total", mark=str(mark))
    outer = chord([inner, *adds(user, 1)], body).apply_async()
    assert wait_for_state(outer.parent.results[0], "FAILURE")
    assert user.get("add", 1, 1) == 2
    assert lines(mark) == []


def test_a_groups_failed_member_leaves_the_others_their_results(user) -> None:
    result = group([*adds(user, 1), user.sig("fail"), *adds(user, 2)]).apply_async()
    first, failed, last = result.results
    assert (first.get(timeout=GET_S), last.get(timeout=GET_S)) == (2, 4)
    assert wait_for_state(failed, "FAILURE")
    assert result.failed()
    assert result.completed_count() == 2


def test_a_chains_errback_is_called_once_with_the_step_that_failed(user, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    steps = chain(user.sig("add", 1, 1), user.sig("fail"), user.sig("double"))
    steps.on_error(user.sig("note_error", mark=str(mark)))
    result = steps.apply_async()
    wait_for(lambda: lines(mark), "the errback")
    assert wait_for_state(result.parent, "FAILURE")
    assert lines(mark) == [f"{result.parent.id} ValueError"]


def test_several_links_run_each_once(user, tmp_path: Path) -> None:
    marks = [tmp_path / name for name in ("one", "two")]
    links = [user.sig("note", mark=str(mark)) for mark in marks]
    assert user.get("add", 1, 2, link=links) == 3
    wait_for(lambda: all(lines(mark) for mark in marks), "the linked tasks")
    assert user.get("add", 1, 1) == 2
    assert [lines(mark) for mark in marks] == [["3"], ["3"]]


def test_an_immutable_step_takes_nothing_from_the_step_before(user) -> None:
    apart = user.app.tasks["user.add"].si(10, 10).set(queue=LANE)
    assert chain(user.sig("add", 1, 1), apart).apply_async().get(timeout=GET_S) == 20


def test_a_chord_counts_a_member_once_whose_process_was_killed(user, tmp_path: Path) -> None:
    dying, body = tmp_path / "dying", tmp_path / "body"
    member = user.sig("die_once", 5, mark=str(dying))
    total = user.sig("note_total", mark=str(body))
    result = chord([*adds(user, 1), member, *adds(user, 2)], total).apply_async()
    assert result.get(timeout=GET_S) == 11
    (member_id,) = set(lines(dying))
    wait_for(lambda: user.outcomes(member_id) == ["worker_lost", "success"], "both outcomes")
    assert lines(body) == ["total 11"]


@pytest.mark.parametrize("others", [(), (1, 2)])
def test_a_member_that_was_killed_after_its_result_was_stored_is_done(
    user, tmp_path: Path, others: tuple[int, ...]
) -> None:
    dying, body = tmp_path / "dying", tmp_path / "body"
    member = user.sig("die_after_result", 5, mark=str(dying))
    total = user.sig("note_total", mark=str(body))
    result = chord([*adds(user, *others), member], total).apply_async()
    expected = 5 + 2 * sum(others)
    assert result.get(timeout=GET_S) == expected
    (member_id,) = lines(dying)
    wait_for(lambda: user.outcomes(member_id), "the lost process")
    wait_for(lambda: user.backlog().waiting == 0, "the end of its message")
    assert lines(dying) == [member_id]
    assert lines(body) == [f"total {expected}"]


@pytest.mark.parametrize("others", [(), (1, 2)])
def test_a_chord_counts_a_member_once_whose_message_came_again(
    user, tmp_path: Path, others: tuple[int, ...]
) -> None:
    """As after its whole worker was killed between its result and its acknowledgement."""
    ran, body = tmp_path / "ran", tmp_path / "body"
    member = user.sig("note", 5, mark=str(ran)).set(queue=ELSEWHERE)
    result = chord([*adds(user, *others), member], user.sig("note_total", mark=str(body)))
    sent = result.apply_async()
    with user.server.client() as client:
        message = client.rpop(ELSEWHERE)
        client.lpush(LANE, message)
        expected = 5 + 2 * sum(others)
        assert sent.get(timeout=GET_S) == expected
        client.lpush(LANE, '{"laneway":[1,1,"gone",0,1],' + message.removeprefix("{"))
    wait_for(lambda: len(lines(ran)) == 2, "the second delivery")
    wait_for(lambda: user.backlog().waiting == 0, "its end")
    assert user.get("add", 1, 1) == 2
    assert lines(body) == [f"total {expected}"]


def test_a_chain_goes_on_once_from_a_step_that_was_killed(user, tmp_path: Path) -> None:
    dying, after = tmp_path / "dying", tmp_path / "after"
    steps = chain(user.sig("die_once", 5, mark=str(dying)), user.sig("note", mark=str(after)))
    assert steps.apply_async().get(timeout=GET_S) == 5
    assert lines(after) == ["5"]


def test_a_canvas_travels_as_json(user) -> None:
    """As a signature that was stored and read again."""
    stored = json.dumps(chain(user.sig("add", 1, 1), user.sig("double")))
    restored = user.app.signature(json.loads(stored))
    assert restored.apply_async().get(timeout=GET_S) == 4
