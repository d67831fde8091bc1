"""Lanes spread over a Redis Cluster: `redis+cluster://host:port,host:port`.

All keys of a lane have one slot, so a lane lives on one node and its scripts run there. A link
connects to that node alone. When the slot moves, the node says MOVED, which breaks the link's
connections like any other fault, and the next pair goes to the new owner: that claims, leases and
epochs move along with the slot makes it a reconnect and no more.

What a cluster does not have: priority sub-lists, whose slots differ from their lane's, and
broadcasts, so no remote control; results want a Redis of their own.
"""

from typing import Any
from urllib.parse import urlsplit

from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from laneway.tasks.broker.commands import HoldOptions
from laneway.tasks.broker.link import LaneLink
from laneway.tasks.broker.transport import Channel, Transport, new_connection, worker_name
from laneway.tasks.errors import SubmissionError
from laneway.tasks.redis_urls import parse_hosts

SCHEME = "redis+cluster"
DEFAULT_PORT = 6_379
EXAMPLE = "redis+cluster://one:6379,two:6379"

CLUSTER_TRANSPORT = f"{__name__}:ClusterTransport"


def is_cluster(url: str) -> bool:
    """Whether a URL names nodes of a cluster."""
    return urlsplit(url).scheme == SCHEME


def connect_cluster(url: str, **options: Any) -> "RedisCluster":
    """A client of the cluster; `options` are redis-py's. The nodes of the URL tell of the others.

    Raises:
        ValueError: the URL makes no sense.
    """
    parts = urlsplit(url)
    if parts.path.strip("/") not in {"", "0"}:
        raise ValueError("a cluster has no numbered databases: leave out what follows the hosts")
    hosts = parse_hosts(parts, DEFAULT_PORT, "a cluster's node", EXAMPLE)
    nodes = [ClusterNode(*place) for place in hosts.places]  # type: ignore[no-untyped-call]
    named = {"username": hosts.username, "password": hosts.password}
    # A cluster that lost a node serves the lanes of the others.
    given = {"require_full_coverage": False, **named, **options}
    return RedisCluster(startup_nodes=nodes, **given)


def lane_connection(cluster: "RedisCluster", lane: str) -> Any:
    """A connection of one's own to the node that has a lane, by the cluster's present map.

    Raises:
        redis.exceptions.RedisError: no node has it, or none answers.
    """
    try:
        cluster.nodes_manager.initialize()  # the map of a moment ago is why one connects anew
        node = cluster.get_node_from_key(lane)  # type: ignore[no-untyped-call]
        return new_connection(cluster.get_redis_connection(node).connection_pool)
    except RedisClusterException as error:  # which is no RedisError
        raise RedisConnectionError(str(error)) from error


def cluster_link(cluster: "RedisCluster", options: HoldOptions, **given: Any) -> LaneLink:
    """A link to a lane of a cluster; `given` is LaneLink's."""
    if options.priorities:
        raise ValueError("A lane of a cluster has no priorities: HoldOptions(priorities=False).")
    return LaneLink(options, lambda: lane_connection(cluster, options.lane), **given)


class ClusterChannel(Channel):
    """The channel for lanes of a cluster. Transport option `cluster_url`: its nodes."""

    supports_fanout = False
    cluster_url: str | None = None
    from_transport_options = (*Channel.from_transport_options, "cluster_url")
    _cluster: "RedisCluster | None" = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.priority_steps = [0]

    @property
    def cluster(self) -> "RedisCluster":
        """This channel's client, for all nodes."""
        if self._cluster is None:
            if self.cluster_url is None:
                raise ValueError("The transport option cluster_url must name the cluster's nodes.")
            given = {
                "socket_timeout": self.socket_timeout,
                "socket_connect_timeout": self.socket_connect_timeout,
                "socket_keepalive": self.socket_keepalive,
            }
            self._cluster = connect_cluster(self.cluster_url, **given)
        return self._cluster

    def _create_client(self, asynchronous: bool = False) -> Any:
        del asynchronous
        return self.cluster

    def _disconnect_pools(self) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
        super()._disconnect_pools()

    def _own_link(self, queue: str) -> LaneLink:
        options = HoldOptions(lane=queue, worker=worker_name(queue), priorities=False)
        return cluster_link(self.cluster, options, timeout_s=self.socket_timeout or 5.0)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        priority = message.get("properties", {}).get("priority")
        if priority:
            raise SubmissionError(
                f"The message for {queue!r} has priority {priority}, and its lane is on a Redis "
                "Cluster, where a lane has one list. Send it without a priority, or to a lane of "
                "its own."
            )
        super()._put(queue, message, **kwargs)


class ClusterTransport(Transport):
    """The transport for lanes of a cluster."""

    Channel = ClusterChannel
    connection_errors = (*Transport.connection_errors, RedisClusterException)
