"""The queue catalogue: which lanes there are, and what holds on each.

One YAML file with two keys: `queueDefaults` (a queue's fields) and `queues` (a map of name to
fields, merged over the defaults). The packaged `queues.yaml` is the default.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.errors import CatalogueError, UnknownQueue

PACKAGED_FILE = Path(__file__).with_name("queues.yaml")

QueueName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=48)
]
"""A DNS label, short enough to be part of a Deployment's name."""


class _Fields(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        extra="forbid",
        frozen=True,
    )


class Autoscaling(_Fields):
    """Bounds of a lane's worker Deployment."""

    min_replicas: int = Field(1, ge=0, description="Fewest pods.")
    max_replicas: int = Field(10, ge=1, description="Most pods.")


class DeadLetterRetention(_Fields):
    """How long and how many dead letters of a lane are kept."""

    seconds: int = Field(30 * 86_400, ge=60, description="Oldest dead letter kept, seconds.")
    count: int = Field(100_000, ge=1, description="Most dead letters kept.")


class Queue(_Fields):
    """The fields of one queue. Times are in seconds."""

    concurrency: int = Field(2, ge=1, le=512, description="Tasks a worker runs at once.")
    pool: Literal["prefork", "threads"] = Field(
        "prefork", description="Processes (limits enforced) or threads (limits not enforced)."
    )
    prefetch: int = Field(
        0, ge=0, le=10_000, description="Messages a worker may hold beyond those it runs."
    )
    soft_time_limit: int = Field(
        540, ge=1, description="Soft limit of tasks without their own, seconds."
    )
    time_limit: int = Field(
        600, ge=1, description="Hard limit of tasks without their own, seconds."
    )
    lease_seconds: int = Field(
        60, ge=5, description="How long a claim outlives its worker's last sign of life."
    )
    max_deliveries: int = Field(
        5, ge=1, description="Deliveries without an outcome after which a message is a dead letter."
    )
    max_length: int = Field(
        1_000_000,
        ge=1,
        description="Messages, waiting or held by workers, above which tasks are refused.",
    )
    dead_letter_retention: DeadLetterRetention = Field(
        default_factory=DeadLetterRetention, description="What is kept of dead letters."
    )
    wait_target: float = Field(
        60, gt=0, description="Seconds a message may wait: the lane's objective."
    )
    finish_target: float | None = Field(
        None,
        gt=0,
        description="Seconds from a task's first publish to its end, over all retries: the lane's "
        "objective; waitTarget and timeLimit together if not given.",
    )
    objective: float = Field(
        0.99,
        gt=0,
        lt=1,
        description="Share of tasks that are to start and finish in time, and to succeed.",
    )
    autoscaling: Autoscaling = Field(
        default_factory=Autoscaling, description="Bounds for the scaler."
    )
    broker: str | None = Field(
        None,
        description="Name of the Redis that holds the lane, one of LANEWAY_BROKERS; that of "
        "LANEWAY_BROKER_URL if not given.",
    )
    drain_seconds: int | None = Field(
        None, ge=0, description="Time to finish running tasks on SIGTERM; timeLimit if not given."
    )
    tasks: tuple[str, ...] | None = Field(
        None,
        description="Names or patterns of the tasks that run here; every task within the lane's "
        "timeLimit if not given.",
    )

    @property
    def drain_limit_s(self) -> int:
        """How long a stop waits for running tasks, seconds."""
        return self.time_limit if self.drain_seconds is None else self.drain_seconds

    @property
    def finish_limit_s(self) -> float:
        """Within which time a task is to end, seconds."""
        return self.finish_target or self.wait_target + self.time_limit

    def admits(self, task: str) -> bool:
        """Whether a task of this name runs on this queue."""
        if self.tasks is not None:
            return any(fnmatchcase(task, pattern) for pattern in self.tasks)
        builtin = BUILTIN_TASKS.get(task)
        return builtin is None or builtin.time_limit_s <= self.time_limit


