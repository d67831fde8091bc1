"""Alerts on what all lanes stand on: the broker, the clocks, and the telemetry itself."""

from collections.abc import Iterator

from laneway.observability.mixin.alert import Alert
from laneway.observability.mixin.promql import LANE, PROCESS, increase

# A lane may have a broker of its own: its workers alone know. Where there is no worker, whoever
# else asks the broker does.
DOWN = f"""max by ({LANE}) (
  0 * laneway_consuming + on ({PROCESS}) group_left () laneway_broker_up
) == 0
or
max by (namespace) (laneway_broker_up) == 0 unless on (namespace) laneway_consuming"""

FULL = """max by (namespace) (
  laneway_broker_memory_bytes / (laneway_broker_memory_limit_bytes > 0)
) > 0.9"""

# If nothing of Laneway is scraped, no other alert can tell.
STALE = """time() - max by (namespace) (laneway_probe_success_timestamp_seconds) > 120
or
absent(laneway_probe_success_timestamp_seconds)"""


def platform_alerts() -> Iterator[Alert]:
    """Each alert on what all lanes share."""
    yield from _broker()
    yield from _telemetry()


def _broker() -> Iterator[Alert]:
    yield Alert(
        "BrokerDown",
        "page",
        expr=DOWN,
        lasting="1m",
        summary="Redis does not answer{{ with $labels.queue }} the workers of lane {{ . }}{{ end }}",
        description=(
            "No process{{ with $labels.queue }} of lane {{ . }}{{ end }} reaches its Redis. "
            "Nothing is taken and nothing can be published; running tasks go on."
        ),
        dashboard="laneway-overview",
        scope="platform",
    )
    yield Alert(
        "BrokerMemory",
        "page",
        expr=FULL,
        lasting="5m",
        summary="Redis is nearly full",
        description=(
            "Redis uses {{ $value | humanizePercentage }} of its maxmemory. New tasks are refused; "
            "when it is full, it refuses results and retries as well."
        ),
        dashboard="laneway-overview",
        scope="platform",
    )


def _telemetry() -> Iterator[Alert]:
    yield Alert(
        "ProbeStale",
        "page",
        expr=STALE,
        lasting="3m",
        summary="Nobody knows what the lanes hold",
        description=(
            "For more than two minutes no process has read from Redis what the lanes hold, or no "
            "process is scraped at all. Alerts on depth and age are blind, and so is the scaler."
        ),
        dashboard="laneway-telemetry",
        scope="platform",
    )
    yield Alert(
        "TelemetryDropping",
        "ticket",
        expr=increase("laneway_telemetry_dropped_total", "10m", "namespace, signal, reason")
        + " > 0",
        lasting="10m",
        summary="{{ $labels.signal }} are lost: {{ $labels.reason }}",
        description=(
            "{{ $value | humanize }} spans or readings ({{ $labels.signal }}) were lost within ten "
            "minutes: {{ $labels.reason }}. No task waits for them."
        ),
        dashboard="laneway-telemetry",
        scope="platform",
    )
    yield Alert(
        "ClockSkew",
        "ticket",
        expr=increase("laneway_clock_skew_total", "15m") + " > 0",
        lasting="15m",
        summary="Clocks of producers and workers of lane {{ $labels.queue }} disagree",
        description=(
            '{{ $value | printf "%.0f" }} attempts of lane {{ $labels.queue }} began more than a '
            "second before their message was published. Times of waiting are wrong."
        ),
        dashboard="laneway-telemetry",
    )
