"""The image as a pod has it: what is in it, what is not, and who it runs as."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.kube import ROOT, Space, run
from cluster.release import CONTAINED, RESTRICTED, SECURITY, namespace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LARGEST_MB = 1_000
INSPECT = (("docker", "image", "inspect"), ("podman", "image", "inspect"), ("buildah", "inspect"))
LOOK = """
import glob, json, os, pathlib, shutil

def size(path):
    files = [path] if path.is_file() else [one for one in path.rglob("*")]
    return sum(one.lstat().st_size for one in files if one.is_symlink() or one.is_file())

try:
    pathlib.Path("/opt/laneway/new").write_text("")
    written = True
except OSError:
    written = False
pathlib.Path("/tmp/new").write_text("")
(packages,) = glob.glob("/opt/laneway/lib/python3*/site-packages")
parts = {one.name: size(one) for one in pathlib.Path(packages).iterdir()}
rest = {name: size(pathlib.Path(name)) for name in ("/usr", "/opt/laneway", "/var", "/etc", "/lib")
        if not pathlib.Path(name).is_symlink()}
tools = ["cc", "gcc", "g++", "ld", "as", "make", "pip", "pip3", "apt", "apt-get", "uv", "dpkg-deb"]
print(json.dumps({
    "user": os.getuid(),
    "written": written,
    "tools": [tool for tool in tools if shutil.which(tool)],
    "modules": [name for name in ("pip", "setuptools", "ensurepip", "wheel", "pytest")
                if shutil.which(name) or glob.glob(f"{packages}/{name}")],
    "indexes": [name for pattern in ("/etc/pip*", "/root/.config/*", "/root/.pip*", "/etc/xdg/pip*",
                "/etc/apt/*", "/opt/laneway/pip.conf") for name in glob.glob(pattern)],
    "settings": [name for name in os.environ if name.startswith(("PIP_", "UV_"))],
    "packages": parts,
    "rest": rest,
}))
"""


@pytest.fixture(scope="module")
def space(image: str) -> Iterator[Space]:
    with namespace("image", RESTRICTED) as space:
        yield space


@pytest.fixture(scope="module")
def seen(space: Space, image: str) -> dict[str, Any]:
    """What a pod sees of its own image."""
    space.apply(pod("look", image, {"command": ["python", "-c", LOOK]}))
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/look", "--timeout=120s")
    return dict(json.loads(space.kubectl("logs", "look")))


def pod(name: str, image: str, container: dict[str, Any]) -> dict[str, Any]:
    """A pod of the image, with a root that cannot be written."""
    whole = {
        "name": "laneway",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {**CONTAINED, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        **container,
    }
    spec = {
        "containers": [whole],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": SECURITY["seccompProfile"]},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "restartPolicy": "Never",
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_it_runs_as_10001_on_a_root_that_cannot_be_written(seen: dict[str, Any]) -> None:
    assert seen["user"] == 10001
    assert not seen["written"]


def test_it_holds_no_compiler_and_nothing_that_installs(seen: dict[str, Any]) -> None:
    assert seen["tools"] == []
    assert seen["modules"] == []


def test_it_holds_no_settings_of_package_indexes(seen: dict[str, Any]) -> None:
    assert seen["indexes"] == []
    assert seen["settings"] == []


def test_it_names_its_commit_even_if_nothing_else_changed(image: str) -> None:
    """buildah took the label from the layers of an older image."""
    head = run("git", "-C", ROOT, "rev-parse", "HEAD", check=False).strip() or "unknown"
    labels = json.loads(inspected(image))
    assert f'"org.opencontainers.image.revision": "{head}"' in json.dumps(labels)


def inspected(image: str) -> str:
    """What the builder that has the image says of it."""
    for words in INSPECT:
        try:
            done = subprocess.run([*words, image], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return done.stdout
    pytest.skip(f"no builder on this machine has {image}: it was made elsewhere")


def test_it_is_small(seen: dict[str, Any], tell: Callable[..., None]) -> None:
    packages = sorted(seen["packages"].items(), key=lambda one: -one[1])
    lines = [f"{size / 1e6:7.1f} MB  {name}" for name, size in packages[:12]]
    lines += [f"{size / 1e6:7.1f} MB  {name}" for name, size in seen["rest"].items()]
    total_mb = sum(seen["rest"].values()) / 1e6
    tell("", *lines, f"{total_mb:7.1f} MB  in all")
    assert total_mb < LARGEST_MB
