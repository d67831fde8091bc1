"""A real Prometheus and a real OpenTelemetry Collector for a test, ended by their pids."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from laneway.services.local.observing import collector_config
from laneway.services.local.processes import free_port
from worker_harness import wait_for

START_LIMIT_S = 30.0
_RECORD = '{"resourceSpans"'


class Prometheus:
    """One server, asked over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(
            f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10
        ) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now: series with `metric` and `value`."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def number(self, expression: str) -> float:
        """The sum of what an expression gives now; 0 for nothing."""
        return sum(float(series["value"][1]) for series in self.query(expression))

    def up(self) -> int:
        """Targets that answered."""
        return int(self.number("sum(up)"))

    def firing(self) -> set[tuple[str, ...]]:
        """The alerts that fire now: name, severity and lane, empty where an alert names none."""
        labels = [a["labels"] for a in self.get("alerts")["alerts"] if a["state"] == "firing"]
        return {tuple(a.get(n, "") for n in ("alertname", "severity", "queue")) for a in labels}


@contextmanager
def running_prometheus(
    binary: Path,
    folder: Path,
    targets: Mapping[str, str],
    rules: Sequence[Path] = (),
    every: str = "1s",
) -> Iterator[Prometheus]:
    """A server that scrapes targets, by pod, and evaluates rule files `every` so often.

    Targets may come later too: their list is read again from `targets.json` in its folder.
    """
    folder.mkdir(parents=True)
    write_targets(folder, targets)
    config = {
        "global": {"scrape_interval": every, "evaluation_interval": every, "scrape_timeout": every},
        "rule_files": list(map(str, rules)),
        "scrape_configs": [
            {
                "job_name": "laneway",
                "file_sd_configs": [
                    {"files": [str(folder / "targets.json")], "refresh_interval": "1s"}
                ],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    server = Prometheus(f"http://127.0.0.1:{port}")
    with _running(words, folder / "prometheus.log") as process:
        _wait_for_answer(f"{server.url}/-/ready", process, folder / "prometheus.log")
        yield server


def write_targets(folder: Path, targets: Mapping[str, str]) -> None:
    """Let the Prometheus of this folder scrape these from now on: addresses by pod."""
    written = folder / "targets.tmp"
    found = [
        {"targets": [address], "labels": {"namespace": "local", "pod": pod}}
        for pod, address in targets.items()
    ]
    written.write_text(json.dumps(found))
    written.rename(folder / "targets.json")


class Collector:
    """One collector, and the file it writes spans to."""

    def __init__(self, binary: Path, folder: Path) -> None:
        port, self._file = free_port(), folder / "spans.jsonl"
        self.url = f"http://127.0.0.1:{port}"
        self._log, config_file = folder / "collector.log", folder / "collector.yaml"
        self._words = [str(binary), "--config", f"file:{config_file}"]
        config = collector_config(port, self._file, "200ms")
        config_file.write_text(yaml.safe_dump(config))
        self.start()

    def start(self) -> None:
        """Start it, or start it again: what it wrote before stays."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._words, stdout=log, stderr=log)
        _wait_for_answer(f"{self.url}/v1/traces", self.process, self._log)

    def spans(self) -> list[dict[str, Any]]:
        """All that were written so far, each with its `attributes` as a map."""
        return read_spans(self._file) if self._file.exists() else []

    def named(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans() if span["name"] == name]


def read_spans(file: Path) -> list[dict[str, Any]]:
    """The spans that a collector wrote, each with its `attributes` as a map."""
    found = []
    # One that was killed may have left half a record before the next.
    for record in file.read_text().split(_RECORD)[1:]:
        with suppress(json.JSONDecodeError):
            for resource in json.loads(_RECORD + record)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    found += map(_readable, scope["spans"])
    return found


def _readable(span: dict[str, Any]) -> dict[str, Any]:
    said = {a["key"]: next(iter(a["value"].values())) for a in span.get("attributes", ())}
    return {**span, "attributes": said}


@contextmanager
def running_collector(binary: Path, folder: Path) -> Iterator[Collector]:
    """A collector that takes OTLP/HTTP and keeps spans in a file."""
    folder.mkdir(parents=True)
    collector = Collector(binary, folder)
    try:
        yield collector
    finally:
        _end(collector.process)


@contextmanager
def _running(words: Sequence[Any], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(list(map(str, words)), stdout=file, stderr=file)
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _wait_for_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError as error:
            return error.code < 500 and error.code != 404
        except OSError:
            return False
        return True

    wait_for(answers, url, START_LIMIT_S)


def window(seconds: float) -> tuple[float, float]:
    """The last so many seconds, since the epoch."""
    now_s = time.time()
    return now_s - seconds, now_s
