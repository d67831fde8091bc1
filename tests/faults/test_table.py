"""The table tells what came of a fault, and a broken promise is one wherever it shows."""

from datetime import date

import pytest

from faults.catalogue import FAULTS
from faults.fault import Row
from faults.ledger import Recovery, Verdict
from faults.runner import chosen
from faults.table import Run, as_markdown

pytestmark = pytest.mark.unit

RUN = Run(date(2030, 1, 2), "full", 7, 2, {"Redis": "6.2"})
NAME = FAULTS[0].name


def row(broken=(), **changes) -> Row:
    told = {
        "accepted": 10,
        "ran": 9,
        "lost": (),
        "repeated_in_flight": 2,
        "repeated_without_cause": 0,
        "attempts": 12,
        "recoveries": tuple(Recovery(seconds, "w", 0.0) for seconds in (1.0, 2.0, 9.26)),
    }
    return Row(NAME, "laneway", 3, Verdict(**{**told, **changes}), 1, tuple(broken), 4.0)


def test_every_number_is_in_the_row() -> None:
    page = as_markdown(RUN, [row(lost=("a", "b"), repeated_without_cause=4)], FAULTS)
    assert f"| {NAME} | laneway | 3 | 10 | 9 | 2 | 2 | 4 | 1 | 12 | 2.0 / 9.3 |" in page
    assert "2030-01-02, full run, seed 7" in page
    assert "python -m faults --full --seed 7" in page


def test_without_a_recovery_there_is_none_to_tell() -> None:
    assert "| 12 | - / - |" in as_markdown(RUN, [row(recoveries=())], FAULTS)


def test_a_fault_is_described_where_it_was_run() -> None:
    page = as_markdown(RUN, [row()], FAULTS)
    assert f"**{NAME}.** " in page
    assert f"**{FAULTS[1].name}.** " not in page


def test_what_was_not_kept_is_told_in_its_last_line() -> None:
    page = as_markdown(RUN, [row(broken=["Traceback\n  of many lines\nKeyError: 'a'\n"])], FAULTS)
    assert f"- {NAME}, laneway: KeyError: 'a'" in page


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (row(), True),
        (row(lost=("a",)), False),
        (row(repeated_without_cause=1), False),
        (row(broken=["it hung"]), False),
    ],
    ids=["all is well", "lost", "repeated", "broken"],
)
def test_a_row_is_kept_if_nothing_was_lost_repeated_or_broken(told, kept) -> None:
    assert told.kept is kept


def test_names_are_unique_and_every_fault_says_what_it_is() -> None:
    assert len({kind.name for kind in FAULTS}) == len(FAULTS)
    assert all(kind.__doc__ for kind in FAULTS)


def test_faults_are_chosen_by_size_or_by_name() -> None:
    assert len(chosen([], "full")) == len(FAULTS)
    assert {kind for kind, _ in chosen([], "short")} == {k for k in FAULTS if k.sizes.short}
    assert [times for _, times in chosen(["SIGKILL under backlog"], "full")] == [300]
    assert [times for _, times in chosen(["message of 100 MB"], "short")] == [1]
