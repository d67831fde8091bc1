"""Renders the chart as Helm does, and refuses what no Kubernetes would take.

Nothing here asks a cluster or a network: `lookup` finds nothing, schemas lie in a folder.
"""

import json
import subprocess
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from chart.conforming import must_conform
from chart.programs import CHART, NEWEST, program

Object = dict[str, Any]


class RenderError(Exception):
    """Helm does not render these values; the message is Helm's."""


class Rendered(list[Object]):
    """What a render came to. It is shared between tests: do not change it."""

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [one for one in self if one["kind"] == kind]

    def find(self, kind: str, name: str) -> Object | None:
        """The object of this kind and name, if there is one."""
        found = [one for one in self.all(kind) if one["metadata"]["name"] == name]
        assert len(found) < 2, f"{kind} {name} is rendered {len(found)} times"
        return found[0] if found else None

    def one(self, kind: str, name: str) -> Object:
        """The object of this kind and name."""
        found = self.find(kind, name)
        names = [one["metadata"]["name"] for one in self.all(kind)]
        assert found is not None, f"no {kind} {name}; there are: {', '.join(names) or 'none'}"
        return found

    def pod(self, kind: str, name: str) -> Object:
        """The pod, with metadata and spec, that an object makes or is."""
        return pod_of(self.one(kind, name)) or {}

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Each pod, with `Kind/name` of what makes it."""
        for one in self:
            pod = pod_of(one)
            if pod is not None:
                yield f"{one['kind']}/{one['metadata']['name']}", pod

    def file(self, name: str, path: str) -> Any:
        """A YAML file of a ConfigMap."""
        return yaml.load(self.one("ConfigMap", name)["data"][path], UniqueKeys)


class UniqueKeys(yaml.CSafeLoader):
    """A loader that refuses a key given twice, as strict clients do and Helm does not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(self.construct_object(key, deep=True) for key, _ in node.value)
        twice = [str(key) for key, count in keys.items() if count > 1]
        assert not twice, f"{', '.join(twice)} is given twice{node.start_mark}"
        return super().construct_mapping(node, deep)


def texts(secret: Object) -> dict[str, str]:
    """What a Secret holds, by key."""
    return {key: b64decode(text).decode() for key, text in secret["data"].items()}


def pod_of(one: Object) -> Object | None:
    """The pod that an object makes or is, if it does."""
    if one["kind"] == "Pod":
        return one
    if one["kind"] == "CronJob":
        return one["spec"]["jobTemplate"]["spec"]["template"]
    template: Object | None = (one.get("spec") or {}).get("template")
    return template if isinstance(template, dict) else None


def render(
    values: Mapping[str, Any] | None = None,
    *,
    release: str = "laneway",
    namespace: str = "lanes",
    kube_version: str = NEWEST,
    api_versions: Sequence[str] = (),
    show_only: Sequence[str] = (),
) -> Rendered:
    """What the chart renders with these values, each object checked.

    Raises:
        RenderError: Helm refuses; the message is its own.
    """
    arguments = [release, "--namespace", namespace, "--kube-version", kube_version]
    for version in api_versions:
        arguments += ["--api-versions", version]
    for template in show_only:
        arguments += ["--show-only", f"templates/{template}"]
    return _rendered(json.dumps(values or {}), tuple(arguments))


def refused(values: Mapping[str, Any], **options: Any) -> str:
    """What Helm says of values that it must not render."""
    try:
        render(values, **options)
    except RenderError as error:
        return str(error)
    raise AssertionError(f"rendered all the same: {json.dumps(values)}")


def notes(values: Mapping[str, Any] | None = None) -> str:
    """What `helm install` prints when it is done."""
    arguments = ["install", "laneway", str(CHART), "--namespace", "lanes", "--dry-run=client"]
    text = helm(*arguments, "--values", "-", stdin=json.dumps(values or {}))
    return text.partition("\nNOTES:\n")[2]


def helm(*arguments: str, stdin: str = "") -> str:
    """What Helm prints.

    Raises:
        RenderError: it failed; the message is its own.
    """
    done = subprocess.run(
        [program("helm"), *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RenderError(done.stderr.strip())
    return done.stdout


@cache
def _rendered(values: str, arguments: tuple[str, ...]) -> Rendered:
    release, *options = arguments
    text = helm("template", release, str(CHART), *options, "--values", "-", stdin=values)
    rendered = Rendered(one for one in yaml.load_all(text, UniqueKeys) if one is not None)
    must_conform(rendered)
    return rendered
