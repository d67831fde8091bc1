"""A bare cluster, `helm install`, and everything that a user would try first."""

import json

import pytest

from cluster.kube import Refused, name_of, run
from cluster.release import READY_S, Release, stock_pod
from laneway.services.local.gateway_client import GatewayClient
from laneway.services.local.samples import SAMPLES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PRODUCER = """
import json, sys
from celery import Celery

url, *queues = sys.argv[1:]
app = Celery(broker=url, backend=url)
mail = {"to": "you@example.org", "subject": "Hello", "body": "From Celery."}
sent = [app.send_task("notifications.send_email", kwargs=mail, queue=queue) for queue in queues]
print(json.dumps([one.id for one in sent if one.get(timeout=60)]))
"""
MAILS = """
import pathlib
for mail in pathlib.Path("/mails").glob("*.eml"):
    print(mail.read_text())
"""
BROKEN = {
    "no worker of documents": "deployment/laneway-worker-documents",
    "no storage": "statefulset/laneway-storage",
    "no mail server": "deployment/laneway-mail-sink",
}


def mails(release: Release) -> str:
    (sink,) = release.pods("mail-sink")
    return release.space.python(name_of(sink), MAILS)


def test_all_pods_are_ready_within_a_minute(bare: Release) -> None:
    assert READY_S <= 60  # what the installation waited for at most
    assert len(bare.pods("worker")) == 4
    assert len(bare.pods("gateway")) == 2


def test_pods_of_a_part_are_spread_over_the_nodes(bare: Release) -> None:
    nodes = json.loads(run("kubectl", "get", "nodes", "--output", "json"))["items"]
    for pods in (bare.pods("worker", "documents"), bare.pods("gateway")):
        assert len({pod["spec"]["nodeName"] for pod in pods}) == min(2, len(nodes))


def test_python_itself_is_process_1_and_hears_the_signals(bare: Release) -> None:
    code = "import os; print(os.readlink('/proc/1/exe'), open('/proc/1/cmdline').read())"
    for part, command in {"worker": "worker", "gateway": "gateway"}.items():
        told = bare.space.python(name_of(bare.pods(part)[0]), code)
        assert "python" in told.split()[0].rpartition("/")[2]
        assert command in told.split("\0")


def test_documents_are_found_that_two_pods_wrote_at_once(bare: Release) -> None:
    contents = [(sample, content(sample.filename)) for sample in SAMPLES]
    with bare.gateway() as gateway:
        tasks = [
            (sample, gateway.upload(f"{number}-{sample.filename}", data, **options(number)))
            for number in range(6)
            for sample, data in contents
        ]
        for _, task in tasks:
            bare.succeeded(gateway, task)
        for sample, _ in tasks[: len(SAMPLES)]:
            hits = gateway.search(sample.sentence, collection="pods", limit=12)
            found = [hit for hit in hits if sample.sentence in " ".join(hit["text"].split())]
            assert len(found) == 6, sample.filename
    workers = {pod: ran(bare, pod) for pod in map(name_of, bare.pods("worker", "documents"))}
    assert len(workers) == 2
    assert all(workers.values()), workers


def content(filename: str) -> bytes:
    from importlib.resources import files

    return files("laneway.services.local.samples").joinpath(filename).read_bytes()


def options(number: int) -> dict[str, str]:
    return {"user_id": f"user{number}", "process": "true", "collection": "pods"}


def ran(release: Release, pod: str) -> int:
    """How many documents a pod has processed, by its own log."""
    log = release.space.kubectl("logs", pod)
    return sum("documents.process" in line and "success" in line for line in log.splitlines())


def test_a_mail_reaches_the_server_in_the_cluster(bare: Release) -> None:
    mail = {"to": "reader@example.org", "subject": "Sent over HTTP", "body": "Read me."}
    with bare.gateway() as gateway:
        task = gateway.submit("notifications", "notifications.send_email", mail)
        bare.succeeded(gateway, task)
    kept = mails(bare)
    assert "Sent over HTTP" in kept
    assert task in kept


def test_a_pod_with_stock_celery_alone_routes_by_queue_name(bare: Release) -> None:
    bare.space.apply(stock_pod("producer", ["sleep", "600"], **{"laneway/producer": "true"}))
    bare.space.kubectl("wait", "--for=condition=Ready", "pod/producer", "--timeout=60s")
    password = bare.space.secret("laneway-redis-users")["producer"]
    url = f"redis://producer:{password}@laneway-redis:6379/0"
    lanes = ("notifications", "high-priority")
    sent = json.loads(bare.space.python("producer", PRODUCER, url, *lanes))
    assert len(sent) == 2
    kept = mails(bare)
    assert all(task in kept for task in sent)
    gone = bare.space.kubectl("exec", "producer", "--", "pip", "list")
    assert "laneway" not in gone


def test_helm_test_passes(bare: Release) -> None:
    told = bare.test()
    assert "Phase:          Succeeded" in told
    assert "by stock Celery" in told


@pytest.mark.parametrize("what", BROKEN)
def test_helm_test_fails_when_something_is_broken(bare: Release, what: str) -> None:
    bare.upgrade({"tests": {"waitSeconds": 10}})
    part = BROKEN[what]
    pods = bare.space.get(part)["spec"]["replicas"]
    bare.scale(part, 0)
    try:
        with pytest.raises(Refused, match=r"not ended|had no answer|refused|NOT FOUND"):
            bare.test()
    finally:
        bare.scale(part, pods)
        bare.upgrade({"tests": {"waitSeconds": 120}})


def test_uninstall_leaves_the_volumes_and_says_so(bare: Release) -> None:
    told = bare.space.helm("get", "notes", "laneway")
    assert "keeps the volumes" in told
    bare.space.kubectl("delete", "pod", "producer", "--ignore-not-found", "--grace-period=1")
    bare.space.helm("uninstall", "laneway", "--wait", "--timeout", "180s", timeout_s=240)
    kinds = bare.space.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name")
    left = {
        (kind.partition(".")[0], name_of(one))
        for kind in kinds.split()
        if not kind.startswith(("events", "pods", "endpoint", "metrics"))
        for one in bare.space.items(kind)
    }
    assert left == {
        ("configmaps", "kube-root-ca.crt"),
        ("serviceaccounts", "default"),
        ("persistentvolumeclaims", "data-laneway-redis-0"),
        ("persistentvolumeclaims", "data-laneway-storage-0"),
    }


def test_a_release_comes_back_to_what_it_kept(bare: Release) -> None:
    bare.install()
    with bare.gateway() as gateway:
        assert found_again(gateway)


def found_again(gateway: GatewayClient) -> bool:
    sentence = SAMPLES[0].sentence
    hits = gateway.search(sentence, collection="pods", limit=12)
    return any(sentence in " ".join(hit["text"].split()) for hit in hits)
