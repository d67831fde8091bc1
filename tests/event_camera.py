"""A monitor that knows Celery and nothing of Laneway: runs as a process of its own.

    python event_camera.py URL FILE

Leaves a line in FILE for each event of any worker: its kind and its task's id.
"""

import sys
from pathlib import Path
from typing import Any

from celery import Celery


def main() -> None:
    _, url, file = sys.argv
    app = Celery(broker=url)

    def on_event(event: dict[str, Any]) -> None:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(f"{event['type']} {event.get('uuid', '-')}\n")

    with app.connection_for_read() as connection:
        app.events.Receiver(connection, handlers={"*": on_event}).capture(wakeup=False)


if __name__ == "__main__":
    main()
