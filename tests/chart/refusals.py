"""The table of what the chart refuses: values that contradict each other, and what is told of them."""

from dataclasses import dataclass
from typing import Any

from laneway.tasks.broker.link import TEND_S
from laneway.tasks.queues import Autoscaling, Queue
from laneway.tasks.settings import Settings

LEASE_S = Queue.model_fields["lease_seconds"].default
CHUNK = Settings.model_fields["chunk_chars"].default
OVERLAP = Settings.model_fields["chunk_overlap_chars"].default
TIMEOUT_S = int(Settings.model_fields["broker_timeout_s"].default)
MOST = Autoscaling.model_fields["max_replicas"].default
RENEWED_S = int(TEND_S)


@dataclass(frozen=True)
class Refusal:
    """Values that are refused for one reason."""

    values: dict[str, Any]
    told: str
    """What the message has in it: the place and what is wrong there."""


def _lane(**fields: Any) -> dict[str, Any]:
    return {"queues": {"reports": fields}}


def _external(**fields: Any) -> dict[str, Any]:
    return {"redis": {"external": {"url": "redis://redis:6379/0", **fields}}}


def _results(**fields: Any) -> dict[str, Any]:
    return {"redis": {"results": {"url": "redis://results:6379/0", **fields}}}


def _others(url: str) -> dict[str, Any]:
    return {"redis": {"others": {"hot": {"url": url}}}}


