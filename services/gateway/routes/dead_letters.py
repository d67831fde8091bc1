"""Dead letters: looking, replaying, discarding, exporting, and the log of it. All of it is `ops`."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from laneway.observability.logs import get_logger
from laneway.services.gateway.access import Caller, MayOperate
from laneway.services.gateway.bodies import JsonBody, parse_json, parse_model
from laneway.services.gateway.context import Gateway, Here
from laneway.services.gateway.dead_letter_models import (
    LETTER_ID_PATTERN,
    LONGEST_WHY,
    ActionLog,
    Choice,
    Counted,
    DeadLetterHead,
    DeadLetters,
    DeadLetterWhole,
    Discard,
    LoggedAction,
    Moved,
    Named,
    Replay,
    seconds_of,
)
from laneway.services.gateway.models import Moment
from laneway.services.gateway.openapi import DISCARD, REPLAY, json_body
from laneway.services.gateway.problems import Problem
from laneway.services.gateway.routes.responses import READ, WRITE, refusals
from laneway.tasks import dead_letters as platform
from laneway.tasks.broker.dead_letters import DeadLetter, Filter
from laneway.tasks.dead_letters import Done, Who

logger = get_logger(__name__)

_LINES = {
    "description": "A dead letter a line, each a DeadLetterWhole; the oldest first.",
    "content": {
        "application/x-ndjson": {"schema": {"$ref": "#/components/schemas/DeadLetterWhole"}}
    },
}


def routes() -> APIRouter:
    """Dead-letter endpoints."""
    router = APIRouter(prefix="/v1/queues/{queue}/dead-letters", tags=["dead letters"])
    look: dict[str, Any] = {"responses": refusals(*READ)}
    router.add_api_route("", dead_letters, **look)
    router.add_api_route("/log", dead_letter_log, **look)
    router.add_api_route(
        "/export",
        export_dead_letters,
        response_class=StreamingResponse,
        responses={200: _LINES, **refusals(*READ)},
    )
    move: dict[str, Any] = {"methods": ["POST"], "responses": refusals(*WRITE)}
    router.add_api_route("/replay", replay_dead_letters, **move, openapi_extra=json_body(REPLAY))
    router.add_api_route("/discard", discard_dead_letters, **move, openapi_extra=json_body(DISCARD))
    router.add_api_route("/{letter}", one_dead_letter, **look)
    return router


def _filter(
    kind: Annotated[Named | None, Query(description="Of this kind.")] = None,
    task: Annotated[Named | None, Query(description="Of this task.")] = None,
    after: Annotated[Moment | None, Query(description="Died then or later.")] = None,
    before: Annotated[Moment | None, Query(description="Died before.")] = None,
) -> Filter:
    return Filter(kind, task, before_s=seconds_of(before), after_s=seconds_of(after))


Wanted = Annotated[Filter, Depends(_filter)]
Limit = Annotated[int, Query(ge=1, le=1_000, description="Most entries.")]


def dead_letters(
    queue: str, caller: MayOperate, gateway: Here, wanted: Wanted, limit: Limit = 100
) -> DeadLetters:
    """A queue's youngest dead letters with their reasons, without what their tasks were given."""
    lane = _lane(gateway, caller, queue)
    with gateway.outage_of(queue).watch():
        found = list(islice(lane.look(wanted), limit + 1))
    return DeadLetters(
        queue=queue,
        dead_letters=[DeadLetterHead.of(letter) for letter in found[:limit]],
        more=len(found) > limit,
    )


def one_dead_letter(
    queue: str,
    letter: Annotated[str, Path(pattern=LETTER_ID_PATTERN, description="Id of the dead letter.")],
    caller: MayOperate,
    gateway: Here,
) -> DeadLetterWhole:
    """One dead letter with its message, as its producer sent it."""
    lane = _lane(gateway, caller, queue)
    with gateway.outage_of(queue).watch():
        found = lane.show(letter, gateway.settings.message_limit_bytes)
    if found is None:
        raise Problem(
            404,
            "unknown_dead_letter",
            "The queue has no dead letter of this id. It may have been replayed, discarded, or "
            "removed when the queue's deadLetterRetention was over; the log of the queue's dead "
            "letters tells.",
        )
    return DeadLetterWhole.of(found)


