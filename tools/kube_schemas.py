"""Makes JSON schemas of what a chart may render, for kubeconform, of what Kubernetes itself publishes.

.venv/bin/python tools/kube_schemas.py FOLDER --kubernetes 1.37.2=SWAGGER.json --crds CRDS.yaml

Each is one file without a reference to another, `FOLDER/v1.37.2/deployment-apps-v1.json`, and strict:
a field that Kubernetes does not know is refused, which the API server would drop or warn of. So is
`null`, by which a template mostly tells of a value that went missing.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]

KINDS = {
    "ConfigMap",
    "CronJob",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "Lease",
    "LimitRange",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}

QUANTITY = r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
"""The suffixes of `resource.Quantity`; the published schema only says that it is a string."""

TEXT_FORMS: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "anyOf": [{"type": "string", "pattern": QUANTITY}, {"type": "number"}]
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
}
"""What is written as text but is more than that."""

_SAID_ELSEWHERE = {"description", "default", "example", "format"}


def kubernetes_schemas(swagger: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    """The name and the schema of each of KINDS, of an API server's own OpenAPI document."""
    definitions = {name: _strict(schema) for name, schema in swagger["definitions"].items()}
    definitions |= TEXT_FORMS
    for name, published in swagger["definitions"].items():
        for which in published.get("x-kubernetes-group-version-kind", []):
            if which["kind"] in KINDS and "beta" not in which["version"]:
                schema = _of_kind(definitions[name], **which)
                yield _file_name(**which), _with_definitions(schema, definitions)


def resource_schemas(documents: Iterator[Any]) -> Iterator[tuple[str, Schema]]:
    """The name and the schema of each served version of CustomResourceDefinitions."""
    for document in documents:
        if not document or document.get("kind") != "CustomResourceDefinition":
            continue
        spec = document["spec"]
        for version in filter(lambda version: version["served"], spec["versions"]):
            which = {
                "group": spec["group"],
                "version": version["name"],
                "kind": spec["names"]["kind"],
            }
            schema = _strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}  # which the API server checks
            yield _file_name(**which), _of_kind(schema, **which)


def _strict(schema: Any) -> Any:
    """A schema that refuses unknown fields, without what does not decide."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    strict = {
        key: {name: _strict(part) for name, part in value.items()}
        if key == "properties"
        else _strict(value)
        for key, value in schema.items()
        if key not in _SAID_ELSEWHERE and not key.startswith("x-kubernetes-")
    }
    open_end = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if "properties" in strict and not open_end:
        strict.setdefault("additionalProperties", False)
    return strict


def _of_kind(schema: Schema, group: str, version: str, kind: str) -> Schema:
    """The schema of whole objects: they say of what kind they are."""
    properties = schema["properties"] | {
        "apiVersion": {"const": f"{group}/{version}".removeprefix("/")},
        "kind": {"const": kind},
    }
    required = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
    return schema | {"properties": properties, "required": required}


def _with_definitions(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The schema with every definition that it needs, and those need."""
    needed: dict[str, Schema] = {}
    waiting = [schema]
    while waiting:
        for name in set(_references(waiting.pop())) - needed.keys():
            needed[name] = definitions[name]
            waiting.append(definitions[name])
    return schema | {"definitions": needed}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix("#/definitions/")
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _file_name(group: str, version: str, kind: str) -> str:
    """As kubeconform's `{{.ResourceKind}}{{.KindSuffix}}` has it."""
    parts = filter(None, (kind.lower(), group.partition(".")[0], version))
    return f"{'-'.join(parts)}.json"


def _write(folder: Path, schemas: Iterator[tuple[str, Schema]]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, schema in schemas:
        (folder / name).write_text(json.dumps(schema), encoding="utf-8")
        count += 1
    return count


def main() -> None:
    """Write the schemas of each Kubernetes, those of the CRDs beside each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kubernetes", action="append", metavar="VERSION=FILE", required=True)
    parser.add_argument("--crds", nargs="*", type=Path, default=[], metavar="FILE")
    given = parser.parse_args()
    resources = [
        found
        for file in given.crds
        for found in resource_schemas(yaml.load_all(file.read_text("utf-8"), yaml.CSafeLoader))
    ]
    for pair in given.kubernetes:
        version, _, file = pair.partition("=")
        folder = given.folder / f"v{version}"
        swagger = json.loads(Path(file).read_text(encoding="utf-8"))
        count = _write(folder, kubernetes_schemas(swagger)) + _write(folder, iter(resources))
        print(f"== chart: {count} schemas of Kubernetes {version} in {folder}")  # noqa: T201


if __name__ == "__main__":
    main()
