"""What holds of every pod: of the chart as it comes, and of each example."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chart.effect import put
from chart.golden import VALUES
from chart.rendering import Object, Rendered, render, texts

pytestmark = pytest.mark.chart

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
KEYS_BY_ENV = {
    # versitygw reads its keys from its environment and its arguments, and from no file.
    "StatefulSet/laneway-storage storage": {"ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"},
}
ASKS_KUBERNETES: set[str] = set()
"""Pods that need a token of Kubernetes' API."""

LANES = [
    (case, lane)
    for case, values in VALUES.items()
    for lane in {"high-priority": {}, "documents": {}, "notifications": {}}
    | values.get("queues", {})
    if (values.get("queues") or {}).get(lane, {}) is not None
]


@pytest.fixture
def rendered(values) -> Rendered:
    return render(values)


def test_there_are_pods_of_each_lane_and_a_gateway(rendered, values) -> None:
    names = {name for name, _ in rendered.pods()}
    given = {name for name, lane in values.get("queues", {}).items() if lane is not None}
    assert {"Deployment/laneway-gateway", "Pod/laneway-test"} < names
    assert {f"Deployment/laneway-worker-{name}" for name in given} < names


def test_no_pod_runs_as_root_or_with_more_than_it_needs(rendered) -> None:
    wanted = {
        "runAsNonRoot": True,
        "runAsUser": 10_001,
        "runAsGroup": 10_001,
        "fsGroup": 10_001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for name, pod in rendered.pods():
        context = pod["spec"]["securityContext"]
        assert {key: context.get(key) for key in wanted} == wanted, name
        shared = {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod["spec"].keys()
        assert not shared, name


def test_no_container_may_gain_rights_or_write_to_its_root(rendered) -> None:
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for name, container in _containers(rendered):
        assert container["securityContext"] == wanted, name


def test_no_pod_holds_a_token_that_it_does_not_need(rendered) -> None:
    accounts = {one["metadata"]["name"]: one for one in rendered.all("ServiceAccount")}
    for name, pod in rendered.pods():
        wanted = name in ASKS_KUBERNETES
        assert pod["spec"]["automountServiceAccountToken"] is wanted, name
        account = accounts[pod["spec"]["serviceAccountName"]]
        assert account["automountServiceAccountToken"] is wanted, name


def test_each_container_has_its_share_of_memory_and_cpu(rendered) -> None:
    for name, container in _containers(rendered):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), name
        assert set(resources["limits"]) == {"memory"}, name


def test_no_folder_grows_without_limit_and_none_is_of_the_node(rendered) -> None:
    sources = {"configMap", "emptyDir", "projected", "secret"}
    for name, pod in rendered.pods():
        for volume in pod["spec"].get("volumes", []):
            assert volume.keys() - {"name"} <= sources, name
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], name


def test_each_mount_has_its_volume_and_each_volume_its_mount(rendered) -> None:
    claims = {
        f"StatefulSet/{one['metadata']['name']}": {
            claim["metadata"]["name"] for claim in one["spec"]["volumeClaimTemplates"]
        }
        for one in rendered.all("StatefulSet")
    }
    for name, pod in rendered.pods():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        mounted = {mount["name"] for one in _of(pod) for mount in one.get("volumeMounts", [])}
        assert mounted == volumes | claims.get(name, set()), name


def test_credentials_are_files(rendered) -> None:
    by_env = {}
    for name, container in _containers(rendered):
        assert "envFrom" not in container, name
        if secret := {one["name"] for one in container.get("env", []) if "valueFrom" in one}:
            by_env[name] = secret
    assert {name: KEYS_BY_ENV.get(name) for name in by_env} == by_env


def test_no_secret_is_anywhere_but_in_a_secret(rendered) -> None:
    secrets = {
        text
        for one in rendered.all("Secret")
        for key, text in texts(one).items()
        if not key.endswith(".yaml")
    }
    elsewhere = json.dumps([one for one in rendered if one["kind"] != "Secret"])
    assert [text for text in secrets if text in elsewhere] == []


def test_secrets_are_mounted_for_their_pod_alone(rendered) -> None:
    for name, pod in rendered.pods():
        for volume in pod["spec"].get("volumes", []):
            source = volume.get("secret") or volume.get("projected")
            assert not source or source["defaultMode"] == 0o440, f"{name} {volume['name']}"


