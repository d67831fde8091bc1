"""Who may reach whom, and who may do what: asked by connecting, and of the API server."""

import json
from collections.abc import Iterator

import pytest
import yaml

from cluster.kube import Refused, Space, name_of, run
from cluster.release import Release, namespace, stock_pod

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def opens(place):
    try:
        socket.create_connection(tuple(place), timeout=3).close()
    except OSError:
        return False
    return True

places = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(places)) as pool:
    print(json.dumps(dict(zip(places, pool.map(opens, places.values())))))
"""

# Who opens a connection to whom; every pair that is not here is refused. Nobody is asked of itself.
MAY = {
    "worker documents": {"redis", "storage", "dns"},
    "worker high-priority": {"redis", "storage", "mail-sink", "dns"},
    "worker notifications": {"redis", "mail-sink", "dns"},
    "gateway": {"redis", "storage", "dns"},
    "redis": set(),
    "storage": set(),
    "mail-sink": set(),
    "producer": {"redis", "gateway", "dns", "api", "outside"},
    "stranger": {"dns", "api", "outside"},
    "monitor": {"dns", "api", "outside"},
    "monitor elsewhere": {"gateway", "metrics", "dns", "api", "outside"},
    "producer elsewhere": {"dns", "api", "outside"},
    "stranger elsewhere": {"dns", "api"},
}
ITSELF = {
    "worker notifications": "metrics",
    "gateway": "gateway",
    "redis": "redis",
    "storage": "storage",
    "mail-sink": "mail-sink",
    "stranger elsewhere": "outside",
}
BESIDE = ("producer", "stranger", "monitor")


@pytest.fixture(scope="module")
def bare(bare: Release) -> Release:
    """Producers may call the gateway, and monitors of another namespace read metrics; nobody else."""
    apart = {"kubernetes.io/metadata.name": f"{bare.space.name}-elsewhere"}
    producers = {"podSelector": {"matchLabels": {"laneway/producer": "true"}}}
    monitors = {
        "namespaceSelector": {"matchLabels": apart},
        "podSelector": {"matchLabels": {"app": "monitor"}},
    }
    bare.upgrade({"networkPolicy": {"gatewayFrom": [producers], "metricsFrom": [monitors]}})
    return bare


@pytest.fixture(scope="module")
def elsewhere(bare: Release) -> Iterator[Space]:
    """Another namespace, with a stranger, who answers anybody, and a producer by its own word."""
    with namespace(f"{bare.space.name}-elsewhere") as space:
        for place in (bare.space, space):
            place.apply(
                stock_pod("stranger", ["python", "-m", "http.server", "8000"]),
                stock_pod("producer", ["sleep", "3600"], **{"laneway/producer": "true"}),
                stock_pod("monitor", ["sleep", "3600"], app="monitor"),
            )
            pods = [f"pod/{name}" for name in BESIDE]
            place.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=60s")
        yield space


@pytest.fixture(scope="module")
def places(bare: Release, elsewhere: Space) -> dict[str, tuple[str, int]]:
    """Where everybody listens: a pod's own address, or a Service's."""
    (worker,) = bare.pods("worker", "notifications")
    api = Space("default").address("kubernetes")
    return {
        "redis": (bare.space.address("laneway-redis"), 6379),
        "storage": (bare.space.address("laneway-storage"), 7070),
        "mail-sink": (bare.space.address("laneway-mail-sink"), 2525),
        "gateway": (bare.space.address("laneway-gateway"), 80),
        "metrics": (worker["status"]["podIP"], 9464),
        "dns": (Space("kube-system").address("kube-dns"), 53),
        "api": (api, 443),
        "outside": (elsewhere.get("pod", "stranger")["status"]["podIP"], 8000),
    }


def opened(space: Space, pod: str, container: str, places: dict, image: str) -> set[str]:
    """Which places a pod reaches: asked from inside, or by a container put beside."""
    asked = json.dumps(places)
    if container:
        told = space.kubectl("exec", "-i", pod, "--", "python", "-", asked, stdin=CONNECT)
    else:
        code = ["--", "python", "-c", CONNECT, asked]
        how = ["--profile=restricted", "--attach", "--quiet", "--image", image]
        told = space.kubectl("debug", pod, *how, *code)
    return {name for name, is_open in json.loads(told.splitlines()[-1]).items() if is_open}


@pytest.mark.parametrize("who", MAY)
def test_who_reaches_whom(
    bare: Release, elsewhere: Space, places: dict, image: str, who: str
) -> None:
    part, _, queue = who.partition(" ")
    if part in BESIDE:
        space, pod = (elsewhere if queue else bare.space), part
    else:
        space, pod = bare.space, name_of(bare.pods(part, queue)[0])
    inside = "" if part in {"redis", "storage"} else "own"
    others = {name: place for name, place in places.items() if name != ITSELF.get(who)}
    assert opened(space, pod, inside, others, image) == MAY[who]


@pytest.mark.parametrize("account", ["workers", "gateway", "redis", "storage", "mail-sink"])
def test_service_accounts_may_nothing(bare: Release, account: str) -> None:
    user = f"system:serviceaccount:{bare.space.name}:laneway-{account}"
    listed = bare.space.kubectl("auth", "can-i", "--list", "--no-headers", f"--as={user}")
    verbs = {line.split()[0] for line in listed.splitlines() if not line.startswith(" ")}
    own = {
        "selfsubjectreviews.authentication.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
    }
    own |= {"selfsubjectrulesreviews.authorization.k8s.io"}
    own |= {"clustertrustbundles.certificates.k8s.io"}  # which Kubernetes lets every account read
    assert verbs <= own
    for question in ("get secrets", "list pods", "patch deployments", "create pods", "get leases"):
        told = run(
            *("kubectl", "--namespace", bare.space.name, "auth", "can-i", *question.split()),
            f"--as={user}",
            check=False,
        )
        assert told.strip() == "no", question


def test_no_pod_holds_a_token_of_the_api_server(bare: Release) -> None:
    for pod in bare.space.pods("app.kubernetes.io/name=laneway"):
        mounted = [one["mountPath"] for c in pod["spec"]["containers"] for one in c["volumeMounts"]]
        assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounted, name_of(pod)


def test_the_namespace_enforces_restricted(bare: Release) -> None:
    pod = yaml.safe_load(json.dumps(stock_pod("root", ["id"])))
    pod["spec"]["securityContext"] = {"runAsUser": 0}
    with pytest.raises(Refused, match="violates PodSecurity"):
        bare.space.apply(pod)
