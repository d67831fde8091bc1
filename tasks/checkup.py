"""`laneway doctor`: everything that can be checked from outside, each with its cure."""

from redis.exceptions import RedisError

from laneway.tasks.app import create_app, fit_limits, load_tasks
from laneway.tasks.broker.client import broker_client, result_client, without_password
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.errors import LanewayError
from laneway.tasks.findings import Finding
from laneway.tasks.queues import Catalogue, load_catalogue
from laneway.tasks.settings import Settings


def examine(settings: Settings) -> list[Finding]:
    """Check broker, results, catalogue and limits of this configuration."""
    return [*_broker(settings), _results(settings), *_catalogue(settings)]


def _broker(settings: Settings) -> list[Finding]:
    try:
        return inspect_broker(broker_client(settings))
    except (RedisError, OSError) as error:
        place = without_password(settings.broker)
        return [_unreachable("broker", place, "LANEWAY_BROKER_URL", error)]


def _results(settings: Settings) -> Finding:
    place = without_password(settings.results)
    try:
        result_client(settings).ping()
    except (RedisError, OSError) as error:
        return _unreachable("results", place, "LANEWAY_RESULT_URL", error)
    return Finding("results", "ok", place)


def _unreachable(check: str, place: str, setting: str, error: Exception) -> Finding:
    return Finding(
        check,
        "error",
        f"{place} does not answer ({type(error).__name__}: {error})",
        f"Start Redis there, open the way to it, or correct {setting}.",
    )


def _catalogue(settings: Settings) -> list[Finding]:
    try:
        catalogue = load_catalogue(settings.queues_file)
    except LanewayError as error:
        return [_broken("catalogue", error)]
    found = f"{len(catalogue)} queues in {catalogue.source}: {', '.join(catalogue)}"
    return [Finding("catalogue", "ok", found), _limits(settings, catalogue)]


def _limits(settings: Settings, catalogue: Catalogue) -> Finding:
    try:
        for lane, queue in catalogue.items():
            app = create_app(settings, catalogue)
            load_tasks(app, queue)
            fit_limits(app, lane, queue)
    except LanewayError as error:
        return _broken("limits", error)
    return Finding("limits", "ok", "every task fits its queues")


def _broken(check: str, error: LanewayError) -> Finding:
    return Finding(check, "error", str(error), "Correct it as the message says.")
