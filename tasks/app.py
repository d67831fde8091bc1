"""The Celery app: the only file with Celery's string settings."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from time import time
from typing import Any, ClassVar, cast
from uuid import uuid4

import celery
from celery.result import AsyncResult
from kombu import Queue as KombuQueue

from laneway.tasks.broker.client import broker_url, check_brokers
from laneway.tasks.broker.keys import FIRST_PUBLISHED_AT, PUBLISHED_AT
from laneway.tasks.broker.link import LaneLink
from laneway.tasks.broker.options import (
    consumer_options,
    kombu_broker,
    make_link,
    producer_options,
    tls_options,
    transport_of,
)
from laneway.tasks.broker.results import result_backend
from laneway.tasks.brokers import broker_of, fitting, producer_of
from laneway.tasks.builtin import BUILTIN_TASKS, home_queue
from laneway.tasks.errors import CatalogueError, ConfigurationError, UnknownQueue
from laneway.tasks.queues import Catalogue, Queue, cached_catalogue
from laneway.tasks.settings import Settings, current_settings

CELERYS_OWN = "celery."
"""Prefix of the tasks that Celery brings for its canvas; every lane runs them."""

RESULT_TRIES = 300


@dataclass(frozen=True)
class Publish:
    """One message about to be published. `headers` are those that the caller gave."""

    task_id: str
    task: str
    queue: str
    root_id: str | None
    retries: int
    headers: Mapping[str, Any]
    later: bool = False
    """Whether it has an ETA or a countdown."""


class LanewayApp(celery.Celery):
    """A Celery app that knows its settings and its catalogue."""

    settings: Settings
    catalogue: Catalogue
    amqp_cls = "laneway.tasks.broker.options:LanewayAmqp"
    control_cls = "laneway.tasks.brokers:EveryBroker"
    lane: str | None = None
    """The lane it serves, if it is a worker's."""
    broker: str | None = None
    """Name of the broker that Celery's own `broker_url` is: a worker's is that of its lane."""
    link: LaneLink
    """A worker's link to its lane."""

    in_use: ClassVar["LanewayApp | None"] = None
    """The one that tasks are bound to in this process."""

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult:
        """Publish one message; every publish of every process passes here.

        Raises:
            UnknownQueue: the queue is not in the catalogue, or none was named and none is derived.
        """
        queue = options.get("queue") or self.queue_of(name, kwargs)
        if isinstance(queue, str):
            _ = self.catalogue[queue]
            # A lane is a list in Redis: nothing to declare, and trying costs a fifth of a publish.
            options.setdefault("declare", [])
        # The defaults print every argument into the message's headers, and from there into logs.
        options.setdefault("argsrepr", "<not shown>")
        options.setdefault("kwargsrepr", "<not shown>")
        publish = Publish(
            task_id=options.pop("task_id", None) or str(uuid4()),
            task=name,
            queue=getattr(queue, "name", queue),
            root_id=options.get("root_id"),
            retries=options.get("retries") or 0,
            headers=options.pop("headers", None) or {},
            later=bool(options.get("eta") or options.get("countdown")),
        )
        with self.publishing(publish) as headers, self._fitting(publish.queue, options) as fitting:
            return super().send_task(
                name,
                args,
                kwargs,
                **{**fitting, "queue": queue, "task_id": publish.task_id, "headers": headers},
            )

    def producer_for(self, lane: str) -> AbstractContextManager[Any]:
        """A kombu producer for a lane: its broker's. Tasks of other lanes find theirs by themselves."""
        return producer_of(self, self.catalogue[lane].broker)

    def _fitting(
        self, queue: str, options: dict[str, Any]
    ) -> AbstractContextManager[dict[str, Any]]:
        """The options of a publish, with a producer of the queue's broker.

        What Celery hands over may be another's: a group publishes all its tasks with one.
        """
        broker = self.catalogue[queue].broker if queue in self.catalogue else self.broker
        fits = broker == broker_of(self, options.get("producer"))
        if fits or options.get("connection") is not None:  # which somebody chose
            return nullcontext(options)
        return fitting(self, broker, options)

    def queue_of(self, task: str, payload: Mapping[str, Any] | None) -> str:
        """The queue of a task whose caller names none; see `route`.

        Raises:
            UnknownQueue: no queue can be derived, and this is no worker.
        """
        if self.lane is not None and task.startswith(CELERYS_OWN):
            return self.lane
        try:
            return route(self.catalogue, task, payload)
        except UnknownQueue:
            if self.lane is None:
                raise
            # What a worker publishes without a queue, a chain's next step say, stays with it.
            return self.lane

    def _get_backend(self) -> Any:
        backend = super()._get_backend()
        # Celery would listen for the result before it publishes, so that a publisher waits for
        # the result store, and keeps on listening for what it never asks. `get` listens anyway.
        backend.on_task_call = lambda *_: None
        return backend

    def publishing(self, publish: Publish) -> AbstractContextManager[dict[str, Any]]:
        """Around every publish; a service that observes replaces it. Yields the headers to send."""
        now = f"{time():.6f}"
        headers = {FIRST_PUBLISHED_AT: now, **publish.headers, PUBLISHED_AT: now}
        return nullcontext(headers)

    def on_state(self, state: str, meta: Mapping[str, Any] | None) -> None:
        """After every state that a task reports; a service that observes replaces it."""