class Catalogue(Mapping[str, Queue]):
    """The lanes by name. Asking for an unknown one raises UnknownQueue, which lists the known."""

    def __init__(self, queues: Mapping[str, Queue], source: str) -> None:
        self._queues = dict(queues)
        self.source = source

    @property
    def brokers(self) -> list[str | None]:
        """The brokers of its lanes, each once, in the order of the lanes."""
        return list(self.by_broker())

    def by_broker(self, names: Iterable[str] | None = None) -> dict[str | None, list[str]]:
        """Lanes, or all there are, by the broker that holds them."""
        found: dict[str | None, list[str]] = {}
        for name in self if names is None else names:
            found.setdefault(self[name].broker, []).append(name)
        return found

    def __getitem__(self, name: str) -> Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise UnknownQueue(
                f"There is no queue {name!r}. Known queues: {', '.join(self._queues)}. "
                f"Use one of them, or add yours to {self.source}."
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._queues

    def __iter__(self):  # type: ignore[no-untyped-def] # noqa: ANN204 - Mapping's own
        return iter(self._queues)

    def __len__(self) -> int:
        return len(self._queues)


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key given twice, of which YAML would keep the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(map(str, twice))} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


class _File(_Fields):
    queue_defaults: dict[str, Any] | None = None
    queues: dict[QueueName, dict[str, Any] | None]


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read a catalogue file, or the packaged one.

    Raises:
        CatalogueError: the file cannot be read, or a field is unknown, wrong or contradicts
            another; the message names the field, the value and the cure.
    """
    path = path or PACKAGED_FILE
    content = _read(path)
    if not isinstance(content, dict):
        raise CatalogueError(
            f"{path}: holds no map. Write `queues:` with one entry a queue, as the packaged "
            f"{PACKAGED_FILE.name} does."
        )
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise CatalogueError(_problems(path, "", error)) from None
    if not file.queues:
        raise CatalogueError(f"{path}: `queues` is empty. Name at least one queue.")
    queues = {
        name: _queue(path, name, _merged(file.queue_defaults or {}, fields or {}))
        for name, fields in file.queues.items()
    }
    return Catalogue(queues, source=str(path))


@lru_cache(maxsize=8)
def cached_catalogue(path: Path | None) -> Catalogue:
    """Like `load_catalogue`, read once a process."""
    return load_catalogue(path)


def _read(path: Path) -> object:
    try:
        return _UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise CatalogueError(
            f"{path}: cannot be read ({error.strerror}). Set LANEWAY_QUEUES_FILE to a readable "
            "file, or unset it for the packaged catalogue."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: is not YAML: {error}") from None


def _merged(defaults: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for name, value in fields.items():
        below = merged.get(name)
        nested = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[name] = _merged(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def _queue(path: Path, name: str, fields: dict[str, Any]) -> Queue:
    try:
        queue = Queue.model_validate(fields)
    except ValidationError as error:
        raise CatalogueError(_problems(path, f"queues.{name}.", error)) from None
    if queue.soft_time_limit >= queue.time_limit:
        raise CatalogueError(
            f"{path}: queues.{name}.softTimeLimit is {queue.soft_time_limit} s, not below "
            f"queues.{name}.timeLimit of {queue.time_limit} s, so a task would be killed before it "
            f"is warned. Set softTimeLimit to at most {queue.time_limit - 1}, or raise timeLimit."
        )
    scaling = queue.autoscaling
    if scaling.min_replicas > scaling.max_replicas:
        raise CatalogueError(
            f"{path}: queues.{name}.autoscaling.minReplicas is {scaling.min_replicas}, above "
            f"maxReplicas of {scaling.max_replicas}. Lower the one or raise the other."
        )
    return queue


def _problems(path: Path, prefix: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        field = prefix + ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(_names(_model_at(problem["loc"], Queue if prefix else _File)))
            lines.append(f"{path}: {field} is no known field. Known: {known}.")
        else:
            lines.append(f"{path}: {field} is {problem['input']!r}: {problem['msg']}. Correct it.")
    return "\n".join(lines)


def _model_at(location: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    """The model that holds the last name of a location."""
    for name in location[:-1]:
        fields = {field.alias or key: field for key, field in model.model_fields.items()}
        inner = fields[str(name)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
