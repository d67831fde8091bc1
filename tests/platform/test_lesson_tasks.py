"""The tasks that Laneway brings: their names and options, which producers and operators rely on."""

from collections.abc import Iterator
from importlib import import_module

import pytest

from laneway.tasks.app import CELERYS_OWN, LanewayApp, create_app
from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.errors import InvalidPayload, TransientError
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings

pytestmark = pytest.mark.platform

NETWORK_ERRORS = (ConnectionError, TimeoutError)

PINNED = {
    "documents.process": {
        "max_retries": 3,
        "autoretry_for": NETWORK_ERRORS,
        "retry_backoff": True,
        "retry_jitter": True,
        "soft_time_limit": 540,
        "time_limit": 600,
        "rate_limit": None,
    },
    "documents.embed": {
        "max_retries": 3,
        "autoretry_for": NETWORK_ERRORS,
        "retry_backoff": True,
        "retry_jitter": True,
        "soft_time_limit": 240,
        "time_limit": 300,
        "rate_limit": None,
    },
    "rag.index_collection": {
        "max_retries": 3,
        "autoretry_for": NETWORK_ERRORS,
        "retry_backoff": True,
        "retry_jitter": True,
        "soft_time_limit": 540,
        "time_limit": 600,
        "rate_limit": None,
    },
    "notifications.send_email": {
        "max_retries": 3,
        "autoretry_for": NETWORK_ERRORS,
        "default_retry_delay": 30,
        "retry_backoff": 30,
        "retry_jitter": False,
        "soft_time_limit": 50,
        "time_limit": 60,
        "rate_limit": "100/m",
    },
}

PARAMETERS = {
    "documents.process": ("file_path", "user_id", "priority", "collection"),
    "documents.embed": ("texts", "chunk_ids", "collection"),
    "rag.index_collection": ("collection",),
    "notifications.send_email": ("to", "subject", "body"),
}

HOMES = {
    "documents.process": "documents",
    "documents.embed": "documents",
    "rag.index_collection": "documents",
    "notifications.send_email": "notifications",
}


@pytest.fixture(scope="module")
def app() -> Iterator[LanewayApp]:
    made = create_app(load_settings(), load_catalogue())
    for builtin in BUILTIN_TASKS.values():
        import_module(builtin.module)
    made.finalize()
    yield made
    made.close()


def test_the_names_are_pinned(app) -> None:
    assert set(BUILTIN_TASKS) == set(PINNED)
    defined = {
        name
        for name, task in app.tasks.items()
        if not name.startswith(CELERYS_OWN) and task.run.__module__.startswith("laneway.")
    }
    assert defined == set(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_the_options_are_pinned(app, name: str) -> None:
    task = app.tasks[name]
    assert {option: getattr(task, option, None) for option in PINNED[name]} == PINNED[name]


@pytest.mark.parametrize("name", PINNED)
def test_each_is_acknowledged_late_tracked_and_keeps_its_result(app, name: str) -> None:
    task = app.tasks[name]
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)
    assert (task.track_started, task.ignore_result) == (True, False)


@pytest.mark.parametrize("name", PINNED)
def test_each_takes_the_fields_of_its_contract(name: str) -> None:
    assert tuple(BUILTIN_TASKS[name].contract.model_fields) == PARAMETERS[name]


@pytest.mark.parametrize("name", PINNED)
def test_each_has_a_home_and_limits_that_fit_it(app, name: str) -> None:
    builtin = BUILTIN_TASKS[name]
    assert builtin.queue == HOMES[name]
    assert app.tasks[name].time_limit <= app.catalogue[builtin.queue].time_limit


@pytest.mark.parametrize("name", PINNED)
def test_invalid_input_is_never_retried_and_what_may_pass_is(app, name: str) -> None:
    task = app.tasks[name]
    assert InvalidPayload in task.dont_autoretry_for
    assert issubclass(TransientError, task.autoretry_for)