def test_probes_ask_by_http_or_tcp(rendered) -> None:
    for name, pod in rendered.pods():
        if name.startswith("Pod/"):
            continue
        for container in pod["spec"]["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in PROBES:
                (how,) = {"httpGet", "tcpSocket", "exec", "grpc"} & container[probe].keys()
                assert how in {"httpGet", "tcpSocket"}, f"{name} {probe}"
                assert container[probe][how]["port"] in ports, f"{name} {probe}"


def test_a_readiness_probe_gives_up_before_a_liveness_probe(rendered) -> None:
    for name, pod in rendered.pods():
        for container in pod["spec"]["containers"] if "/laneway-test" not in name else []:
            ready, live = (_patience(container[probe]) for probe in PROBES[:0:-1])
            assert ready < live, name


def test_a_worker_has_time_to_drain(rendered) -> None:
    catalogue = rendered.file("laneway-config", "queues.yaml")["queues"]
    for lane, fields in catalogue.items():
        pod = rendered.pod("Deployment", f"laneway-worker-{lane}")
        drain = fields.get("drainSeconds", fields["timeLimit"])
        assert pod["spec"]["terminationGracePeriodSeconds"] >= drain + 30, lane


def test_the_test_begins_and_says_so_when_nobody_gave_it_a_token() -> None:
    values = {"gateway": {"tokens": {"existingSecret": "tokens"}}}
    volumes = render(values).pod("Pod", "laneway-test")["spec"]["volumes"]
    (token,) = [one["secret"] for one in volumes if one["name"] == "token"]
    assert token["secretName"] == "tokens"
    assert token["optional"] is True


def test_each_pod_has_the_annotations_labels_and_secrets_of_all() -> None:
    values = {
        "podAnnotations": {"a/b": "c"},
        "commonLabels": {"team": "a"},
        "imagePullSecrets": ["registry"],
    }
    for name, pod in render(values).pods():
        assert pod["metadata"]["annotations"]["a/b"] == "c", name
        assert pod["metadata"]["labels"]["team"] == "a", name
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}], name


@pytest.mark.parametrize("path", ["gateway", "queues.documents"])
def test_a_value_takes_the_place_of_what_the_chart_gives_by_the_same_name(path) -> None:
    """Server-side apply, by which Helm 4 installs, refuses a name that is there twice."""
    large = {"name": "tmp", "emptyDir": {"sizeLimit": "50Gi"}}
    mine = {"name": "mine", "emptyDir": {"sizeLimit": "1Gi"}}
    mount = {"name": "mine", "mountPath": "/tmp"}
    values = put({}, f"{path}.extraVolumes", [large, mine])
    values = put(values, f"{path}.extraEnv", [{"name": "HOME", "value": "/home"}])
    values = put(values, f"{path}.extraVolumeMounts", [mount])
    name = "laneway-gateway" if path == "gateway" else "laneway-worker-documents"
    spec = render(values).pod("Deployment", name)["spec"]
    (container,) = spec["containers"]
    assert [one for one in spec["volumes"] if one["name"] in {"tmp", "mine"}] == [large, mine]
    assert {"name": "HOME", "value": "/home"} in container["env"]
    assert [one for one in container["volumeMounts"] if one["mountPath"] == "/tmp"] == [mount]


def test_null_takes_away_what_the_chart_or_a_default_gives_a_lane() -> None:
    documents = {
        "resources": {"limits": {"memory": None}},
        "strategy": {"rollingUpdate": {"maxSurge": None}},
        "podTemplate": {"spec": {"topologySpreadConstraints": None}},
    }
    spec = render({"queues": {"documents": documents}}).one(
        "Deployment", "laneway-worker-documents"
    )["spec"]
    (worker,) = spec["template"]["spec"]["containers"]
    assert worker["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {}}
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0}
    assert "topologySpreadConstraints" not in spec["template"]["spec"]


@pytest.mark.parametrize(("case", "lane"), LANES)
def test_a_lane_of_another_concurrency_leaves_all_other_pods_alone(case, lane) -> None:
    values = VALUES[case]
    before = _texts(render(values))
    after = _texts(render(put(values, f"queues.{lane}.concurrency", 61)))
    changed = {name for name, text in before.items() if text != after[name]}
    assert before.keys() == after.keys()
    assert changed == {f"Deployment/laneway-worker-{lane}"}


def _containers(rendered: Rendered) -> Iterator[tuple[str, Object]]:
    """Each container, also of those that run first, with the names of its pod's maker and its own."""
    for name, pod in rendered.pods():
        for container in _of(pod):
            yield f"{name} {container['name']}", container


def _of(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _patience(probe: dict[str, Any]) -> int:
    """Seconds until a probe that fails has its effect."""
    return int(probe["periodSeconds"] * probe.get("failureThreshold", 3))


def _texts(rendered: Rendered) -> dict[str, str]:
    return {name: json.dumps(pod) for name, pod in rendered.pods()}
