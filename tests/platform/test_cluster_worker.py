"""`celery worker` whose lanes lie on a Redis Cluster, as docs/redis.md shows it."""

from collections.abc import Iterator

import pytest
from celery import Celery, chain, group

from broker.cluster_harness import Cluster, running_cluster
from celery_user import GET_S
from celery_worker import CeleryWorker, client_app, ready
from redis_server import RedisServer
from task_modules import plain_app

pytestmark = [pytest.mark.platform, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def lanes(cluster: Cluster) -> list[str]:
    """One on each node."""
    return [cluster.lane_of(at) for at in range(3)]


@pytest.fixture(scope="module")
def app(cluster: Cluster, module_redis: RedisServer) -> Iterator[Celery]:
    made = plain_app.create(
        _node(cluster),
        plain_app.CLUSTER_TRANSPORT,
        cluster_url=cluster.url,
        result_url=module_redis.url,
    )
    with client_app(made):
        yield made


@pytest.fixture(scope="module", autouse=True)
def worker(
    cluster: Cluster,
    lanes: list[str],
    module_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    environment = {
        "PLAIN_BROKER_URL": _node(cluster),
        "PLAIN_TRANSPORT": plain_app.CLUSTER_TRANSPORT,
        "PLAIN_CLUSTER_URL": cluster.url,
        "PLAIN_RESULT_URL": module_redis.url,
    }
    folder = tmp_path_factory.mktemp("worker")
    made = CeleryWorker("plain_app", folder, ",".join(lanes), environment, "-c", "2")
    with ready(made):
        yield
        assert made.stop() == 0, made.log()


def _node(cluster: Cluster) -> str:
    return f"redis://127.0.0.1:{cluster.nodes[0].port}/0"


def test_tasks_run_on_the_lanes_of_every_node(app, lanes) -> None:
    add = app.tasks["user.add"]
    sent = [add.apply_async((n, 1), queue=lanes[n % 3]) for n in range(12)]
    assert [result.get(timeout=GET_S) for result in sent] == list(range(1, 13))


def test_a_chain_and_a_group_cross_the_nodes(app, lanes) -> None:
    add = app.tasks["user.add"]
    chained = chain(
        add.s(1, 1).set(queue=lanes[0]), add.s(1).set(queue=lanes[1]), add.s(1).set(queue=lanes[2])
    )
    assert chained.apply_async().get(timeout=GET_S) == 4
    grouped = group(add.s(n, 1).set(queue=lanes[n]) for n in range(3))
    assert grouped.apply_async().get(timeout=GET_S) == [1, 2, 3]


def test_a_delayed_task_waits_on_its_node(app, lanes) -> None:
    result = app.tasks["user.add"].apply_async((1, 2), queue=lanes[1], countdown=1)
    assert result.get(timeout=GET_S) == 3