def create_app(settings: Settings, catalogue: Catalogue) -> LanewayApp:
    """A Celery app for producers: it publishes and reads results.

    Raises:
        CatalogueError: a lane names a broker that LANEWAY_BROKERS does not.
    """
    check_brokers(settings, catalogue)
    app = LanewayApp("laneway", task_cls="laneway.tasks.base:LanewayTask", set_as_current=False)
    app.settings, app.catalogue = settings, catalogue
    app.conf.update(_common(settings), **_queues(catalogue), **_results(settings))
    app.conf.update(
        **_broker(settings, None),
        broker_transport_options=producer_options(settings, catalogue),
        # Two tries of half the time-out each: a publisher hears within it, and never hangs.
        task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
    )
    return app


def get_app() -> LanewayApp:
    """This process's app: its worker's or gateway's, or else made from its settings on first use."""
    if LanewayApp.in_use is None:
        settings = current_settings()
        use_app(create_app(settings, cached_catalogue(settings.queues_file)))
    return cast("LanewayApp", LanewayApp.in_use)


def use_app(app: LanewayApp) -> None:
    """Make `app` the one that tasks are bound to in this process."""
    LanewayApp.in_use = app
    app.set_current()
    app.set_default()


def prepare_worker(app: LanewayApp, lane: str) -> None:
    """Turn a producer's app into that of the worker of one lane: its limits, its keys, its tasks.

    Raises:
        ConfigurationError: the lane is unknown, a task module cannot be imported, or a task's
            limits exceed the lane's.
    """
    queue = app.catalogue[lane]
    app.lane, app.link = lane, make_link(app.settings, lane, queue)
    app.broker = queue.broker
    app.conf.update(
        **_broker(app.settings, queue.broker),
        broker_transport_options=consumer_options(app.settings, lane, queue, app.link),
        worker_concurrency=queue.concurrency,
        worker_pool=queue.pool,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=app.settings.transport == "kombu",
        **_patient_results(),
    )
    load_tasks(app, queue)
    fit_limits(app, lane, queue)


def _patient_results() -> dict[str, Any]:
    """A finished task waits about RESULT_TRIES seconds for Redis to store its result."""
    return {
        # Celery retries only its writes on its own, and reads before each of them.
        "result_backend_always_retry": True,
        "result_backend_max_retries": RESULT_TRIES,
        "result_backend_max_sleep_between_retries_ms": 2_000,  # one second on average
        "result_backend_transport_options": {
            "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0}
        },
    }


def load_tasks(app: LanewayApp, queue: Queue) -> None:
    """Import the built-in tasks that the queue admits, and every module of the team."""
    use_app(app)
    for module in sorted({b.module for name, b in BUILTIN_TASKS.items() if queue.admits(name)}):
        import_module(module)
    load_team_modules(app)


def load_team_modules(app: LanewayApp) -> None:
    """Import the modules named in LANEWAY_TASK_MODULES and bind their tasks to the app.

    Raises:
        ConfigurationError: one of them cannot be imported.
    """
    for module in app.settings.task_modules:
        try:
            import_module(module)
        except Exception as error:
            raise ConfigurationError(
                f"LANEWAY_TASK_MODULES: {module} cannot be imported "
                f"({type(error).__name__}: {error}). Install it beside laneway, put its folder on "
                "PYTHONPATH, or correct the name."
            ) from error
    app.finalize()


