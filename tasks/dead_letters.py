"""What the doors do with dead letters: look, replay, discard, export; with who and why."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

import redis

from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import dead_letter_actions as store
from laneway.tasks.broker.client import reaching, reaching_lane, result_client
from laneway.tasks.broker.dead_letter_actions import Action, Pace
from laneway.tasks.broker.dead_letters import (
    EVERY,
    DeadLetter,
    Filter,
    Order,
    in_pages,
    iterate,
    iterate_ids,
    now_ms,
    read_dead_letter,
    read_named,
)

NAMED = 5
"""Ids that the log names; of more it says how many."""


@dataclass(frozen=True)
class Chosen:
    """Which dead letters are meant: those of `ids`, or without any, those the filter lets through.

    No more than `limit` of them, the oldest first.
    """

    ids: tuple[str, ...] = ()
    wanted: Filter = EVERY
    limit: int | None = None

    def __str__(self) -> str:
        if self.ids:
            more = len(self.ids) - NAMED
            named = ", ".join(self.ids[:NAMED])
            return f"{named} and {more} more" if more > 0 else named
        given = {
            "kind": self.wanted.kind,
            "task": self.wanted.task,
            "after": _moment(self.wanted.after_s),
            "before": _moment(self.wanted.before_s),
        }
        return ", ".join(f"{name} {value}" for name, value in given.items() if value) or "all"


@dataclass(frozen=True)
class Who:
    """Who acts, through which door, and why."""

    by: str
    via: str
    why: str = ""


@dataclass(frozen=True)
class Done:
    """What an action came to.

    `missing` are the ids it was for that were not there; `more` says that its limit left some;
    `until_s` is when the last of the replayed messages is due, if they were given a rate.
    """

    count: int
    missing: tuple[str, ...] = ()
    more: bool = False
    until_s: float | None = None


class DeadLetters:
    """The dead letters of one lane, for a door.

    Every method raises BrokerUnavailable if Redis cannot be reached.
    """

    def __init__(self, app: LanewayApp, lane: str) -> None:
        """Look at a lane.

        Raises:
            UnknownQueue: it is not in the catalogue.
        """
        _ = app.catalogue[lane]
        self._app = app
        self._lane = lane

    def look(self, wanted: Filter = EVERY) -> Iterator[DeadLetter]:
        """Those that are meant, the youngest first, without the messages no worker would take."""
        order = Order(most_bytes=self._app.settings.message_limit_bytes)
        with self._reaching() as client:
            yield from iterate(client, self._lane, wanted, order)

    def show(self, letter: str, most_bytes: int | None = None) -> DeadLetter | None:
        """One of them, or None; without its message if that is larger than `most_bytes`."""
        with self._reaching() as client:
            return read_dead_letter(client, self._lane, letter, most_bytes)

    def log(self, limit: int = 100) -> list[Action]:
        """What was done to them, the latest first."""
        with self._reaching() as client:
            return store.read_actions(client, self._lane, limit)

    def preview(self, chosen: Chosen) -> Counter[tuple[str, str | None]]:
        """How many an action would be for, by kind and task."""
        letters = self._named(chosen.ids) if chosen.ids else self.look(chosen.wanted)
        return Counter((letter.kind, letter.task) for letter in islice(letters, chosen.limit))

    def export(
        self, wanted: Filter, who: Who, most_bytes: int | None = None
    ) -> Iterator[DeadLetter]:
        """Those that are meant, the oldest first; without messages larger than `most_bytes`.

        The log says that it began, and how many there were once all have been taken.
        """
        action = _action("export", who, Chosen(wanted=wanted))
        count, order = 0, Order(oldest_first=True, most_bytes=most_bytes)
        with self._reaching() as client:
            store.log_action(client, self._lane, action)
            for letter in iterate(client, self._lane, wanted, order):
                yield letter
                count += 1
            store.log_action(client, self._lane, replace(action, count=count))

    def discard(self, chosen: Chosen, who: Who) -> Done:
        """Remove dead letters for good."""
        action, gone = _action("discard", who, chosen), set[str]()
        with self._reaching() as client:
            ids = iter(chosen.ids or iterate_ids(client, self._lane, chosen.wanted))
            for page in in_pages(islice(ids, chosen.limit)):
                gone.update(store.discard(client, self._lane, page, action))
            return _done(chosen, gone, ids)

    def replay(self, chosen: Chosen, who: Who, rate_per_s: float | None = None) -> Done:
        """Put dead letters back on the lane as if just sent, the oldest first.

        The stored failure of each task is forgotten, so that whoever asks waits for the new
        outcome. With a rate the messages wait in Redis, each for its own time: no more than that
        many begin in a second, and nobody has to stay here for it.
        """
        action, moved = _action("replay", who, chosen), set[str]()
        with self._reaching() as client:
            pace = Pace(now_ms(client), 1000 / rate_per_s) if rate_per_s else None
            ids = iter(chosen.ids or iterate_ids(client, self._lane, chosen.wanted))
            for page in in_pages(islice(ids, chosen.limit)):
                self._forget_failures(page)
                back = store.replay(client, self._lane, page, action, pace)
                moved.update(back)
                pace = pace and pace.after(len(back))
            done = _done(chosen, moved, ids)
        if pace is None or not moved:
            return done
        return replace(done, until_s=(pace.first_ms - pace.interval_ms) / 1000)

    def _named(self, ids: Sequence[str]) -> Iterator[DeadLetter]:
        most_bytes = self._app.settings.message_limit_bytes
        with self._reaching() as client:
            for page in in_pages(dict.fromkeys(ids)):
                yield from read_named(client, self._lane, page, most_bytes)

    def _forget_failures(self, ids: Sequence[str]) -> None:
        """Remove the results of failed tasks; one that succeeded after all keeps its."""
        backend, settings = self._app.backend, self._app.settings
        tasks = [letter.task_id for letter in self._named(ids)]
        names = [backend.get_key_for_task(task_id) for task_id in tasks if task_id]
        if not names:
            return
        with reaching(settings.results, "Nothing further was replayed."):
            client = result_client(settings)
            stored = zip(names, client.mget(names), strict=True)
            failed = [name for name, result in stored if result and _has_failed(result)]
            if failed:
                client.delete(*failed)

    @contextmanager
    def _reaching(self) -> "Iterator[redis.Redis]":
        with reaching_lane(self._app.settings, self._app.catalogue[self._lane]) as client:
            yield client


def _action(verb: str, who: Who, chosen: Chosen) -> Action:
    return Action(verb, who.by, who.via, who.why, str(chosen))


def _done(chosen: Chosen, moved: set[str], left: Iterator[str]) -> Done:
    missing = tuple(dict.fromkeys(letter for letter in chosen.ids if letter not in moved))
    return Done(len(moved), missing, more=next(left, None) is not None)


def _has_failed(result: str | bytes) -> bool:
    try:
        return bool(json.loads(result)["status"] == "FAILURE")
    except (ValueError, TypeError, KeyError):
        return False


def _moment(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    try:
        return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{at_s:.0f} s"  # outside of the calendar
