"""Lanes on two brokers, for a test: a catalogue with one of each, and apps that know both."""

from pathlib import Path
from typing import Any

import yaml

from laneway.tasks.app import LanewayApp, create_app
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer

HOT, HOME = "hot", "home"
"""Two lanes: `hot` on the broker of that name, `home` on the one without a name."""


def write_two_lanes(folder: Path, **fields: Any) -> Path:
    """A catalogue with both lanes; `fields` hold for each."""
    path = folder / "queues.yaml"
    limits = {"softTimeLimit": 50, "timeLimit": 60}
    queues = {
        HOT: {"tasks": ["lane.*"], "broker": "hot", **fields},
        HOME: {"tasks": ["lane.*", "notifications.*"], **fields},
    }
    path.write_text(yaml.safe_dump({"queueDefaults": limits, "queues": queues}))
    return path


def two_brokers_app(
    home: RedisServer, hot: RedisServer, catalogue: Path, **settings: Any
) -> LanewayApp:
    """A producer's app; Redis of the lane `hot` is `hot`, of all else `home`."""
    loaded = load_settings(
        broker_url=home.url,
        brokers={"hot": hot.url},
        queues_file=catalogue,
        **{"task_modules": "lane_tasks", **settings},
    )
    return create_app(loaded, load_catalogue(catalogue))
