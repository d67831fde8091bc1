"""What each field of a lane does, of a lane `reports` that has no field of its own.

The same rows hold for `queueDefaults` and for the lane's entry in `queues`.
"""

from chart.effect import Effect, changed, has

LANE = {"queues": {"reports": {}}}
"""Values under which the rows are tried."""

SHARED = {"tasks", "broker", "maxLength", "timeLimit"}
"""Fields that the workers of other lanes go by as well: they publish, too."""

DEPLOYMENT = "Deployment/laneway-worker-reports"
POD = f"{DEPLOYMENT} spec template"
WORKER = f"{POD} spec containers worker"
CATALOGUE = "ConfigMap/laneway-config data queues.yaml queues reports"
POLICY = "NetworkPolicy/laneway-worker-reports spec egress"
SECRETS = f"{POD} spec volumes secrets projected sources"

_MOUNT = {"name": "modules", "mountPath": "/opt/modules"}
_VOLUME = {"name": "modules", "emptyDir": {"sizeLimit": "1Mi"}}
_OTHERS = {"redis": {"others": {"hot": {"url": "redis://hot:6379"}}}}
_TOLERATION = {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}
_SPREAD = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
_AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]
        }
    }
}


def _catalogue(value, name: str, **more) -> Effect:
    return Effect(value, f"{CATALOGUE} {name}", **more)


LANES: dict[str, Effect] = {
    # The catalogue's
    "concurrency": _catalogue(7, "concurrency"),
    "pool": _catalogue("threads", "pool"),
    "prefetch": _catalogue(3, "prefetch"),
    "softTimeLimit": _catalogue(500, "softTimeLimit"),
    "timeLimit": Effect(
        900,
        (f"{CATALOGUE} timeLimit", f"{POD} spec terminationGracePeriodSeconds"),
        lambda found: found in {900, 930},
    ),
    "leaseSeconds": _catalogue(90, "leaseSeconds"),
    "maxDeliveries": _catalogue(3, "maxDeliveries"),
    "maxLength": _catalogue(12_345_678, "maxLength"),
    "deadLetterRetention.seconds": _catalogue(31_536_000, "deadLetterRetention seconds"),
    "deadLetterRetention.count": _catalogue(2_000_000, "deadLetterRetention count"),
    "waitTarget": _catalogue(1.5, "waitTarget"),
    "finishTarget": _catalogue(90, "finishTarget"),
    "objective": _catalogue(0.999, "objective"),
    "autoscaling.minReplicas": _catalogue(0, "autoscaling minReplicas"),
    "autoscaling.maxReplicas": _catalogue(40, "autoscaling maxReplicas"),
    "broker": _catalogue("hot", "broker", given=_OTHERS),
    "drainSeconds": Effect(
        1_000,
        (f"{CATALOGUE} drainSeconds", f"{POD} spec terminationGracePeriodSeconds"),
        lambda found: found in {1_000, 1_030},
    ),
    "tasks": _catalogue(["reports.*"], "tasks"),
    # The pods'
    "replicas": Effect(3, f"{DEPLOYMENT} spec replicas"),
    "storageAccess": Effect(
        False,
        (SECRETS, POLICY),
        lambda found: "storage" not in str(found),
    ),
    "mailAccess": Effect(
        False,
        (SECRETS, POLICY),
        changed,
        given={"mail": {"host": "smtp", "username": "a", "existingSecret": "mail"}},
    ),
    "terminationGracePeriodSeconds": Effect(4_000, f"{POD} spec terminationGracePeriodSeconds"),
    "allowShortDrain": Effect(
        True,
        f"{CATALOGUE} drainSeconds",
        5,
        given={"queues": {"reports": {"drainSeconds": 5}}},
        instead="queues.reports.drainSeconds is 5",
    ),
    "resources": Effect(
        {"limits": {"memory": "3Gi", "example.org/gpu": 1}},
        f"{WORKER} resources limits",
        {"memory": "3Gi", "example.org/gpu": 1},
    ),
    "strategy": Effect(
        {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        f"{DEPLOYMENT} spec strategy rollingUpdate",
        {"maxSurge": 0, "maxUnavailable": 1},
    ),
    "nodeSelector": Effect({"pool": "big"}, f"{POD} spec nodeSelector"),
    "tolerations": Effect([_TOLERATION], f"{POD} spec tolerations"),
    "affinity": Effect(_AFFINITY, f"{POD} spec affinity"),
    "topologySpreadConstraints": Effect(
        [_SPREAD],
        f"{POD} spec topologySpreadConstraints",
        lambda found: (
            [one | {"labelSelector": None} for one in found] == [_SPREAD | {"labelSelector": None}]
            and found[0]["labelSelector"]["matchLabels"]["laneway/queue"] == "reports"
        ),
    ),
    "priorityClassName": Effect("urgent", f"{POD} spec priorityClassName"),
    "podLabels": Effect({"team": "a"}, f"{POD} metadata labels team", "a"),
    "podAnnotations": Effect({"a/b": "c"}, f"{POD} metadata annotations a/b", "c"),
    "extraEnv": Effect([{"name": "A", "value": "b"}], f"{WORKER} env A value", "b"),
    "extraVolumes": Effect([_VOLUME], f"{POD} spec volumes modules", _VOLUME),
    "extraVolumeMounts": Effect(
        [_MOUNT],
        f"{WORKER} volumeMounts modules",
        _MOUNT,
        given={"queueDefaults": {"extraVolumes": [_VOLUME]}},
    ),
    "podTemplate": Effect(
        {"spec": {"dnsPolicy": "None", "imagePullSecrets": [{"name": "pull"}]}},
        f"{POD} spec",
        lambda spec: (
            spec["dnsPolicy"] == "None" and has({"name": "pull"})(spec["imagePullSecrets"])
        ),
    ),
}
