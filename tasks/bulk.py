"""Many tasks at once: each is checked and answered as by `submit`, with a few round trips for all."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from kombu.exceptions import BatchPublishError, EncodeError, OperationalError
from redis.exceptions import RedisError

from laneway.tasks.app import LanewayApp, get_app
from laneway.tasks.broker.client import broker_client, reaching, reaching_lane
from laneway.tasks.broker.publish import BatchRefused
from laneway.tasks.broker.submissions import (
    Accepted,
    Durability,
    Wanted,
    claim_keys,
    record_all,
    release_keys,
)
from laneway.tasks.dispatch import (
    UNCERTAIN,
    Submission,
    TaskRequest,
    check_request,
    check_room_apart,
    claim_limit_s,
    durability_of,
    noted_fields,
    scoped_key,
    send,
    submit_request,
)
from laneway.tasks.errors import (
    BrokerUnavailable,
    DeliveryUncertain,
    InvalidPayload,
    SubmissionError,
)

AT_ONCE = 250
"""Tasks of one round trip."""

Outcome = Submission | SubmissionError


@dataclass
class _Item:
    """A request that was found to be right."""

    place: int
    request: TaskRequest
    queue: str
    key: str | None
    digest: str
    task_id: str


def submit_many(requests: Sequence[TaskRequest], *, app: LanewayApp | None = None) -> list[Outcome]:
    """Check tasks and queue them, each accepted or refused on its own.

    Tasks of one lane keep their order, but for those whose idempotency key somebody else, or a task
    before it in the list, is just using: they come last. Whenever a broker does not answer, what was on its way is
    DeliveryUncertain: it may be queued, or not. What would have followed it is refused with
    BrokerUnavailable, without another try.

    Args:
        requests: the tasks.
        app: the app to publish with; the process's own if not given.

    Returns:
        What became of each, in the order of the requests: a Submission, or why it was refused.
    """
    return _Bulk(app or get_app()).run(requests)


class _Bulk:
    def __init__(self, app: LanewayApp) -> None:
        self._app = app
        self._client = broker_client(app.settings)
        self._outcomes: dict[int, Outcome] = {}
        self._again: list[_Item] = []
        self._away: dict[str | None, BrokerUnavailable] = {}

    def run(self, requests: Sequence[TaskRequest]) -> list[Outcome]:
        for queue, items in self._by_lane(self._checked(requests)).items():
            for start in range(0, len(items), AT_ONCE):
                self._submit(queue, items[start : start + AT_ONCE])
        for item in self._again:
            self._outcomes[item.place] = self._one(item.request, item.queue)
        self._wait(requests)
        return [self._outcomes[place] for place in range(len(requests))]

    def _checked(self, requests: Sequence[TaskRequest]) -> Iterator[_Item]:
        keys = set[str]()
        for place, request in enumerate(requests):
            try:
                queue = check_request(self._app, request)
                key = scoped_key(request)
                digest = "" if key is None else request.digest(queue)
            except SubmissionError as error:
                self._outcomes[place] = error
                continue
            except TypeError as error:
                self._outcomes[place] = _no_json(error)
                continue
            item = _Item(place, request, queue, key, digest, str(uuid4()))
            if key in keys:
                self._again.append(item)  # once its twin before it has an answer
                continue
            if key is not None:
                keys.add(key)
            yield item

    @staticmethod
    def _by_lane(items: Iterator[_Item]) -> dict[str, list[_Item]]:
        lanes: dict[str, list[_Item]] = defaultdict(list)
        for item in items:
            lanes[item.queue].append(item)
        return lanes

    def _submit(self, queue: str, items: list[_Item]) -> None:
        """Claim, publish and record the tasks of one round trip."""
        settings, broker = self._app.settings, self._app.catalogue[queue].broker
        away = self._away.get(None) or self._away.get(broker)
        if away is not None:
            self._refuse(items, BrokerUnavailable(str(away)))
            return
        try:
            with reaching(settings.broker, UNCERTAIN):
                mine = self._claim(items)
        except BrokerUnavailable as error:
            self._away[None] = error
            self._refuse(items, error)
            return
        refusals = self._publish(queue, mine)
        accepted = [item for item in mine if item.task_id not in refusals]
        try:
            with reaching(settings.broker, UNCERTAIN):
                self._record(accepted)
        except BrokerUnavailable as error:
            self._away[None] = error
            self._refuse(accepted, DeliveryUncertain(str(error)))
        for item in mine:
            if item.task_id in refusals:
                self._outcomes[item.place] = refusals[item.task_id]
            else:
                done = Submission(item.task_id, item.request.task, queue)
                self._outcomes.setdefault(item.place, done)
        self._release(item for item in mine if item.task_id in refusals)

    def _claim(self, items: list[_Item]) -> list[_Item]:
        """Those that are to be published: with no key, or with one that is theirs now."""
        keyed = [item for item in items if item.key is not None]
        wanted = [Wanted(item.key or "", item.digest, item.task_id) for item in keyed]
        claims = claim_keys(self._client, wanted, claim_limit_s(self._app)) if keyed else []
        others = set[int]()
        for item, claim in zip(keyed, claims, strict=True):
            if claim is None:
                self._again.append(item)  # somebody publishes it just now: wait for that at the end
            elif isinstance(claim, SubmissionError):
                self._outcomes[item.place] = claim
            elif claim.mine:
                item.task_id = claim.task_id
                continue
            else:
                known = Submission(claim.task_id, item.request.task, item.queue, replayed=True)
                self._outcomes[item.place] = known
            others.add(item.place)
        return [item for item in items if item.place not in others]

    def _publish(self, queue: str, items: list[_Item]) -> dict[str, SubmissionError]:
        """Publish to one lane; what was refused, and why, by task id."""
        refusals: dict[str, SubmissionError] = {}
        try:
            check_room_apart(self._app, queue)
            self._send(queue, items, refusals)
        except BatchRefused as refused:
            refusals |= refused.refusals
        except SubmissionError as error:
            if isinstance(error, BrokerUnavailable):
                self._away[self._app.catalogue[queue].broker] = error
            refusals |= {item.task_id: error for item in items if item.task_id not in refusals}
        return refusals

    def _send(self, queue: str, items: list[_Item], refusals: dict[str, SubmissionError]) -> None:
        entry = self._app.catalogue[queue]
        try:
            with reaching_lane(self._app.settings, entry, UNCERTAIN):
                self._send_batch(queue, items, refusals)
        except BrokerUnavailable as error:
            raise DeliveryUncertain(str(error)) from error

    def _send_batch(
        self, queue: str, items: list[_Item], refusals: dict[str, SubmissionError]
    ) -> None:
        try:
            with self._app.producer_for(queue) as producer, producer.batch(len(items) + 1):
                for item in items:
                    try:
                        send(self._app, item.request, queue, item.task_id, producer)
                    except (EncodeError, TypeError) as error:
                        refusals[item.task_id] = _no_json(error)
        except (BatchPublishError, OperationalError) as error:
            raise ConnectionError(str(error.__cause__ or error)) from error

    def _record(self, items: list[_Item]) -> None:
        if items:
            record_all(
                self._client,
                [Accepted(i.task_id, noted_fields(i.request, i.queue), i.key) for i in items],
            )

    def _release(self, items: Iterator[_Item]) -> None:
        """Let the next caller with the same key try. If Redis is away, a claim lapses by itself."""
        held = [item.key for item in items if item.key is not None]
        if held:
            with suppress(RedisError, OSError):
                release_keys(self._client, held)

    def _refuse(self, items: list[_Item], error: SubmissionError) -> None:
        self._outcomes |= {item.place: error for item in items}

    def _one(self, request: TaskRequest, queue: str) -> Outcome:
        away = self._away.get(None) or self._away.get(self._app.catalogue[queue].broker)
        if away is not None:
            return BrokerUnavailable(str(away))
        try:
            return submit_request(self._app, replace(request, durability="memory"))
        except SubmissionError as error:
            return error

    def _wait(self, requests: Sequence[TaskRequest]) -> None:
        """Wait for what was asked for, once a broker and level: the wait is for all before it."""
        reached: dict[tuple[str | None, str], Durability] = {}
        for place, request in enumerate(requests):
            done = self._outcomes[place]
            if request.durability == "memory" or not isinstance(done, Submission):
                continue
            asked = (self._app.catalogue[done.queue].broker, request.durability)
            if asked not in reached:
                reached[asked] = durability_of(self._app, done.queue, request.durability)
            self._outcomes[place] = replace(done, durability=reached[asked])


def _no_json(error: Exception) -> InvalidPayload:
    return InvalidPayload(f"The payload is no JSON ({error}). Correct it and submit it again.")
