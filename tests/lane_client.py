"""A producer for a test: an app with a catalogue of the test's own, and what it published."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from celery.states import READY_STATES

from laneway.tasks.app import LanewayApp, create_app
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from worker_harness import wait_for


def write_catalogue(folder: Path, **queues: dict[str, Any]) -> Path:
    """A catalogue file with an entry for each keyword (`_` as `-`), with limits that suit tests."""
    defaults = {"softTimeLimit": 50, "timeLimit": 60}
    path = folder / "queues.yaml"
    entries = {name.replace("_", "-"): fields for name, fields in queues.items()}
    path.write_text(yaml.safe_dump({"queueDefaults": defaults, "queues": entries}))
    return path


@dataclass(frozen=True)
class Sent:
    """A published task. Unlike Celery's AsyncResult it holds no subscription."""

    app: LanewayApp
    id: str

    @property
    def state(self) -> str:
        return str(self.app.backend.get_state(self.id))

    @property
    def result(self) -> Any:
        return self.app.backend.get_result(self.id)

    def ended(self) -> bool:
        return self.state in READY_STATES


class LaneClient:
    """Publishes to one lane as any Celery producer does."""

    def __init__(self, app: LanewayApp, lane: str) -> None:
        self.app, self.lane = app, lane

    def send(self, task: str, **kwargs: Any) -> Sent:
        return self.send_with(task, {}, **kwargs)

    def send_with(self, task: str, options: dict[str, Any], **kwargs: Any) -> Sent:
        given = {"queue": self.lane, **options}
        return Sent(self.app, self.app.send_task(task, kwargs=kwargs, **given).id)

    def wait(self, *sent: Sent, limit_s: float = 60.0) -> list[str]:
        """The states of tasks once all have ended."""
        for each in sent:
            wait_for(each.ended, f"the end of {each.id}", limit_s)
        return [each.state for each in sent]


class Hold:
    """The files of `fate.hold`: what it waits for, and where it notes that it began and ended."""

    def __init__(self, folder: Path) -> None:
        self._release, self._mark = folder / "release", folder / "mark"
        self.kwargs = {"release": str(self._release), "mark": str(self._mark)}

    def release(self) -> None:
        self._release.touch()

    def marks(self) -> Counter[str]:
        """`begun ID` and `ended ID`, counted."""
        return Counter(self._mark.read_text().splitlines() if self._mark.exists() else ())

    def begun(self) -> int:
        return sum(count for mark, count in self.marks().items() if mark.startswith("begun"))


def once_each(*sent: Sent) -> dict[str, int]:
    """The marks of tasks that each ran once."""
    return {f"{when} {each.id}": 1 for each in sent for when in ("begun", "ended")}


@contextmanager
def lane_client(
    broker_url: str, lane: str, catalogue: Path, **settings: Any
) -> Iterator[LaneClient]:
    loaded = load_settings(
        broker_url=broker_url,
        result_url=broker_url.removesuffix("/0") + "/1",
        queues_file=catalogue,
        **settings,
    )
    app = create_app(loaded, load_catalogue(catalogue))
    yield LaneClient(app, lane)
    app.close()