def _config(**directives: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    return {"redis": {"embedded": {"config": named}}}


def _folder(*, gateway: str, lanes: str) -> dict[str, Any]:
    """Values of a storage in /data/lanes, and where pods mount a volume."""

    def mounted(path: str) -> dict[str, Any]:
        claim = {"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}
        return {
            "extraVolumes": [claim],
            "extraVolumeMounts": [{"name": "shared", "mountPath": path}],
        }

    return {
        "storage": {"external": {"url": "file:///data/lanes"}},
        "gateway": mounted(gateway),
        "queueDefaults": mounted(lanes),
    }


def _memory(data: str, limit: str | int | None) -> dict[str, Any]:
    """Values of an embedded Redis of so much data and so large a pod."""
    return {"redis": {"embedded": {"maxmemory": data, "resources": {"limits": {"memory": limit}}}}}


_LABEL = {"metadata": {"labels": {"app.kubernetes.io/component": "mine"}}}
_PASSWORD = "redis://laneway:hush@redis:6379/0"

_OF_LANES = {
    "no lane": Refusal(
        {"queues": {"high-priority": None, "documents": None, "notifications": None}},
        "queues: names no lane",
    ),
    "a grace that ends before the drain": Refusal(
        _lane(terminationGracePeriodSeconds=629),
        "queues.reports.terminationGracePeriodSeconds is 629, less than the lane's drain of 600 s and a "
        "margin of 30 s",
    ),
    "a grace that ends before a short drain": Refusal(
        _lane(drainSeconds=10, allowShortDrain=True, terminationGracePeriodSeconds=39),
        "queues.reports.terminationGracePeriodSeconds is 39, less than the lane's drain of 10 s",
    ),
    "a grace by another way": Refusal(
        _lane(podTemplate={"spec": {"terminationGracePeriodSeconds": 5}}),
        "queues.reports.podTemplate sets terminationGracePeriodSeconds",
    ),
    "a drain that ends before a task": Refusal(
        _lane(drainSeconds=599),
        "queues.reports.drainSeconds is 599, less than its timeLimit of 600 s",
    ),
    "a soft limit at the hard one": Refusal(
        _lane(softTimeLimit=600),
        "queues.reports.softTimeLimit is 600, not below its timeLimit of 600 s",
    ),
    "a lease that one lost answer costs": Refusal(
        _lane(leaseSeconds=TIMEOUT_S + RENEWED_S),
        f"queues.reports.leaseSeconds is {TIMEOUT_S + RENEWED_S}, and a worker renews its lease each "
        f"second and waits up to settings.broker_timeout_s of {TIMEOUT_S} s",
    ),
    "a wait that outlasts the lease": Refusal(
        {
            "settings": {"broker_timeout_s": LEASE_S - RENEWED_S},
            "queues": {"documents": {"leaseSeconds": 90}, "notifications": {"leaseSeconds": 90}},
        },
        f"queues.high-priority.leaseSeconds is {LEASE_S}, and a worker renews its lease each second and "
        f"waits up to settings.broker_timeout_s of {LEASE_S - RENEWED_S} s",
    ),
    "fewest above most": Refusal(
        _lane(autoscaling={"minReplicas": 5, "maxReplicas": 4}),
        "queues.reports.autoscaling.minReplicas is 5, above maxReplicas of 4",
    ),
    "fewest above the most that nobody gave": Refusal(
        _lane(autoscaling={"minReplicas": MOST + 1}),
        f"queues.reports.autoscaling.minReplicas is {MOST + 1}, above maxReplicas of {MOST}",
    ),
    "a broker that nobody named": Refusal(
        _lane(broker="hot"), 'queues.reports.broker is "hot", which redis.others does not name'
    ),
    "a lane that begins as another": Refusal(
        {"queues": {"documents-large": {}}},
        "queues: documents is the beginning of documents-large",
    ),
    "a lane's name that makes too long a one": Refusal(
        {"fullnameOverride": "f" * 40, "queues": {"reports-of-the-year": {}}},
        f"queues: the workers of reports-of-the-year would be called {'f' * 40}-worker-reports-of-the-year"
        ", which has 67 characters",
    ),
}

_SHORT_LANE = {"queues": {"a": {}, "documents": None, "high-priority": None, "notifications": None}}


def _named(length: int) -> dict[str, Any]:
    """Values by which the names of objects begin with so many characters."""
    return {"nameOverride": "n" * (length - len("laneway-")), **_SHORT_LANE}


_OF_NAMES = {
    "a name that no Service may have": Refusal(
        {"fullnameOverride": "Lanes"},
        'fullnameOverride: the names of objects would begin with "Lanes"',
    ),
    "a name that begins with a digit": Refusal(
        {"fullnameOverride": "2lanes"},
        'fullnameOverride: the names of objects would begin with "2lanes"',
    ),
    "a StatefulSet's name that is too long for its pods": Refusal(
        _named(45),
        f"fullnameOverride: the storage of this release would be called laneway-{'n' * 37}-storage, "
        "which has 53 characters; 52 are allowed",
    ),
}

_OF_REDIS = {
    "no URL of a Redis": Refusal(
        _external(url="http://redis"), "redis.external.url does not begin with redis://"
    ),
    "no URL of results": Refusal(
        _results(url="unix:///redis"), "redis.results.url does not begin with redis://"
    ),
    "no URL of another": Refusal(
        _others("hot:6379"), "redis.others.hot.url does not begin with redis://"
    ),
    "Sentinels without a primary": Refusal(
        _external(url="sentinel://one:26379,two:26379/0?master="),
        "redis.external.url names Sentinels and no primary",
    ),
    "a password in a URL": Refusal(_external(url=_PASSWORD), "redis.external.url holds a password"),
    "a password in that of results": Refusal(
        _results(url=_PASSWORD), "redis.results.url holds a password"
    ),
    "a password in that of another": Refusal(
        _others(_PASSWORD), "redis.others.hot.url holds a password"
    ),
    "a user without a password": Refusal(
        _external(username="lanes"), "redis.external.username is given without a password"
    ),
    "a user of results without a password": Refusal(
        _results(username="lanes"), "redis.results.username is given without a password"
    ),
    "a Secret for no Redis": Refusal(
        _external(url="", existingSecret="passwords"), "redis.external.url is empty"
    ),
    "a CA for no Redis": Refusal(
        _external(url="", caSecret="ca"), "redis.external.caSecret is given, and no Redis is named"
    ),
    "a CA for a Redis without TLS": Refusal(
        _external(caSecret="ca"), "redis.external.caSecret is given, and no Redis is named"
    ),
    "users without passwords": Refusal(
        _external(users="perRole"),
        "redis.external.users is perRole, which takes a password for each",
    ),
    "one user of many": Refusal(
        _external(users="perRole", username="lanes", existingSecret="passwords"),
        "redis.external.username is given, and users is perRole",
    ),
    "two Redises": Refusal(
        {
            "redis": {
                "external": {"url": "redis://redis:6379/0"},
                "embedded": {"existingSecret": "passwords"},
            }
        },
        "redis.embedded.existingSecret is given, and so is redis.external.url",
    ),
    **{
        f"data that fills {limit}": Refusal(
            _memory("1gb", limit),
            "redis.embedded.maxmemory is 1gb, not below the pod's memory limit of",
        )
        for limit in ("1Gi", "1G", "1024Mi", 2**30)
    },
    "tasks evicted": Refusal(
        _config(maxmemory_policy="allkeys-lru"),
        'redis.embedded.config.maxmemory-policy is "allkeys-lru", by which Redis would lose tasks. '
        "Leave it out: it is noeviction",
    ),
    "tasks evicted in capitals": Refusal(
        _config(MaxMemory_Policy="volatile-ttl"),
        'redis.embedded.config.MaxMemory-Policy is "volatile-ttl", by which Redis would lose tasks',
    ),
    "tasks not written": Refusal(
        _config(appendonly="no"),
        'redis.embedded.config.appendonly is "no", by which Redis would lose tasks. Leave it out: it is '
        "yes",
    ),
    **{
        f"{directive} of Redis": Refusal(
            _config(**{directive: "x"}), f"redis.embedded.config.{directive} is what the chart sets"
        )
        for directive in ("aclfile", "dir", "bind", "port", "maxmemory")
    },
}

_OF_PARTS = {
    "two storages": Refusal(
        {
            "storage": {
                "external": {"url": "s3://bucket"},
                "embedded": {"existingSecret": "keys"},
            }
        },
        "storage.embedded.existingSecret is given, and so is storage.external.url",
    ),
    "an endpoint of no storage": Refusal(
        {"storage": {"external": {"endpoint": "https://s3.example.org"}}},
        "storage.external.url is empty",
    ),
    "keys of no storage": Refusal(
        {"storage": {"external": {"existingSecret": "keys"}}}, "storage.external.url is empty"
    ),
    "a folder that the gateway has no volume for": Refusal(
        _folder(gateway="/dat", lanes="/data"),
        "gateway.extraVolumeMounts mounts nothing at /data/lanes, where storage.external.url lies",
    ),
    "a folder that a lane has no volume for": Refusal(
        _folder(gateway="/data/lanes", lanes="/data/lanes/below")
        | {"queues": {"high-priority": None}},
        "queues.documents.extraVolumeMounts mounts nothing at /data/lanes",
    ),
    "a login at the mail sink": Refusal(
        {"mail": {"username": "lanes", "existingSecret": "mail"}}, "mail.host is empty"
    ),
    "a CA of the mail sink": Refusal({"mail": {"caSecret": "ca"}}, "mail.host is empty"),
    "a login without a password": Refusal(
        {"mail": {"host": "smtp", "username": "lanes"}},
        "mail.username and mail.existingSecret belong together",
    ),
    "a password without a login": Refusal(
        {"mail": {"host": "smtp", "existingSecret": "mail"}},
        "mail.username and mail.existingSecret belong together",
    ),
    "an Ingress of no host": Refusal(
        {"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress is enabled without hosts"
    ),
    **{
        f"a label of the chart's in {place}": Refusal(
            values, f"{place} sets the label app.kubernetes.io/component"
        )
        for place, values in {
            "commonLabels": {"commonLabels": _LABEL["metadata"]["labels"]},
            "gateway.podTemplate": {"gateway": {"podTemplate": _LABEL}},
            "redis.embedded.podTemplate": {"redis": {"embedded": {"podTemplate": _LABEL}}},
            "storage.embedded.podTemplate": {"storage": {"embedded": {"podTemplate": _LABEL}}},
            "queues.reports.podTemplate": _lane(podTemplate=_LABEL),
            "queues.reports.podLabels": _lane(podLabels=_LABEL["metadata"]["labels"]),
        }.items()
    },
    "a Secret of settings without keys": Refusal(
        {"settingsSecret": {"name": "keys"}},
        "settingsSecret.name and settingsSecret.keys belong together",
    ),
    "keys of settings without a Secret": Refusal(
        {"settingsSecret": {"keys": ["embedding_api_key"]}},
        "settingsSecret.name and settingsSecret.keys belong together",
    ),
}

_OF_SETTINGS = {
    "an overlap of a whole chunk": Refusal(
        {"settings": {"chunk_overlap_chars": CHUNK}},
        f"settings.chunk_overlap_chars is {CHUNK}, not below settings.chunk_chars of {CHUNK}",
    ),
    "a chunk of the overlap that nobody gave": Refusal(
        {"settings": {"chunk_chars": OVERLAP}},
        f"settings.chunk_overlap_chars is {OVERLAP}, not below settings.chunk_chars of {OVERLAP}",
    ),
    "a wait that is cut off": Refusal(
        {"settings": {"gateway_wait_ms": 500, "broker_timeout_s": 0.5}},
        "settings.gateway_wait_ms is 500, not below settings.broker_timeout_s of 0.5 s",
    ),
    "embeddings from nowhere": Refusal(
        {"settings": {"embedder": "openai"}}, "settings.embedder is openai"
    ),
}

_OF_METRICS = {
    f"{name} of metrics that are off": Refusal(
        {"metrics": {"enabled": False, **shown}}, f"metrics.{name} is true, and metrics.enabled is"
    )
    for name, shown in {
        "annotations": {"annotations": True},
        "podMonitor.enabled": {"podMonitor": {"enabled": True}},
        "prometheusRule.enabled": {"prometheusRule": {"enabled": True}},
        "dashboards.enabled": {"dashboards": {"enabled": True}},
    }.items()
}

REFUSALS: dict[str, Refusal] = {
    **_OF_LANES,
    **_OF_NAMES,
    **_OF_REDIS,
    **_OF_PARTS,
    **_OF_SETTINGS,
    **_OF_METRICS,
}

TAKEN: dict[str, dict[str, Any]] = {
    "a grace of drain and margin": _lane(terminationGracePeriodSeconds=630),
    "a short drain that is allowed": _lane(drainSeconds=10, allowShortDrain=True),
    "a drain as long as a task": _lane(drainSeconds=600),
    "a soft limit below the hard one": _lane(softTimeLimit=599),
    "a lease that outlives a lost answer": _lane(leaseSeconds=TIMEOUT_S + RENEWED_S + 1),
    "a wait within the lease": {"settings": {"broker_timeout_s": LEASE_S - RENEWED_S - 1}},
    "no overlap": {"settings": {"chunk_chars": 50, "chunk_overlap_chars": 0}},
    "a wait within that for Redis": {"settings": {"gateway_wait_ms": TIMEOUT_S * 1_000 - 1}},
    "fewest as many as most": _lane(autoscaling={"minReplicas": MOST}),
    "no fewest": _lane(autoscaling={"minReplicas": 0, "maxReplicas": 1}),
    "a lane that begins with the letters of another": {"queues": {"documents2": {}}},
    "a name of 63 characters": {
        "fullnameOverride": "f" * 40,
        "queues": {"r" * 15: {}, "high-priority": None},
    },
    "a StatefulSet's name of 52 characters": _named(44),
    "a CA for results alone": {
        "redis": {"external": {"caSecret": "ca"}, "results": {"url": "rediss://results:6380/0"}}
    },
    "a user in a URL": _external(url="redis://laneway@redis:6379/0"),
    "a folder in a volume that all pods share": _folder(gateway="/data", lanes="/data/lanes"),
    "data within the pod's memory": _memory("1gb", "1025Mi"),
    "data of a pod without a limit": _memory("4gb", None),
    "eviction as it is": _config(maxmemory_policy="noeviction", appendonly="yes"),
}
"""What is next to a refusal, and taken."""
