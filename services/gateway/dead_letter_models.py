"""What the gateway takes and answers about dead letters."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from laneway.services.gateway.models import Moment
from laneway.tasks.broker.dead_letter_actions import Action
from laneway.tasks.broker.dead_letters import DeadLetter, Filter
from laneway.tasks.dead_letters import Chosen

LETTER_ID_PATTERN = r"^[0-9a-f]{16}$"
LONGEST_WHY = 500
MOST_IDS = 1_000
MOST_AT_ONCE = 100_000

Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_WHY)]
LetterId = Annotated[str, StringConstraints(pattern=LETTER_ID_PATTERN)]
Named = Annotated[str, StringConstraints(min_length=1, max_length=255)]


def seconds_of(moment: datetime | None) -> float | None:
    """A moment in seconds since the epoch."""
    return None if moment is None else moment.timestamp()


class DeadLetterHead(BaseModel):
    """A message that could not run, without what its task was given."""

    id: str
    kind: str = Field(description="Why it died, in one of a few words.")
    reason: str = Field(description="Why it died, in more words.")
    task: str | None = Field(description="Name of the task, if the message names one.")
    task_id: str | None = Field(description="Id of the task, if the message has one.")
    worker: str = Field(description="The last worker that had it.")
    deliveries: int = Field(description="How often workers took it.")
    died_at_s: float = Field(description="When it died, seconds since the epoch.")
    size_bytes: int = Field(description="Size of the message.")

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """From the record."""
        return cls.model_validate(letter.summary())


class DeadLetterWhole(DeadLetterHead):
    """A message that could not run, as its producer sent it."""

    encoding: Literal["utf-8", "base64"] | None = Field(
        description="How `message` stands here: as text, or in base64 if it is no UTF-8. Null for "
        "a message larger than LANEWAY_MESSAGE_LIMIT_BYTES, which `laneway dead export` writes."
    )
    message: str | None

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """From the record."""
        return cls.model_validate(letter.whole())


class DeadLetters(BaseModel):
    """A queue's dead letters, the youngest first."""

    queue: str
    dead_letters: list[DeadLetterHead]
    more: bool = Field(description="Whether there are more than `limit`.")


class Choice(BaseModel):
    """Which dead letters are meant, and why: `ids`, or some of the filters, or `all`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    why: Why = Field(description="For the log.")
    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MOST_IDS)] | None = Field(
        None, description="These."
    )
    kind: Named | None = Field(None, description="Those of this kind.")
    task: Named | None = Field(None, description="Those of this task.")
    after: Moment | None = Field(None, description="Those that died then or later.")
    before: Moment | None = Field(None, description="Those that died before.")
    all: bool = Field(default=False, description="Every one of the queue.")
    limit: int = Field(10_000, ge=1, le=MOST_AT_ONCE, description="Most of them, the oldest first.")
    dry_run: bool = Field(default=False, description="Change nothing, and say what it would be.")

    @model_validator(mode="after")
    def _chooses_once(self) -> Self:
        filters = (self.kind, self.task, self.after, self.before)
        ways = [self.ids is not None, any(one is not None for one in filters), self.all]
        if ways.count(True) != 1:
            raise ValueError(
                "give either ids, or some of kind, task, after and before, or all: true"
            )
        return self

    def chosen(self) -> Chosen:
        """As the platform takes it."""
        before_s, after_s = seconds_of(self.before), seconds_of(self.after)
        wanted = Filter(self.kind, self.task, before_s=before_s, after_s=after_s)
        return Chosen(tuple(self.ids or ()), wanted, self.limit)


class Replay(Choice):
    """Dead letters to be put back on their queue."""

    rate_per_s: Annotated[float, Field(strict=True, gt=0, le=1e6)] | None = Field(
        None, description="How many begin in a second at most; all at once if not given."
    )


class Discard(Choice):
    """Dead letters to be removed for good."""


class Counted(BaseModel):
    """Dead letters of one kind and task."""

    kind: str
    task: str | None
    count: int


class Moved(BaseModel):
    """What was done, or with `dry_run` would be."""

    queue: str
    count: int
    dry_run: bool
    missing: list[str] = Field([], description="Ids of the request that were not there.")
    more: bool = Field(False, description="Whether `limit` left some: send the request again.")
    until_s: float | None = Field(
        None, description="With a rate: when the last is due, seconds since the epoch."
    )
    matched: list[Counted] = Field([], description="With `dry_run`: by kind and task.")


class LoggedAction(BaseModel):
    """What was done to a queue's dead letters."""

    verb: str = Field(description="replay, discard or export.")
    count: int
    by: str = Field(description="Name of the token, or of the user of the command line.")
    via: str = Field(description="gateway or cli.")
    why: str
    chosen: str = Field(description="Which were meant.")
    at_s: float = Field(description="When, seconds since the epoch.")
    id: str

    @classmethod
    def of(cls, action: Action) -> Self:
        """From the log."""
        return cls.model_validate(action, from_attributes=True)


class ActionLog(BaseModel):
    """What was done to a queue's dead letters, the latest first."""

    queue: str
    actions: list[LoggedAction]
