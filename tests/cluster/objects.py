"""Objects and values that several tests give to a cluster."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODULES = Path(__file__).parents[1] / "task_modules"
NO_OTHER_LANES = dict.fromkeys(("high-priority", "documents", "notifications"))
"""Values of `queues` without the chart's own."""


def config_map(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """A ConfigMap of files."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files}


def secret(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A Secret."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def task_modules(*names: str) -> dict[str, Any]:
    """The ConfigMap that `with_task_modules` mounts."""
    return config_map(
        "tasks", {f"{name}.py": (MODULES / f"{name}.py").read_text() for name in names}
    )


def with_task_modules(*env: Mapping[str, Any]) -> dict[str, Any]:
    """Values by which a pod comes by these modules, with further environment."""
    return {
        "extraEnv": [{"name": "PYTHONPATH", "value": "/tasks"}, *env],
        "extraVolumes": [{"name": "tasks", "configMap": {"name": "tasks"}}],
        "extraVolumeMounts": [{"name": "tasks", "mountPath": "/tasks"}],
    }
