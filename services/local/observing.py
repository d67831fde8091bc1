"""Prometheus and an OpenTelemetry Collector beside the local platform, for who asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from laneway.services.local.processes import ManagedProcess, answers, free_port
from laneway.tasks.errors import ConfigurationError

SCRAPE = "5s"
FLUSH = "1s"
PROGRAMS = ("prometheus", "otelcol")


@dataclass(frozen=True)
class Observing:
    """Where the programs and the rules lie, and the ports that they will have.

    Attributes:
        programs: a folder with `prometheus` and `otelcol`; `tools/observed.sh` fills one.
        rules: a folder with rule files of Prometheus.
    """

    programs: Path
    rules: Path
    prometheus_port: int = field(default_factory=free_port)
    collector_port: int = field(default_factory=free_port)

    @property
    def prometheus_url(self) -> str:
        """Prometheus's own page."""
        return f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def otlp_endpoint(self) -> str:
        """Where spans go."""
        return f"http://127.0.0.1:{self.collector_port}"

    def check(self) -> None:
        """Raises ConfigurationError, with the cure, unless programs and rules are there."""
        missing = [name for name in PROGRAMS if not (self.programs / name).exists()]
        if missing:
            raise ConfigurationError(
                f"{self.programs} holds no {' and no '.join(missing)}. Run `sh tools/observed.sh` in "
                "a checkout of Laneway, or name a folder that has both with --observe."
            )
        if not any(self.rules.glob("*.yaml")):
            raise ConfigurationError(
                f"{self.rules} holds no rule files. Name the folder that `make rules` writes with "
                "--rules."
            )

    def processes(self, folder: Path, endpoints: Mapping[str, str]) -> list[ManagedProcess]:
        """Both, with their configuration and data in `folder`.

        Args:
            folder: made if it is not there.
            endpoints: the URL of each part's metrics, by its name.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return [self._collector(folder), self._prometheus(folder, endpoints)]

    def _collector(self, folder: Path) -> ManagedProcess:
        config = folder / "collector.yaml"
        _write(config, collector_config(self.collector_port, spans_file(folder), FLUSH))
        return ManagedProcess(
            name="collector",
            command=[str(self.programs / "otelcol"), "--config", f"file:{config}"],
            log_file=folder / "collector.log",
            ready=lambda: answers(self.collector_port),
        )

    def _prometheus(self, folder: Path, endpoints: Mapping[str, str]) -> ManagedProcess:
        config = folder / "prometheus.yaml"
        targets = [
            {
                "targets": [urlsplit(url).netloc],
                "labels": {"namespace": "local", "pod": name},
            }
            for name, url in endpoints.items()
        ]
        _write(
            config,
            {
                "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
                "rule_files": [str(self.rules.resolve() / "*.yaml")],
                "scrape_configs": [{"job_name": "laneway", "static_configs": targets}],
            },
        )
        return ManagedProcess(
            name="prometheus",
            command=[
                str(self.programs / "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'series'}",
                f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
                "--enable-feature=exemplar-storage",
            ],
            log_file=folder / "prometheus.log",
            ready=lambda: answers(self.prometheus_port),
        )


def collector_config(port: int, spans: Path, flush: str) -> dict[str, object]:
    """Takes OTLP/HTTP on a port of 127.0.0.1, and adds to a file of spans every so often."""
    receiver = {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}
    exporter = {"path": str(spans), "flush_interval": flush, "append": True}
    return {
        "receivers": {"otlp": receiver},
        "exporters": {"file": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
        },
    }


def spans_file(folder: Path) -> Path:
    """Where the collector writes spans, a JSON document a line."""
    return folder / "spans.jsonl"


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
