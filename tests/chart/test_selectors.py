"""What selects pods selects those that it means: of the chart as it comes, and of each example."""

from collections.abc import Iterator
from typing import Any

import pytest

from chart.rendering import Object, Rendered, render
from laneway.services.gateway.routes import service

pytestmark = pytest.mark.chart

LABEL = "app.kubernetes.io/"
OF_ALL = {f"{LABEL}{name}" for name in ("name", "instance", "version", "managed-by", "part-of")}
OF_PODS = {f"{LABEL}{name}" for name in ("name", "instance", "component")}
WORKLOADS = ("Deployment", "StatefulSet")
DENY = "laneway-deny"

Labels = dict[str, str]


@pytest.fixture
def rendered(values) -> Rendered:
    return render(values)


def test_each_object_and_each_pod_is_labelled(rendered) -> None:
    for one in rendered:
        labels = one["metadata"]["labels"]
        assert labels.keys() >= {*OF_ALL, "helm.sh/chart"}, one["metadata"]["name"]
        assert labels[f"{LABEL}instance"] == "laneway"
        assert f"{LABEL}component" in labels or one["metadata"]["name"] == DENY
    for name, pod in rendered.pods():
        assert pod["metadata"]["labels"].keys() >= OF_PODS, name


def test_a_pod_has_no_label_that_changes_with_each_version(rendered) -> None:
    versions = {f"{LABEL}version", "helm.sh/chart"}
    for name, pod in rendered.pods():
        assert name.startswith("Pod/") or not versions & pod["metadata"]["labels"].keys(), name


def test_each_workload_selects_its_own_pods_alone(rendered) -> None:
    for one in rendered:
        if one["kind"] in WORKLOADS:
            selected = _selected(rendered, one["spec"]["selector"])
            assert selected == [f"{one['kind']}/{one['metadata']['name']}"]


def test_two_releases_do_not_select_each_others_pods(values) -> None:
    other = render(values, release="other")
    labels = [pod["metadata"]["labels"] for _, pod in render(values).pods()]
    for one in other:
        for selector in _selectors(one):
            assert not any(_matches(selector, pod) for pod in labels), one["metadata"]["name"]


