"""What the gateway takes and answers."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from laneway.tasks.dispatch import Submission, TaskRequest
from laneway.tasks.status import TaskStatus

LONGEST_DELAY_S = 10 * 365 * 86_400
OLDEST_ETA_S = 86_400
"""An eta may lie this far back, for clocks that differ and requests that are sent again."""

TASK_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$"
KEY_PATTERN = r"^[\x20-\x7e]{1,255}$"

_MOMENT = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _is_moment(value: Any) -> Any:
    if not isinstance(value, str) or not _MOMENT.match(value):
        raise ValueError("must be a moment with its zone, such as 2030-01-31T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_is_moment)]
Seconds = Annotated[float, Field(strict=True, le=LONGEST_DELAY_S, allow_inf_nan=False)]


class NewTask(BaseModel):
    """One task to be queued."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1, max_length=255, description="Name of the task.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Payload of the task.")
    countdown: Annotated[Seconds, Field(ge=0)] | None = Field(
        None, description="Run it no earlier than in so many seconds."
    )
    eta: Moment | None = Field(None, description="Run it no earlier than then.")
    expires: Annotated[Seconds, Field(gt=0)] | Moment | None = Field(
        None, description="Drop it unrun after so many seconds, or then."
    )
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] | None = Field(
        None, description="0 is served first, 9 last; 0 if not given."
    )
    durability: Literal["memory", "replica", "fsync"] = Field(
        "memory", description="What to wait for: Redis's memory, one replica, or its disk."
    )
    idempotency_key: Annotated[str, Field(pattern=KEY_PATTERN)] | None = Field(
        None, description="The same key within a day answers the same task and queues no second."
    )

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        now = datetime.now(UTC)
        longest = timedelta(seconds=LONGEST_DELAY_S)
        if self.countdown is not None and self.eta is not None:
            raise ValueError("give either countdown or eta")
        if self.eta is not None and not (
            now - timedelta(seconds=OLDEST_ETA_S) <= self.eta <= now + longest
        ):
            raise ValueError("eta must lie between a day ago and ten years from now")
        expires = self.expires
        if isinstance(expires, datetime) and not now < expires <= now + longest:
            raise ValueError("expires must lie within the next ten years")
        if self._due_at(now) >= self._expires_at(now):
            raise ValueError("expires must be later than countdown or eta")
        return self

    def _due_at(self, now: datetime) -> datetime:
        return self.eta or now + timedelta(seconds=self.countdown or 0)

    def _expires_at(self, now: datetime) -> datetime:
        if self.expires is None:
            return datetime.max.replace(tzinfo=UTC)
        if isinstance(self.expires, datetime):
            return self.expires
        return now + timedelta(seconds=self.expires)

    def request(
        self, queue: str | None, owner: str, key: str | None, headers: Mapping[str, str]
    ) -> TaskRequest:
        """As the request that the platform's own door takes."""
        return TaskRequest(
            task=self.task,
            kwargs=self.kwargs,
            queue=queue,
            countdown_s=self.countdown,
            eta=self.eta,
            expires=self.expires,
            priority=self.priority,
            headers=headers,
            idempotency_key=self.idempotency_key or key,
            durability=self.durability,
            owner=owner,
        )


class Bulk(BaseModel):
    """Many tasks for one queue. Each is checked and answered on its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: list[Any] = Field(min_length=1)


class DurabilityBody(BaseModel):
    """How safe an accepted task is; `level` is what was reached."""

    requested: Literal["memory", "replica", "fsync"]
    level: Literal["memory", "replica", "fsync"]
    replicas: int
    reason: str | None = Field(description="Why it is less than requested.")


class Accepted(BaseModel):
    """An accepted task."""

    task_id: str
    queue: str
    task: str
    replayed: bool = Field(description="An earlier request with this idempotency key queued it.")
    durability: DurabilityBody

    @classmethod
    def of(cls, submission: Submission) -> Self:
        """From the answer of the platform's own door."""
        return cls.model_validate(submission, from_attributes=True)


class BulkAnswer(BaseModel):
    """One task of a bulk: accepted, or refused with `error` and `message`."""

    status: int = Field(description="What a submit of this task alone would have answered.")
    accepted: Accepted | None = None
    error: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None


class BulkAccepted(BaseModel):
    """The answers to a bulk, in its order."""

    accepted: int
    refused: int
    tasks: list[BulkAnswer]


class TaskView(BaseModel):
    """What became of a task."""

    task_id: str
    state: str = Field(description="Celery's state, or one that the task reports itself.")
    final: bool = Field(description="Whether the state will not change any more.")
    queue: str | None
    task: str | None
    progress: dict[str, Any] | None = Field(description="What the task last reported.")
    result: Any = Field(description="What the task returned, once it has succeeded.")
    error: str | None = Field(description="Type and text of the error, once it has failed.")

    @classmethod
    def of(cls, status: TaskStatus) -> Self:
        """From the status as the platform reads it."""
        return cls(
            task_id=status.task_id,
            state=status.state,
            final=status.final,
            queue=status.queue,
            task=status.task,
            progress=presentable(status.progress),
            result=presentable(status.result),
            error=presentable(status.error),
        )


class Revoked(BaseModel):
    """A task that was called off. One that had ended before keeps its state."""

    task_id: str
    state: str = Field(description="The state in which the revocation met it.")
    terminate: bool


class Lane(BaseModel):
    """One queue: what it holds, and what holds on it."""

    queue: str
    ready: int = Field(description="Messages that wait.")
    in_flight: int = Field(description="Messages that workers hold.")
    delayed: int = Field(description="Messages that wait for their time.")
    dead: int = Field(description="Dead letters.")
    concurrency: int = Field(description="Tasks one worker runs at once.")
    wait_target_s: float = Field(description="Seconds a message may wait: the lane's objective.")
    max_length: int = Field(description="Ready messages above which new tasks are refused.")
    tasks: list[str] = Field(description="Names of the tasks that run here.")


class Lanes(BaseModel):
    """The queues that the token reaches."""

    queues: list[Lane]


class Uploaded(BaseModel):
    """A stored document; with `process=true` also the task that processes it."""

    file_path: str = Field(description="What documents.process takes.")
    size_bytes: int
    sha256: str
    task_id: str | None = None
    queue: str | None = None


class Hit(BaseModel):
    """One chunk that was found."""

    file_path: str
    user_id: str
    ordinal: int = Field(description="Which chunk of its document, from 0.")
    text: str
    score: float = Field(description="Higher is better.")


class Found(BaseModel):
    """What a search found, best first."""

    hits: list[Hit]


def presentable(value: Any) -> Any:
    """The value as JSON can carry it: no NaN or Infinity, no half surrogate pairs."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {presentable(str(name)): presentable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [presentable(inner) for inner in value]
    return value
