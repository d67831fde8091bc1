"""Writes the rule files: `python -m laneway.observability.mixin.write charts/laneway/files/rules`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from laneway.observability.mixin.alert import Alert, Links
from laneway.observability.mixin.alerts import ALERT_GROUPS
from laneway.observability.mixin.rules import EVALUATION_S, RULE_GROUPS

HEAD = "# Made by `make rules` of observability/mixin: change it there.\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, so that an expression reads as it was written."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def rule_files(links: Links | None = None) -> dict[str, str]:
    """The text of each rule file by its name."""
    return {
        "laneway.recording.yaml": _file(_recording_groups()),
        "laneway.alerts.yaml": _file(_alert_groups(links or Links())),
    }


def write_rules(folder: Path, links: Links | None = None) -> None:
    """Write the rule files into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rule_files(links).items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    defaults = Links()
    parser = argparse.ArgumentParser(description="Write Prometheus rule files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runbooks", default=defaults.runbooks, help="URL of docs/runbooks.")
    parser.add_argument("--grafana", default=defaults.grafana, help="URL of Grafana.")
    given = parser.parse_args(arguments)
    write_rules(given.folder, Links(given.runbooks, given.grafana))


def _file(groups: list[dict[str, Any]]) -> str:
    body = yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=4_096)
    return HEAD + body


def _recording_groups() -> list[dict[str, Any]]:
    return [
        _group(group.name, [{"record": rule.record, "expr": rule.expr} for rule in group.rules])
        for group in RULE_GROUPS
    ]


def _alert_groups(links: Links) -> list[dict[str, Any]]:
    return [
        _group(name, [_alert(alert, links) for alert in alerts])
        for name, alerts in ALERT_GROUPS.items()
    ]


def _group(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "interval": f"{EVALUATION_S}s", "rules": rules}


def _alert(alert: Alert, links: Links) -> dict[str, Any]:
    lasting = {"for": alert.lasting} if alert.lasting else {}
    return {
        "alert": alert.alertname,
        "expr": alert.expr,
        **lasting,
        "labels": {"severity": alert.severity},
        "annotations": alert.annotations(links),
    }


if __name__ == "__main__":
    main()
