"""What values change in a running release, and what they leave alone."""

import pytest

from cluster.kube import name_of, uids, wait_until
from cluster.release import Release, catalogue_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MAIL = {"to": "reader@example.org", "subject": "Hello", "body": "Read me."}


def of_lanes(release: Release) -> dict[str, set[str]]:
    lanes = catalogue_of(release.space, release.name)["queues"]
    return {lane: uids(release.pods("worker", lane)) for lane in lanes}


def gone(release: Release) -> None:
    """Until pods that were replaced have ended."""

    def leaving() -> bool:
        pods = release.space.items("pods", "app.kubernetes.io/component=worker")
        return not any("deletionTimestamp" in pod["metadata"] for pod in pods)

    wait_until("the old workers have ended", leaving, 120)


def test_a_fourth_lane_comes_by_values_alone(bare: Release) -> None:
    before = of_lanes(bare)
    bare.upgrade({"queues": {"reports": {"tasks": ["notifications.*"], "concurrency": 1}}})
    after = of_lanes(bare)
    assert len(after.pop("reports")) == 1
    gone(bare)
    with bare.gateway() as gateway:
        task = gateway.submit("reports", "notifications.send_email", MAIL)
        bare.succeeded(gateway, task)
        lanes = {lane["queue"] for lane in gateway.call("GET", "/v1/queues")["queues"]}
    assert lanes == {*before, "reports"}


def test_a_lanes_concurrency_is_changed_without_touching_others(bare: Release) -> None:
    gone(bare)
    lanes, gateways = of_lanes(bare), uids(bare.pods("gateway"))
    others = uids(bare.pods("redis")) | uids(bare.pods("storage")) | uids(bare.pods("mail-sink"))
    bare.upgrade({"queues": {"notifications": {"concurrency": 7}}})
    after = of_lanes(bare)
    assert after.pop("notifications").isdisjoint(lanes.pop("notifications"))
    assert after == lanes
    assert uids(bare.pods("gateway")) == gateways
    assert others == uids(bare.pods("redis")) | uids(bare.pods("storage")) | uids(
        bare.pods("mail-sink")
    )
    (pod,) = bare.pods("worker", "notifications")
    log = bare.space.kubectl("logs", name_of(pod))
    assert '"concurrency": 7' in log


def test_a_removed_lane_leaves_nothing_behind(bare: Release) -> None:
    bare.upgrade({"queues": {"reports": None}})
    for kind in ("deployments", "networkpolicies", "poddisruptionbudgets"):
        assert "laneway-worker-reports" not in map(name_of, bare.space.items(kind))
    assert "worker-reports" not in bare.space.secret("laneway-redis-users")
    assert "reports" not in catalogue_of(bare.space, bare.name)["queues"]


def test_passwords_stay_the_same_over_upgrades(bare: Release) -> None:
    secrets = ("laneway-redis-users", "laneway-storage-keys", "laneway-gateway-tokens")
    before = [bare.space.secret(name) for name in secrets]
    bare.upgrade({"podAnnotations": {"example.org/owner": "us"}})
    assert [bare.space.secret(name) for name in secrets] == before
