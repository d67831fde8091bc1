"""Redis is away: one asks, the others hear it."""

import pytest

from laneway.services.gateway import outage
from laneway.services.gateway.outage import Outage
from laneway.tasks.errors import BrokerUnavailable, LaneFull

pytestmark = pytest.mark.unit


def fail(watched: Outage) -> None:
    with pytest.raises(BrokerUnavailable, match="gone"), watched.watch():
        raise BrokerUnavailable("gone")


def test_after_a_failure_the_next_are_refused_without_asking() -> None:
    watched = Outage()
    fail(watched)
    asked = False
    with pytest.raises(BrokerUnavailable, match="gone"), watched.watch():
        asked = True
    assert not asked


def test_after_a_while_one_asks_for_all(monkeypatch) -> None:
    monkeypatch.setattr(outage, "REMEMBERED_S", 0.0)
    watched = Outage()
    fail(watched)
    with watched.watch(), pytest.raises(BrokerUnavailable), watched.watch():
        pass
    with watched.watch():
        pass


def test_any_other_answer_means_that_it_is_back(monkeypatch) -> None:
    monkeypatch.setattr(outage, "REMEMBERED_S", 0.0)
    watched = Outage()
    fail(watched)
    with pytest.raises(LaneFull), watched.watch():
        raise LaneFull("full")
    with watched.watch():
        pass
