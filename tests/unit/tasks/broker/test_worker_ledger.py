"""A worker's books: what it holds, what it has yet to tell, and what it learns on coming back."""

import pytest

from laneway.tasks.broker.ledger import Ledger, Settlement
from laneway.tasks.broker.transport import worker_name

pytestmark = pytest.mark.unit

MESSAGE = b'{"body":""}'


def holding(count: int) -> tuple[Ledger, list[str]]:
    """A connected worker that holds so many claims."""
    ledger = Ledger("w")
    ledger.begin_epoch()
    before = ledger.reserve(count)
    taken = ledger.take((before + n, 1, 0, MESSAGE) for n in range(1, count + 1))
    return ledger, [claim.id for claim in taken]


def test_a_number_is_set_aside_once_whether_its_claim_came_or_not() -> None:
    ledger = Ledger("w")

    assert [ledger.reserve(3), ledger.reserve(2), ledger.reserve(1)] == [0, 3, 5]


def test_a_claim_is_named_after_its_worker_and_number() -> None:
    ledger, [claim] = holding(1)

    assert claim == "w/1"
    assert ledger.held[claim].message == MESSAGE


def test_an_end_is_told_once() -> None:
    ledger, [first, second] = holding(2)

    assert ledger.ack(first)
    assert ledger.settle(Settlement("tail", second))

    assert not ledger.held
    assert ledger.send_acks(10) == [first]
    assert ledger.send_settlements(10) == [Settlement("tail", second)]
    assert ledger.send_acks(10) == []
    assert ledger.send_settlements(10) == []


def test_a_claim_ends_once_however_often_its_task_says_so() -> None:
    ledger, [claim] = holding(1)

    assert ledger.ack(claim)

    assert not ledger.ack(claim)
    assert not ledger.settle(Settlement("head", claim))
    assert ledger.send_acks(10) == [claim]


def test_no_more_is_sent_than_fits_and_the_rest_follows_in_order() -> None:
    ledger, claims = holding(5)
    for claim in claims:
        ledger.ack(claim)

    assert ledger.send_acks(2) == claims[:2]
    assert ledger.send_acks(2) == claims[2:4]
    assert ledger.send_acks(2) == claims[4:]


def test_what_was_not_answered_is_told_again_before_what_came_later() -> None:
    ledger, claims = holding(4)
    for claim in claims[:2]:
        ledger.ack(claim)
    sent = ledger.send_acks(2)
    ledger.answered(sent[:1])
    ledger.ack(claims[2])

    known = ledger.begin_epoch()
    ledger.reconcile(known, kept_lease=True)

    assert set(known) == set(claims[1:])
    assert ledger.send_acks(10) == [claims[1], claims[2]]


def test_an_answered_settlement_is_not_told_again() -> None:
    ledger, [first, second] = holding(2)
    ledger.settle(Settlement("again", first))
    ledger.settle(Settlement("bury", second, "kind\nreason"))
    ledger.send_settlements(2)
    ledger.answered([first])

    assert ledger.begin_epoch() == [second]
    assert ledger.settlements == [Settlement("bury", second, "kind\nreason")]


def test_an_epoch_is_never_used_twice() -> None:
    ledger = Ledger("w")
    epochs = []
    for _ in range(3):
        ledger.begin_epoch()
        epochs.append(ledger.epoch)

    assert epochs == sorted(set(epochs))


def test_what_redis_did_without_its_answer_coming_is_neither_told_again_nor_late() -> None:
    ledger, [done, open_one] = holding(2)
    ledger.ack(done)
    ledger.send_acks(1)

    ledger.begin_epoch()
    learnt = ledger.reconcile([open_one], kept_lease=True)

    assert (learnt.late, learnt.lost) == (0, [])
    assert ledger.acks == []
    assert list(ledger.held) == [open_one]


def test_a_worker_whose_lease_ran_out_learns_what_others_have() -> None:
    ledger, [acked, settled, running, kept] = holding(4)
    ledger.ack(acked)
    ledger.settle(Settlement("tail", settled))

    ledger.begin_epoch()
    learnt = ledger.reconcile([kept], kept_lease=False)

    assert learnt.late == 2
    assert [claim.id for claim in learnt.lost] == [running]
    assert (ledger.acks, ledger.settlements, list(ledger.held)) == ([], [], [kept])


def test_a_late_end_of_a_lost_claim_changes_nothing_and_is_said_once() -> None:
    ledger, [claim] = holding(1)
    ledger.begin_epoch()
    ledger.reconcile([], kept_lease=False)

    assert not ledger.ack(claim)
    assert ledger.acks == []
    assert not ledger.ack(claim)


def test_an_end_while_the_connection_is_made_anew_is_told_on_the_new_one() -> None:
    ledger, [claim] = holding(1)

    known = ledger.begin_epoch()
    ledger.ack(claim)
    learnt = ledger.reconcile(known, kept_lease=True)

    assert learnt.late == 0
    assert ledger.send_acks(1) == [claim]


@pytest.mark.parametrize("lane", ["documents", "größer und länger", 'a"b', "a b\nc", "\0"])
def test_a_workers_name_has_no_character_that_records_part_words_by(lane: str) -> None:
    name = worker_name(lane)

    assert name.isascii()
    assert not set(name) & set(' \n"/\0')