def export_dead_letters(
    queue: str,
    caller: MayOperate,
    gateway: Here,
    wanted: Wanted,
    why: Annotated[str, Query(max_length=LONGEST_WHY, description="For the log.")] = "",
) -> Response:
    """A queue's dead letters with their messages, as lines of JSON; the log notes it."""
    lane = _lane(gateway, caller, queue)
    letters = lane.export(wanted, _who(caller, why), gateway.settings.message_limit_bytes)
    with gateway.outage_of(queue).watch():
        first = list(islice(letters, 1))  # what can be refused is refused before the answer begins
    return StreamingResponse(
        _lines(chain(first, letters)),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{queue}-dead-letters.jsonl"'},
    )


def replay_dead_letters(queue: str, caller: MayOperate, gateway: Here, sent: JsonBody) -> Moved:
    """Put dead letters back on the queue as if just sent, at once or at a rate.

    Name them by `ids`, by a filter, or say `all`. The stored failure of each task is forgotten.
    """
    lane = _lane(gateway, caller, queue)
    order = parse_model(Replay, parse_json(sent))
    if order.dry_run:
        return _previewed(gateway, lane, queue, order)
    # Not under `outage`: the result store may be away as well, which is no outage of the broker.
    done = lane.replay(order.chosen(), _who(caller, order.why), order.rate_per_s)
    return _moved(queue, "replay", caller, done)


def discard_dead_letters(queue: str, caller: MayOperate, gateway: Here, sent: JsonBody) -> Moved:
    """Remove dead letters for good. Name them by `ids`, by a filter, or say `all`."""
    lane = _lane(gateway, caller, queue)
    order = parse_model(Discard, parse_json(sent))
    if order.dry_run:
        return _previewed(gateway, lane, queue, order)
    with gateway.outage_of(queue).watch():
        done = lane.discard(order.chosen(), _who(caller, order.why))
    return _moved(queue, "discard", caller, done)


def dead_letter_log(queue: str, caller: MayOperate, gateway: Here, limit: Limit = 100) -> ActionLog:
    """Who did what to a queue's dead letters, and why; the latest first."""
    lane = _lane(gateway, caller, queue)
    with gateway.outage_of(queue).watch():
        actions = lane.log(limit)
    return ActionLog(queue=queue, actions=[LoggedAction.of(action) for action in actions])


def _lane(gateway: Gateway, caller: Caller, queue: str) -> platform.DeadLetters:
    lane = platform.DeadLetters(gateway.app, queue)
    caller.require_queue(queue)
    return lane


def _who(caller: Caller, why: str) -> Who:
    return Who(by=caller.owner, via="gateway", why=why)


def _previewed(gateway: Gateway, lane: platform.DeadLetters, queue: str, order: Choice) -> Moved:
    with gateway.outage_of(queue).watch():
        found = lane.preview(order.chosen())
    matched = [
        Counted(kind=kind, task=task, count=count) for (kind, task), count in found.most_common()
    ]
    return Moved(queue=queue, count=found.total(), dry_run=True, matched=matched)


def _moved(queue: str, verb: str, caller: Caller, done: Done) -> Moved:
    logger.info("dead letters moved", verb=verb, queue=queue, count=done.count, by=caller.owner)
    return Moved(
        queue=queue,
        count=done.count,
        dry_run=False,
        missing=list(done.missing),
        more=done.more,
        until_s=done.until_s,
    )


def _lines(letters: Iterator[DeadLetter]) -> Iterator[str]:
    for letter in letters:
        yield DeadLetterWhole.of(letter).model_dump_json() + "\n"
