"""Tasks' limits against those of the lanes that run them."""

import pytest

from laneway.tasks.app import LanewayApp, create_app, fit_limits, runs_on
from laneway.tasks.dispatch import TaskRequest, check_request
from laneway.tasks.errors import CatalogueError, TaskNotAdmitted
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings

pytestmark = pytest.mark.unit

CATALOGUE = """
queueDefaults: {timeLimit: 600, softTimeLimit: 540}
queues:
  anything: {}
  reports: {tasks: ["reports.*"], timeLimit: 3600, softTimeLimit: 3500}
  narrow: {tasks: ["reports.*"]}
"""


def nothing() -> None:
    """A task that does nothing."""


@pytest.fixture
def app(tmp_path) -> LanewayApp:
    file = tmp_path / "queues.yaml"
    file.write_text(CATALOGUE)
    app = create_app(load_settings(), load_catalogue(file))
    app.task(name="reports.long", time_limit=1800)(nothing)
    app.task(name="reports.short", time_limit=10)(nothing)
    app.task(name="reports.plain")(nothing)
    app.finalize()
    return app


def test_a_long_task_of_one_lane_does_not_keep_another_from_starting(app) -> None:
    fit_limits(app, "anything", app.catalogue["anything"])
    assert not runs_on(app, "reports.long", app.catalogue["anything"])
    assert runs_on(app, "reports.short", app.catalogue["anything"])


def test_a_lane_that_names_a_task_longer_than_itself_does_not_start(app) -> None:
    with pytest.raises(CatalogueError, match=r"queues.narrow.timeLimit is 600 s.*1800 s"):
        fit_limits(app, "narrow", app.catalogue["narrow"])


def test_a_task_without_limits_takes_the_lanes_and_a_shorter_one_keeps_its_own(app) -> None:
    fit_limits(app, "reports", app.catalogue["reports"])
    limits = {
        name: (app.tasks[name].soft_time_limit, app.tasks[name].time_limit)
        for name in ("reports.long", "reports.short", "reports.plain")
    }
    assert limits == {
        "reports.long": (None, 1800),
        "reports.short": (None, 10),
        "reports.plain": (3500, 3600),
    }


def test_a_task_whose_soft_limit_comes_after_its_hard_one_is_refused(app) -> None:
    limits = {"time_limit": 10, "soft_time_limit": 20}
    app.task(name="reports.odd", shared=False, **limits)(nothing)
    with pytest.raises(CatalogueError, match=r"reports.odd: soft_time_limit of 20 s"):
        fit_limits(app, "reports", app.catalogue["reports"])


def test_the_door_refuses_a_lane_too_short_for_the_task(app, monkeypatch) -> None:
    known = dict.fromkeys(("reports.long", "reports.short"))
    monkeypatch.setattr("laneway.tasks.dispatch.known_tasks", lambda _app: known)
    with pytest.raises(TaskNotAdmitted, match="Queues that do: reports"):
        check_request(app, TaskRequest("reports.long", {}, queue="anything"))
    assert check_request(app, TaskRequest("reports.short", {}, queue="anything")) == "anything"
