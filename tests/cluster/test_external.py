"""A Redis of one's own: TLS, a user a part, and passwords that change under running workers."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from cluster.images import REDIS_TLS
from cluster.kube import ROOT, Space, name_of, run, wait_until
from cluster.objects import secret
from cluster.release import CONTAINED, RESTRICTED, SECURITY, Release, namespace
from laneway.services.local.gateway_client import GatewayClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROLES = ("producer", "gateway", "worker", "ops", "admin", "observer")
USERS = ["producer", "gateway", "worker-documents", "worker-high-priority"]
USERS += ["worker-notifications", "ops", "admin", "observer"]
WHEN = ("before", "while", "after")
MAILS = 25  # thrice; the sink keeps the last hundred
COUNT = """
import collections, email, json, pathlib
mails = [email.message_from_bytes(one.read_bytes()) for one in pathlib.Path("/mails").glob("*.eml")]
print(json.dumps(collections.Counter(mail["Subject"] for mail in mails)))
"""
SERVER = ["redis-server", "--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no"]
SERVER += [
    *("--tls-cert-file", "/tls/tls.crt", "--tls-key-file", "/tls/tls.key"),
    *("--tls-ca-cert-file", "/tls/ca.crt", "--aclfile", "/acl/users.acl"),
    *(
        "--protected-mode",
        "no",
        "--appendonly",
        "yes",
        "--maxmemory-policy",
        "noeviction",
        "--dir",
        "/data",
    ),
]


@dataclass
class Server:
    """The Redis outside of the release, and the passwords that it knows."""

    space: Space
    passwords: dict[str, str]

    def ask(self, *words: str) -> str:
        """What its administrator is answered."""
        login = ["--tls", "--cacert", "/tls/ca.crt", "--user", "admin"]
        secret = ["env", f"REDISCLI_AUTH={self.passwords['admin']}"]
        return self.space.kubectl("exec", "redis", "--", *secret, "redis-cli", *login, *words)


@pytest.fixture(scope="module")
def server(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("redis")
    passwords = {user: token_hex(20) for user in USERS}
    for user, password in passwords.items():
        (folder / "passwords").mkdir(exist_ok=True)
        (folder / "passwords" / user).write_text(password)
    users = ["--passwords", folder / "passwords", "--out", folder / "users.acl"]
    roles = [word for role in ROLES for word in ("--role", role)]
    run(ROOT / ".venv/bin/laneway", "acl", "--redis", "7.0", *roles, *users)
    make_certificates(folder)
    with namespace("external", RESTRICTED) as space:
        space.apply(*server_objects(folder), secret("redis-users", passwords))
        space.kubectl("wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")
        yield Server(space, passwords)


def make_certificates(folder: Path) -> None:
    """A CA, and a certificate by it for a server `redis`."""
    own = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    ca = [folder / "ca.crt", "-keyout", folder / "ca.key", "-subj", "/CN=tests"]
    run("openssl", "req", "-x509", *own, "-out", *ca)
    signed = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"]
    name = ["-subj", "/CN=redis", "-addext", "subjectAltName=DNS:redis"]
    key = ["-out", folder / "tls.crt", "-keyout", folder / "tls.key"]
    run("openssl", "req", "-x509", *own, *name, *signed, *key)


def server_objects(folder: Path) -> list[dict[str, Any]]:
    """A Redis that speaks TLS alone, and knows its users from a file."""
    files = {name: (folder / name).read_text() for name in ("ca.crt", "tls.crt", "tls.key")}
    mounts = [("tls", "/tls"), ("acl", "/acl"), ("data", "/data")]
    container = {
        "name": "redis",
        "image": REDIS_TLS,
        "imagePullPolicy": "IfNotPresent",
        "command": SERVER,
        "securityContext": CONTAINED,
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts],
    }
    volumes = [
        {"name": "tls", "secret": {"secretName": "redis-tls"}},
        {"name": "acl", "secret": {"secretName": "redis-acl"}},
        {"name": "data", "emptyDir": {}},
    ]
    spec = {
        "containers": [container],
        "volumes": volumes,
        "securityContext": {**SECURITY, "fsGroup": 10001},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis"}}
    return [
        secret("redis-tls", files),
        secret("redis-ca", {"ca.crt": files["ca.crt"]}),
        secret("redis-acl", {"users.acl": (folder / "users.acl").read_text()}),
        {**pod, "metadata": {"name": "redis", "labels": {"app": "redis"}}},
        {**service, "spec": {"selector": {"app": "redis"}, "ports": [{"port": 6379}]}},
    ]


@pytest.fixture(scope="module")
def release(server: Server, image: str) -> Release:
    external = {
        "url": "rediss://redis:6379/0",
        "users": "perRole",
        "existingSecret": "redis-users",
        "caSecret": "redis-ca",
    }
    release = Release(server.space, image, values={"redis": {"external": external}})
    release.install()
    return release


def test_everything_works_over_tls_with_a_user_a_part(release: Release, server: Server) -> None:
    assert "Succeeded" in release.test()
    assert "laneway-redis-0" not in map(name_of, server.space.pods())
    users = {line.split(" user=")[1].split(" ")[0] for line in clients(server)}
    assert users >= {"gateway", *(user for user in USERS if user.startswith("worker-"))}
    assert "default" not in users
    assert server.ask("ACL", "LOG") in {"", "\n"}


def clients(server: Server) -> list[str]:
    return [line for line in server.ask("CLIENT", "LIST").splitlines() if " user=" in line]


def test_a_rotated_password_costs_no_task(release: Release, server: Server) -> None:
    changing = [user for user in USERS if user.startswith(("worker-", "gateway"))]
    new = {user: token_hex(20) for user in changing}
    restarts = started(server.space)
    with release.gateway() as gateway:
        sent = submit(gateway, "before")
        for user in changing:
            server.ask("ACL", "SETUSER", user, f">{new[user]}")
        server.space.apply(secret("redis-users", {**server.passwords, **new}))
        wait_until("every pod has the new files", lambda: all_see(release, new), 240)
        sent += submit(gateway, "while")
        for user in changing:
            server.ask("ACL", "SETUSER", user, f"<{server.passwords[user]}")
            server.ask("CLIENT", "KILL", "USER", user)
        sent += submit(gateway, "after")
        for task in sent:
            release.succeeded(gateway, task, 120)
    (sink,) = release.pods("mail-sink")
    counts = json.loads(server.space.python(name_of(sink), COUNT))
    once = {f"{when} {number}": 1 for when in WHEN for number in range(MAILS)}
    assert {subject: n for subject, n in counts.items() if subject in once} == once
    assert started(server.space) == restarts
    assert {line.split(" user=")[1].split(" ")[0] for line in clients(server)} >= set(changing)


def submit(gateway: GatewayClient, when: str) -> list[str]:
    """Mails, each with a subject of its own; their task ids."""
    mail = {"to": "reader@example.org", "body": "Read me."}
    ids = []
    for number in range(MAILS):
        kwargs = {**mail, "subject": f"{when} {number}"}
        ids.append(gateway.submit("notifications", "notifications.send_email", kwargs))
        time.sleep(0.02)
    return ids


def all_see(release: Release, new: dict[str, str]) -> bool:
    """Whether each pod's file holds the new password of its user."""
    code = "print(open('/etc/laneway/secrets/broker_password').read())"
    users = {name_of(pod): "gateway" for pod in release.pods("gateway")} | {
        name_of(pod): f"worker-{pod['metadata']['labels']['laneway/queue']}"
        for pod in release.pods("worker")
    }
    return all(release.space.python(pod, code).strip() == new[user] for pod, user in users.items())


def started(space: Space) -> dict[str, int]:
    """How often each pod's container was started anew."""
    return {
        name_of(pod): pod["status"]["containerStatuses"][0]["restartCount"] for pod in space.pods()
    }