def test_a_budget_guards_one_component_of_more_than_one_pod(rendered) -> None:
    guarded = []
    for one in rendered.all("PodDisruptionBudget"):
        (name,) = _selected(rendered, one["spec"]["selector"])
        guarded.append(name)
        # Else no node drains on which all pods of a lane are broken.
        assert one["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", name
    several = [
        f"Deployment/{one['metadata']['name']}"
        for one in rendered.all("Deployment")
        if one["spec"]["replicas"] > 1
    ]
    assert sorted(guarded) == sorted(several)


def test_a_service_leads_to_pods_that_listen_there(rendered) -> None:
    assert rendered.all("Service")
    for one in rendered.all("Service"):
        spec = one["spec"]
        (name,) = _selected(rendered, {"matchLabels": spec["selector"]})
        named = _ports(rendered, name)
        assert {port["targetPort"] for port in spec["ports"]} <= named, one["metadata"]["name"]


def test_an_ingress_leads_to_a_port_of_a_service(rendered) -> None:
    for one in rendered.all("Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = rendered.one("Service", backend["name"])
                ports = {port["name"] for port in service["spec"]["ports"]}
                assert backend["port"]["name"] in ports


def test_an_ingress_leads_to_all_of_the_gateway_but_its_metrics() -> None:
    """Metrics ask for no token, and an Ingress may lead in from everywhere."""
    values = {"gateway": {"ingress": {"enabled": True, "hosts": ["a.example.org"]}}}
    (rule,) = render(values).one("Ingress", "laneway-gateway")["spec"]["rules"]
    ways = [(one["path"], one["pathType"]) for one in rule["http"]["paths"]]
    served = service.routes().routes
    shut = [one.path for one in served if not any(_leads(*way, one.path) for way in ways)]
    assert shut == ["/metrics"]
    assert all(any(_leads(*way, path) for way in ways) for path in ("/v1/tasks", "/openapi.json"))


def test_a_monitor_finds_pods_that_have_the_port(rendered) -> None:
    for one in rendered.all("PodMonitor"):
        names = _selected(rendered, one["spec"]["selector"])
        assert names, one["metadata"]["name"]
        for endpoint in one["spec"]["podMetricsEndpoints"]:
            assert all(endpoint["port"] in _ports(rendered, name) for name in names)


def test_a_policy_is_of_pods_that_exist_and_of_ports_that_they_have(rendered) -> None:
    assert rendered.all("NetworkPolicy")
    for one in rendered.all("NetworkPolicy"):
        spec = one["spec"]
        names = _selected(rendered, spec["podSelector"])
        assert names, one["metadata"]["name"]
        for rule in spec.get("ingress", []):
            for port in rule["ports"]:
                assert all(port["port"] in _ports(rendered, name) for name in names)


def test_each_pod_has_one_policy_besides_the_one_that_denies(rendered) -> None:
    policies = [one for one in rendered.all("NetworkPolicy") if one["metadata"]["name"] != DENY]
    for name, pod in rendered.pods():
        labels = pod["metadata"]["labels"]
        own = [one for one in policies if _matches(one["spec"]["podSelector"], labels)]
        assert len(own) == 1, name


def test_whoever_a_policy_names_in_this_release_is_there_and_let_in(rendered) -> None:
    """One side's egress is the other side's ingress, on a port that it has."""
    pairs = 0
    for one in rendered.all("NetworkPolicy"):
        for rule in one["spec"].get("egress", []):
            for peer in _own(rule.get("to", [])):
                (there,) = _selected(rendered, peer)
                (port,) = rule["ports"]
                for name in _selected(rendered, one["spec"]["podSelector"]):
                    assert _let_in(rendered, name, there, port["port"]), f"{name} to {there}"
                    pairs += 1
        for rule in one["spec"].get("ingress", []):
            for peer in _own(rule["from"]):
                assert _selected(rendered, peer), f"{one['metadata']['name']}: {peer}"
    assert pairs


def test_a_gateway_lets_in_who_may_call_it_and_who_may_read_its_metrics() -> None:
    ours, monitoring = ({"namespaceSelector": {"matchLabels": {"a": name}}} for name in "bc")

    def let_in(**policy: Any) -> list[Any]:
        gateway = render({"networkPolicy": policy}).one("NetworkPolicy", "laneway-gateway")
        (rule,) = gateway["spec"]["ingress"]
        return [peer for peer in rule["from"] if "podSelector" not in peer]

    assert let_in(gatewayFrom=[ours]) == [ours]
    assert let_in(gatewayFrom=[ours], metricsFrom=[monitoring]) == [ours, monitoring]
    assert {"namespaceSelector": {}} in let_in(metricsFrom=[monitoring])


def test_common_labels_may_be_those_of_charts_and_those_by_which_a_monitor_is_found() -> None:
    on = {"enabled": True, "labels": {"release": "b"}}
    values = {
        "commonLabels": {f"{LABEL}part-of": "ours", "release": "a"},
        "metrics": {"podMonitor": on, "prometheusRule": on, "dashboards": on},
    }
    rendered = render(values)
    assert {one["metadata"]["labels"][f"{LABEL}part-of"] for one in rendered} == {"ours"}
    release = {one["kind"]: one["metadata"]["labels"]["release"] for one in rendered}
    assert release["PodMonitor"] == release["PrometheusRule"] == "b"
    assert release["Deployment"] == "a"


def _leads(way: str, kind: str, path: str) -> bool:
    """Whether a path of an Ingress is the way to this one."""
    return path == way or (kind == "Prefix" and path.startswith(f"{way.rstrip('/')}/"))


def _selectors(one: Object) -> Iterator[Any]:
    spec = one.get("spec", {})
    if one["kind"] == "Service":
        yield {"matchLabels": spec["selector"]}
    elif one["kind"] == "NetworkPolicy":
        yield spec["podSelector"]
    elif one["kind"] in {*WORKLOADS, "PodDisruptionBudget", "PodMonitor"}:
        yield spec["selector"]


def _matches(selector: dict[str, Any], labels: Labels) -> bool:
    assert selector.keys() == {"matchLabels"}, selector
    return selector["matchLabels"].items() <= labels.items()


def _selected(rendered: Rendered, selector: dict[str, Any]) -> list[str]:
    """Whose pods are selected, as `Kind/name`."""
    return [name for name, pod in rendered.pods() if _matches(selector, pod["metadata"]["labels"])]


def _own(peers: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The peers that are pods of this release."""
    for peer in peers:
        labels = peer.get("podSelector", {}).get("matchLabels", {})
        if "namespaceSelector" not in peer and f"{LABEL}instance" in labels:
            yield peer["podSelector"]


def _ports(rendered: Rendered, name: str) -> set[str]:
    """Names of the ports on which the pods of an object listen."""
    return {port["name"] for port in _port_list(rendered, name)}


def _port_list(rendered: Rendered, name: str) -> list[dict[str, Any]]:
    containers = dict(rendered.pods())[name]["spec"]["containers"]
    return [port for container in containers for port in container.get("ports", [])]


def _let_in(rendered: Rendered, caller: str, there: str, port: str | int) -> bool:
    """Whether policies let one pod's connection into another."""
    pods = dict(rendered.pods())
    listens = [one for one in _port_list(rendered, there) if port in one.values()]
    labels = pods[caller]["metadata"]["labels"]
    for one in rendered.all("NetworkPolicy"):
        if not _matches(one["spec"]["podSelector"], pods[there]["metadata"]["labels"]):
            continue
        for rule in one["spec"].get("ingress", []):
            opened = any(rule["ports"][0]["port"] == one_port["name"] for one_port in listens)
            everybody = {"namespaceSelector": {}} in rule["from"]
            named = any(_matches(peer, labels) for peer in _own(rule["from"]))
            if opened and (everybody or named):
                return True
    return False
