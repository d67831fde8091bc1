"""Holds rendered objects against the schemas of the oldest and the newest Kubernetes."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from chart.programs import NEWEST, OLDEST, program, schemas

_SCHEMA = "{{.NormalizedKubernetesVersion}}/{{.ResourceKind}}{{.KindSuffix}}.json"

_LIST_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""What tells the entries of a list apart. Server-side apply, by which Helm 4 installs, refuses an
object in which two entries are the same; a schema cannot say so."""

_conforming: set[str] = set()
"""Objects that are known to conform: most of a render is as in the one before."""


def must_conform(objects: Sequence[dict[str, Any]]) -> None:
    """Fails with what Kubernetes would say of these objects."""
    names = Counter(map(_named, objects))
    twice = [name for name, count in names.items() if count > 1]
    assert not twice, f"rendered twice: {', '.join(twice)}"
    new = {text: one for one in objects if (text := json.dumps(one)) not in _conforming}
    if not new:
        return
    for one in new.values():
        found = list(_duplicates(one))
        assert not found, f"{_named(one)}: given twice: {', '.join(found)}"
    running = [(version, _started(version)) for version in (OLDEST, NEWEST)]
    told = [_told(version, process, list(new)) for version, process in running]
    problems = "\n".join(filter(None, told))
    assert not problems, problems
    _conforming.update(new)


def _named(one: dict[str, Any]) -> str:
    metadata = one["metadata"]
    return f"{one['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def _duplicates(node: Any, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, part in node.items():
            yield from _duplicates(part, name)
    elif isinstance(node, list):
        if fields := _LIST_KEYS.get(key):
            ids = Counter(" ".join(str(entry.get(field)) for field in fields) for entry in node)
            yield from (f"{key} {name}" for name, count in ids.items() if count > 1)
        for part in node:
            yield from _duplicates(part)


def _started(version: str) -> subprocess.Popen[str]:
    location = f"{schemas()}/{_SCHEMA}"
    command = ["-strict", "-output", "json", "-kubernetes-version", version]
    return subprocess.Popen(
        [program("kubeconform"), *command, "-schema-location", location],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _told(version: str, process: subprocess.Popen[str], objects: list[str]) -> str:
    output, _ = process.communicate("\n---\n".join(objects))
    if process.returncode == 0:
        return ""
    try:
        found = json.loads(output)["resources"]
    except ValueError:
        return f"Kubernetes {version}: {output}"
    return "\n".join(
        f"Kubernetes {version}: {one['kind']}/{one['name']}: {one['msg']}" for one in found
    )
