"""A cluster as its users have it: kubectl, helm, and programs that run in its pods."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "laneway"
POLL_S = 0.5
READY_S = 180


class Refused(AssertionError):
    """A command ended with an error; the message is all that it said."""


def run(
    *words: str | Path, stdin: str | None = None, timeout_s: float = 300, check: bool = True
) -> str:
    """What a command printed."""
    done = subprocess.run(
        [str(word) for word in words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if check and done.returncode:
        raise Refused(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout if check else done.stdout + done.stderr


def wait_until(what: str, ask: Callable[[], Any], limit_s: float = READY_S) -> Any:
    """The first answer that is true."""
    deadline_s = time.monotonic() + limit_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline_s, f"{what}: not within {limit_s:.0f} s"
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Space:
    """One namespace."""

    name: str

    def kubectl(self, *words: str, **how: Any) -> str:
        """What kubectl printed."""
        return run("kubectl", "--namespace", self.name, *words, **how)

    def get(self, *words: str) -> dict[str, Any]:
        """An object, or a list of them."""
        return dict(json.loads(self.kubectl("get", *words, "--output", "json")))

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, of those with some labels."""
        return list(self.get(kind, *(["--selector", selector] if selector else []))["items"])

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Make or change objects."""
        text = "\n---\n".join(json.dumps(one) for one in objects)
        self.kubectl("apply", "--filename", "-", stdin=text)

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        """Pods that are not on their way out."""
        return [pod for pod in self.items("pods", selector) if not ended(pod)]

    def ready_pods(self, selector: str) -> list[dict[str, Any]]:
        """Pods that serve."""
        return [pod for pod in self.pods(selector) if is_ready(pod)]

    def secret(self, name: str) -> dict[str, str]:
        """A Secret's values."""
        data = self.get("secret", name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def python(self, pod: str, code: str, *arguments: str, **how: Any) -> str:
        """Run Python code in a pod; what it printed."""
        words = ["exec", "--stdin", pod, "--", "python", "-", *arguments]
        return self.kubectl(*words, stdin=code, **how)

    def helm(self, *words: str, **how: Any) -> str:
        """What helm printed."""
        return run("helm", "--namespace", self.name, *words, **how)

    def address(self, service: str) -> str:
        """The cluster IP of a Service, or of the pod behind one that has none."""
        found = str(self.get("service", service)["spec"]["clusterIP"])
        if found != "None":
            return found
        selector = self.get("service", service)["spec"]["selector"]
        labels = ",".join(f"{name}={value}" for name, value in selector.items())
        return str(self.ready_pods(labels)[0]["status"]["podIP"])

    @contextmanager
    def reach(self, service: str, port: int) -> Iterator[str]:
        """HOST:PORT at which a Service can be reached from here."""
        words = [
            "kubectl",
            "--namespace",
            self.name,
            "port-forward",
            f"service/{service}",
            f":{port}",
        ]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout is not None
                yield forward.stdout.readline().split(" ")[2]
            finally:
                forward.terminate()


def ended(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has ended, or was told to."""
    gone = pod["status"].get("phase") in {"Succeeded", "Failed"}
    return gone or "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod serves."""
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def name_of(one: Mapping[str, Any]) -> str:
    """An object's name."""
    return str(one["metadata"]["name"])


def uids(objects: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which objects these are, whatever became of them meanwhile."""
    return {str(one["metadata"]["uid"]) for one in objects}
