"""What kube-score finds in a render, and what of it is as it should be.

An entry of IGNORED says why the advice is not followed, and of which objects. A check that finds nothing
anywhere any more must leave the list.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chart.programs import OLDEST, program

OPTIONAL = ("container-seccomp-profile", "container-ports-check")
"""Checks that kube-score makes when asked for."""


@dataclass(frozen=True)
class Ignored:
    """A check that is not followed for some objects."""

    objects: str
    """`Kind/name`, with wildcards."""
    reason: str


IGNORED: dict[str, tuple[Ignored, ...]] = {
    "container-image-pull-policy": (
        Ignored(
            "*",
            "Always makes each start wait for the registry, also that of a pod which is to take over "
            "while the registry is away. Tags are versions and a digest may be given; whose nodes "
            "are shared with strangers sets image.pullPolicy.",
        ),
    ),
    "container-resources": (
        Ignored(
            "*",
            "CPU has a request and no limit: a limit throttles a pod while its node idles, and with "
            "it the renewal of its lease. Memory has both, which test_pods.py checks.",
        ),
    ),
    "container-ephemeral-storage-request-and-limit": (
        Ignored(
            "*",
            "All roots are read-only. What is written lies in emptyDirs, each with a sizeLimit.",
        ),
    ),
    "pod-probes-identical": (
        Ignored(
            "StatefulSet/*-redis",
            "A TCP connection is what Redis can be asked for without a password in the probe. "
            "Liveness waits for six failures, readiness for three.",
        ),
        Ignored("StatefulSet/*-storage", "versitygw answers one path. Liveness is more patient."),
        Ignored("Deployment/*-mail-sink", "SMTP has no other question. Liveness is more patient."),
    ),
    "deployment-has-host-podantiaffinity": (
        Ignored(
            "Deployment/*",
            "Pods are spread over nodes by topologySpreadConstraints, which scale where "
            "anti-affinity leaves the pod that comes after one on each node pending.",
        ),
    ),
    "deployment-replicas": (
        Ignored("Deployment/*-mail-sink", "It is for trial, and keeps its mails for itself."),
        Ignored("Deployment/*-gateway", "Two by default; small.yaml asks for one."),
    ),
    "deployment-strategy": (
        Ignored(
            "Deployment/*-mail-sink",
            "Two sinks at once would each have half of the mails.",
        ),
    ),
    "statefulset-has-servicename": (
        Ignored(
            "StatefulSet/*-storage",
            "Nobody asks for the pod by its own name; clients keep the one address of the Service "
            "over restarts.",
        ),
    ),
}


@dataclass(frozen=True)
class Finding:
    """A check that an object does not pass."""

    check: str
    target: str
    what: str

    @property
    def ignored(self) -> bool:
        """Whether it is as it should be."""
        return any(fnmatchcase(self.target, one.objects) for one in IGNORED.get(self.check, ()))

    def __str__(self) -> str:
        return f"{self.check}: {self.target}: {self.what}"


def findings(manifests: str) -> Iterator[Finding]:
    """All that kube-score advises against."""
    command = [program("kube-score"), "score", "--output-format", "json"]
    command += ["--kubernetes-version", f"v{OLDEST.rpartition('.')[0]}"]
    for name in OPTIONAL:
        command += ["--enable-optional-test", name]
    done = subprocess.run(
        [*command, "-"], input=manifests, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("["), done.stdout + done.stderr
    for one in json.loads(done.stdout):
        target = f"{one['type_meta']['kind']}/{one['object_meta']['name']}"
        for check in one["checks"]:
            if check["grade"] < 10 and not check["skipped"]:
                comments = check["comments"] or [{"path": "", "summary": check["check"]["name"]}]
                for comment in comments:
                    what = f"{comment['path']} {comment['summary']}".strip()
                    yield Finding(check["check"]["id"], target, what)
