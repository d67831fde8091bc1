"""Writes what the examples of the chart render to, so that a change is read as a diff.

PYTHONPATH=tests .venv/bin/python -m chart.golden
"""

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from chart.programs import CHART
from chart.rendering import Rendered, render, texts

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
FOLDER = Path(__file__).parent / "golden"

VALUES: dict[str, dict[str, Any]] = {"as it comes": {}} | {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in EXAMPLES
}
"""What the chart is rendered with in tests: nothing, and each example."""

_RANDOM = re.compile(r"(lwy_)?[A-Za-z0-9]{20,43}")


def example(path: Path) -> Rendered:
    """What an example renders to."""
    return render(yaml.safe_load(path.read_text(encoding="utf-8")))


def golden_file(path: Path) -> Path:
    """Where the render of an example is kept."""
    return FOLDER / path.name


def golden_text(path: Path) -> str:
    """The render of an example, without what differs each time or lies in the chart as a file."""
    objects = [_settled(copy.deepcopy(one)) for one in example(path)]
    objects.sort(key=lambda one: (one["kind"], one["metadata"]["name"]))
    return yaml.dump_all(objects, Dumper=_Dumper, default_flow_style=None, width=10_000)


def _settled(one: dict[str, Any]) -> dict[str, Any]:
    if one["kind"] == "Secret":
        one["data"] = {key: _settled_text(text) for key, text in texts(one).items()}
    elif one["kind"] == "ConfigMap":
        one["data"] = {key: _file_of(text) or text for key, text in one["data"].items()}
    if one["kind"] == "PrometheusRule":
        one["spec"]["groups"] = [
            f"as in files/rules: {group['name']}" if group in _rule_groups() else group
            for group in one["spec"]["groups"]
        ]
    return one


def _settled_text(text: str) -> str:
    """A text of a Secret that was made: what is random is as long as it was."""
    settled = re.sub(r"sha256: \S+", "sha256: of the token", text)
    return _RANDOM.sub(lambda found: f"random of {len(found[0])}", settled)


def _file_of(text: str) -> str | None:
    if len(text) < 2_000:
        return None
    for file in (CHART / "files").rglob("*"):
        if file.is_file() and file.read_text(encoding="utf-8").strip() == text.strip():
            return f"as in {file.relative_to(CHART)}"
    return None


@cache
def _rule_groups() -> list[dict[str, Any]]:
    files = (CHART / "files" / "rules").glob("*.yaml")
    return [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as such; nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def main() -> Iterator[str]:
    """Write each, and take away those whose example is gone."""
    FOLDER.mkdir(exist_ok=True)
    for old in set(FOLDER.glob("*.yaml")) - {golden_file(path) for path in EXAMPLES}:
        old.unlink()
        yield f"removed {old.name}"
    for path in EXAMPLES:
        text = golden_text(path)
        file = golden_file(path)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            yield f"wrote {file.name}"


if __name__ == "__main__":
    for line in main():
        print(f"== golden: {line}")
