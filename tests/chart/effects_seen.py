"""What the values of metrics, traces and network policies do."""

from chart.effect import MISSING, Effect, has
from chart.effects_platform import GATEWAY_POD, SETTINGS

WORKER_POD = "Deployment/laneway-worker-documents spec template"
WORKER_MONITOR = "PodMonitor/laneway-worker"
GATEWAY_MONITOR = "PodMonitor/laneway-gateway"
DASHBOARD = "ConfigMap/laneway-dashboard-overview"
GATEWAY_POLICY = "NetworkPolicy/laneway-gateway spec"
WORKER_POLICY = "NetworkPolicy/laneway-worker-documents spec"
REDIS_POLICY = "NetworkPolicy/laneway-redis spec"

_MONITORS = {"metrics": {"podMonitor": {"enabled": True}}}
_RULES = {"metrics": {"prometheusRule": {"enabled": True}}}
_DASHBOARDS = {"metrics": {"dashboards": {"enabled": True}}}
_PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
_EGRESS = {"ports": [{"port": 443, "protocol": "TCP"}]}

SEEN: dict[str, Effect] = {
    "metrics.enabled": Effect(False, f"{SETTINGS} metrics"),
    "metrics.podMonitor.enabled": Effect(
        True,
        (
            f"{WORKER_MONITOR} spec podMetricsEndpoints",
            f"{GATEWAY_MONITOR} spec podMetricsEndpoints",
        ),
        lambda found: [endpoint["path"] for endpoint in found] == ["/metrics"],
    ),
    "metrics.podMonitor.labels": Effect(
        {"release": "prometheus"},
        (
            f"{WORKER_MONITOR} metadata labels release",
            f"{GATEWAY_MONITOR} metadata labels release",
        ),
        "prometheus",
        given=_MONITORS,
    ),
    "metrics.podMonitor.interval": Effect(
        "1m",
        (
            f"{WORKER_MONITOR} spec podMetricsEndpoints 0 interval",
            f"{GATEWAY_MONITOR} spec podMetricsEndpoints 0 interval",
        ),
        given=_MONITORS,
    ),
    "metrics.annotations": Effect(
        True,
        (
            f"{GATEWAY_POD} metadata annotations prometheus.io/port",
            f"{WORKER_POD} metadata annotations prometheus.io/port",
        ),
        lambda found: found in {"8080", "9464"},
    ),
    "metrics.prometheusRule.enabled": Effect(
        True,
        "PrometheusRule/laneway-rules spec groups",
        lambda found: any("alert" in rule for group in found for rule in group["rules"]),
    ),
    "metrics.prometheusRule.labels": Effect(
        {"release": "prometheus"},
        "PrometheusRule/laneway-rules metadata labels release",
        "prometheus",
        given=_RULES,
    ),
    "metrics.dashboards.enabled": Effect(
        True, f"{DASHBOARD} data laneway-overview.json", has('"panels"', '"title"')
    ),
    "metrics.dashboards.labels": Effect(
        {"team": "a"}, f"{DASHBOARD} metadata labels team", "a", given=_DASHBOARDS
    ),
    "metrics.dashboards.annotations": Effect(
        {"grafana_folder": "Lanes"}, f"{DASHBOARD} metadata annotations", given=_DASHBOARDS
    ),
    "traces.endpoint": Effect("http://collector:4318", f"{SETTINGS} otlp_endpoint"),
    "traces.share": Effect(0.25, f"{SETTINGS} trace_share"),
    "networkPolicy.enabled": Effect(
        False, ("NetworkPolicy/laneway-deny", "NetworkPolicy/laneway-gateway"), MISSING
    ),
    "networkPolicy.gatewayFrom": Effect(
        [_PEER],
        f"{GATEWAY_POLICY} ingress 0 from",
        lambda found: _PEER in found and {"namespaceSelector": {}} not in found,
    ),
    "networkPolicy.metricsFrom": Effect([_PEER], f"{WORKER_POLICY} ingress 0 from"),
    "networkPolicy.redisFrom": Effect(
        [_PEER],
        f"{REDIS_POLICY} ingress 0 from",
        lambda found: _PEER in found and "laneway/producer" not in str(found),
    ),
    "networkPolicy.dns": Effect(
        [_PEER], (f"{GATEWAY_POLICY} egress 0 to", f"{WORKER_POLICY} egress 0 to")
    ),
    "networkPolicy.extraEgress": Effect(
        [_EGRESS], (f"{GATEWAY_POLICY} egress", f"{WORKER_POLICY} egress"), has(_EGRESS)
    ),
}
