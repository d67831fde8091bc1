"""Cases of the alerts on broker, clocks and telemetry."""

from observed.alert_case import LANE, NOTHING, Case, absent, lane, process

_OTHER_LANE = {
    lane("consuming", "m1", queue="mail"): "1x60",
    process("broker_up", "m1"): "1x60",
}

DOWN = [
    Case(
        "BrokerDown",
        "fires",
        "10m",
        # The other lane has a broker of its own.
        {lane("consuming"): "1x60", process("broker_up"): "1x5 0x60", **_OTHER_LANE},
        LANE,
        "Redis does not answer the workers of lane docs",
        "No process of lane docs reaches its Redis. Nothing is taken and nothing can be published; "
        "running tasks go on.",
        "page",
    ),
    Case(
        "BrokerDown",
        "fires",
        "10m",
        {process("broker_up", "g1"): "0x60"},
        {"namespace": "prod"},
        "Redis does not answer",
        "No process reaches its Redis. Nothing is taken and nothing can be published; running tasks "
        "go on.",
        "page",
        "only-a-gateway",
    ),
    Case(
        "BrokerDown",
        "silent",
        "10m",
        {
            lane("consuming"): "1x60",
            process("broker_up"): "0x60",
            lane("consuming", "w2"): "1x60",
            process("broker_up", "w2"): "1x60",
        },
        severity="page",
        note="one-pod-alone",
    ),
    absent("BrokerDown", "page"),
    Case(
        "BrokerDown",
        "reset",
        "10m",
        {lane("consuming"): "1x60", process("broker_up"): "1x18 0 1x60"},
        severity="page",
        note="a-failover",
    ),
]

MEMORY = [
    Case(
        "BrokerMemory",
        "fires",
        "10m",
        {process("broker_memory_bytes"): "950x60", process("broker_memory_limit_bytes"): "1000x60"},
        {"namespace": "prod"},
        "Redis is nearly full",
        "Redis uses 95% of its maxmemory. New tasks are refused; when it is full, it refuses results "
        "and retries as well.",
        "page",
    ),
    Case(
        "BrokerMemory",
        "silent",
        "10m",
        {process("broker_memory_bytes"): "950x60", process("broker_memory_limit_bytes"): "0x60"},
        severity="page",
        note="no-limit",
    ),
    Case(
        "BrokerMemory",
        "silent",
        "10m",
        {process("broker_memory_bytes"): "800x60", process("broker_memory_limit_bytes"): "1000x60"},
        severity="page",
    ),
    absent("BrokerMemory", "page"),
    Case(
        "BrokerMemory",
        "reset",
        "10m",
        {
            process("broker_memory_bytes"): "950x8 100x60",
            process("broker_memory_limit_bytes"): "1000x60",
        },
        severity="page",
        note="a-restart",
    ),
]

_BLIND = (
    "Nobody knows what the lanes hold",
    (
        "For more than two minutes no process has read from Redis what the lanes hold, or no process is "
        "scraped at all. Alerts on depth and age are blind, and so is the scaler."
    ),
    "page",
)

STALE = [
    Case(
        "ProbeStale",
        "fires",
        "10m",
        {process("probe_success_timestamp_seconds"): "60x60"},
        {"namespace": "prod"},
        *_BLIND,
    ),
    Case(
        "ProbeStale",
        "silent",
        "10m",
        {
            process("probe_success_timestamp_seconds"): "60x60",
            process("probe_success_timestamp_seconds", "w2"): "0+30x60",
        },
        severity="page",
        note="one-pod-alone",
    ),
    # The only alert that absence sets off: without these series the others are blind.
    Case("ProbeStale", "absent", "10m", NOTHING, {}, *_BLIND),
    Case(
        "ProbeStale",
        "reset",
        "12m",
        {process("probe_success_timestamp_seconds"): "0+30x15 0x2 540+30x60"},
        severity="page",
        note="a-restart",
    ),
]


def _counted(
    alert: str, series: str, rising: str, labels: dict[str, str], *told: str
) -> list[Case]:
    return [
        Case(alert, "fires", "40m", {series: rising}, labels, *told),
        Case(alert, "silent", "40m", {series: "0x70 1x90"}, note="once"),
        absent(alert),
        Case(alert, "reset", "40m", {series: "9x40 0x100"}),
    ]


TELEMETRY = [
    *_counted(
        "TelemetryDropping",
        process("telemetry_dropped_total", signal="traces", reason="export_failed"),
        "0+3x100",
        {"namespace": "prod", "signal": "traces", "reason": "export_failed"},
        "traces are lost: export_failed",
        "60 spans or readings (traces) were lost within ten minutes: export_failed. No task waits for "
        "them.",
    ),
    *_counted(
        "ClockSkew",
        lane("clock_skew_total"),
        "0+1x100",
        LANE,
        "Clocks of producers and workers of lane docs disagree",
        "30 attempts of lane docs began more than a second before their message was published. Times "
        "of waiting are wrong.",
    ),
]

PLATFORM_CASES = [*DOWN, *MEMORY, *STALE, *TELEMETRY]