def fit_limits(app: LanewayApp, lane: str, queue: Queue) -> None:
    """Give tasks without limits the lane's; refuse those whose own exceed or contradict them.

    Celery's own default limits are not used: its pool would set a soft limit of the lane even on
    a task whose hard limit is shorter, and that task would then have none.

    Raises:
        CatalogueError: names the task, both values and the cure.
    """
    for name, task in app.tasks.items():
        if queue.tasks is None and not runs_on(app, name, queue):
            continue  # a lane for every task that fits is no claim on one that does not
        hard_s = task.time_limit or queue.time_limit
        soft_s = task.soft_time_limit
        if queue.admits(name) and not name.startswith(CELERYS_OWN):
            _refuse_limits(app.catalogue.source, lane, queue, name, (soft_s, hard_s))
        if soft_s is None and queue.soft_time_limit < hard_s:
            soft_s = queue.soft_time_limit
        task.time_limit, task.soft_time_limit = hard_s, soft_s


def runs_on(app: LanewayApp, task: str, queue: Queue) -> bool:
    """Whether a queue runs a task: its `tasks` name it or, where it has none, the limits fit."""
    if queue.tasks is not None or task not in app.tasks:
        return queue.admits(task)
    return queue.admits(task) and (app.tasks[task].time_limit or 0) <= queue.time_limit


def _refuse_limits(
    source: str, lane: str, queue: Queue, task: str, limits_s: tuple[float | None, float]
) -> None:
    soft_s, hard_s = limits_s
    if hard_s > queue.time_limit:
        raise CatalogueError(
            f"{source}: queues.{lane}.timeLimit is {queue.time_limit} s, less than the {hard_s} s "
            f"of the task {task}. Raise timeLimit to at least {hard_s}, lower the task's "
            f"time_limit, or leave it out of queues.{lane}.tasks."
        )
    if soft_s is not None and soft_s >= hard_s:
        raise CatalogueError(
            f"Task {task}: soft_time_limit of {soft_s} s is not below its time_limit of {hard_s} "
            "s, so it would be killed before it is warned. Lower the one or raise the other."
        )


def route(catalogue: Catalogue, task: str, payload: Mapping[str, Any] | None = None) -> str:
    """The queue of a task whose caller names none.

    A built-in task has a home, another goes to the first queue whose `tasks` name it. Celery's
    helpers go where the task goes that they carry (map, starmap, chunks), else anywhere.

    Raises:
        UnknownQueue: no queue can be derived.
    """
    carried = (payload or {}).get("task")
    if task.startswith(CELERYS_OWN) and isinstance(carried, Mapping):
        return route(catalogue, str(carried["task"]))
    home = home_queue(task, dict(payload or {}))
    if home in catalogue:
        return str(home)
    for name, queue in catalogue.items():
        if task.startswith(CELERYS_OWN) or (queue.tasks is not None and queue.admits(task)):
            return name
    raise UnknownQueue(
        f"No queue was named for {task}, and none claims it. Name one of "
        f"{', '.join(catalogue)}, or add the task to a queue's `tasks` in "
        f"{catalogue.source}."
    )


def _broker(settings: Settings, broker: str | None) -> dict[str, Any]:
    url = broker_url(settings, broker)
    return {
        "broker_url": kombu_broker(url),
        "broker_transport": transport_of(settings, url),
        "broker_use_ssl": tls_options(settings, url),
    }


def _common(settings: Settings) -> dict[str, Any]:
    return {
        "broker_connection_timeout": settings.broker_timeout_s,
        # A worker outlives any outage of Redis; readiness says that it waits.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_track_started": True,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_proc_alive_timeout": 60.0,
        "worker_lost_wait": 2.0,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _queues(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "task_queues": [KombuQueue(name, routing_key=name, no_declare=True) for name in catalogue],
        "task_create_missing_queues": False,
        "task_default_queue": next(iter(catalogue)),
    }


def _results(settings: Settings) -> dict[str, Any]:
    access = settings.result_access
    return {
        **result_backend(access),
        "redis_backend_use_ssl": tls_options(settings, access.url),
        "result_expires": settings.result_expires_s,
        "redis_socket_timeout": settings.broker_timeout_s,
        "redis_socket_connect_timeout": settings.broker_timeout_s,
        "redis_socket_keepalive": True,
    }
