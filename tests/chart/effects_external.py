"""What the values of Redis, storage and mail do, of this release's own and of servers elsewhere."""

from collections.abc import Iterator
from typing import Any

from chart.effect import Effect, has
from chart.effects_platform import GATEWAY_POD, SECRETS, SETTINGS

REDIS = "StatefulSet/laneway-redis spec template spec"
REDIS_CONF = "ConfigMap/laneway-redis data redis.conf"
STORAGE = "StatefulSet/laneway-storage spec template spec"
USERNAME = f"{GATEWAY_POD} spec containers gateway env LANEWAY_BROKER_USERNAME value"
WORKER_SECRETS = (
    "Deployment/laneway-worker-notifications spec template spec volumes secrets projected sources"
)

_DIGEST = "sha256:" + "0" * 64
_PAIR = "mail.username and mail.existingSecret belong together"


def _redis(**external: Any) -> dict[str, Any]:
    return {"redis": {"external": {"url": "redis://redis:6379/0", **external}}}


def _results(**results: Any) -> dict[str, Any]:
    return {"redis": {"results": {"url": "redis://results:6379/0", **results}}}


def _other(**other: Any) -> dict[str, Any]:
    return {"redis": {"others": {"other": {"url": "redis://other:6379/0", **other}}}}


def _storage(**external: Any) -> dict[str, Any]:
    return {"storage": {"external": {"url": "s3://bucket", **external}}}


def _mail(**mail: Any) -> dict[str, Any]:
    return {"mail": {"host": "smtp", **mail}}


def _file(name: str, secret: str, key: str):
    """Holds of sources of which one mounts this key of this Secret as a file of this name."""

    def mounted(sources: list[dict[str, Any]]) -> Iterator[bool]:
        for source in sources:
            item = {"key": key, "path": name}
            yield source["secret"]["name"] == secret and item in source["secret"]["items"]

    return lambda found: any(mounted(found))


def _server(above: str, pod: str, container: str, image: str, tag: str) -> dict[str, Effect]:
    """The values that a server of this release has, whatever it serves."""
    place = f"{pod} containers {container}"
    claim = f"{pod.removesuffix(' template spec')} volumeClaimTemplates 0 spec"
    return {
        f"{above}.image.repository": Effect("mirror/x", f"{place} image", f"mirror/x:{tag}"),
        f"{above}.image.tag": Effect("next", f"{place} image", f"{image}:next"),
        f"{above}.image.digest": Effect(_DIGEST, f"{place} image", f"{image}@{_DIGEST}"),
        f"{above}.image.pullPolicy": Effect("Always", f"{place} imagePullPolicy"),
        f"{above}.persistence.size": Effect("20Gi", f"{claim} resources requests storage"),
        f"{above}.persistence.storageClass": Effect("fast", f"{claim} storageClassName"),
        f"{above}.resources": Effect(
            {"limits": {"memory": "3Gi"}}, f"{place} resources limits memory", "3Gi"
        ),
        f"{above}.podTemplate": Effect(
            {"spec": {"priorityClassName": "urgent"}}, f"{pod} priorityClassName", "urgent"
        ),
    }


_EMBEDDED: dict[str, Effect] = {
    **_server("redis.embedded", REDIS, "redis", "redis", "8.2"),
    "redis.embedded.version": Effect("8", f"{REDIS} initContainers users args", has("8")),
    "redis.embedded.existingSecret": Effect(
        "users",
        (f"{REDIS} volumes passwords secret secretName", f"{SECRETS} 0 secret name"),
    ),
    "redis.embedded.maxmemory": Effect("64mb", REDIS_CONF, has("\nmaxmemory 64mb\n")),
    "redis.embedded.config": Effect({"io-threads": "2"}, REDIS_CONF, has("\nio-threads 2")),
    **_server("storage.embedded", STORAGE, "storage", "versity/versitygw", "v1.8.0"),
    "storage.embedded.existingSecret": Effect(
        "keys",
        (
            f"{STORAGE} containers storage env ROOT_ACCESS_KEY valueFrom secretKeyRef name",
            f"{STORAGE} containers storage env ROOT_SECRET_KEY valueFrom secretKeyRef name",
            f"{SECRETS} 1 secret name",
        ),
    ),
    "mail.sink.resources": Effect(
        {"limits": {"memory": "64Mi"}},
        "Deployment/laneway-mail-sink spec template spec containers mail-sink resources limits memory",
        "64Mi",
    ),
}

_REDIS: dict[str, Effect] = {
    "redis.external.url": Effect("rediss://redis:6380/0", f"{SETTINGS} broker_url"),
    "redis.external.users": Effect(
        "perRole",
        (
            USERNAME,
            f"{SECRETS} 0 secret items broker_password key",
        ),
        "gateway",
        given=_redis(existingSecret="passwords"),
    ),
    "redis.external.username": Effect(
        "lanes",
        USERNAME,
        given=_redis(existingSecret="passwords"),
    ),
    "redis.external.existingSecret": Effect(
        "passwords",
        SECRETS,
        _file("broker_password", "passwords", "password"),
        given=_redis(),
    ),
    "redis.external.passwordKey": Effect(
        "word", f"{SECRETS} 0 secret items broker_password key", given=_redis(existingSecret="a")
    ),
    "redis.external.caSecret": Effect(
        "ca",
        (SECRETS, f"{SETTINGS} broker_ca_file"),
        lambda found: (
            found == "/etc/laneway/secrets/broker-ca.crt"
            or _file("broker-ca.crt", "ca", "ca.crt")(found)
        ),
        given=_redis(url="rediss://redis:6380/0"),
    ),
    "redis.results.url": Effect("redis://results:6379/0", f"{SETTINGS} result_url"),
    "redis.results.username": Effect(
        "lanes", f"{SETTINGS} result_username", given=_results(existingSecret="results")
    ),
    "redis.results.existingSecret": Effect(
        "results", SECRETS, _file("result_password", "results", "password"), given=_results()
    ),
    "redis.results.passwordKey": Effect(
        "word",
        SECRETS,
        _file("result_password", "results", "word"),
        given=_results(existingSecret="results"),
    ),
    "redis.others.other.url": Effect("redis://other:6379/0", f"{SETTINGS} brokers other"),
    "redis.others.other.existingSecret": Effect(
        "other", SECRETS, _file("broker_password_other", "other", "password"), given=_other()
    ),
    "redis.others.other.passwordKey": Effect(
        "word",
        SECRETS,
        _file("broker_password_other", "other", "word"),
        given=_other(existingSecret="other"),
    ),
}

_STORAGE: dict[str, Effect] = {
    "storage.external.url": Effect("s3://bucket/prefix", f"{SETTINGS} storage_url"),
    "storage.external.endpoint": Effect(
        "https://s3.example.org", f"{SETTINGS} storage_endpoint", given=_storage()
    ),
    "storage.external.region": Effect(
        "eu-central-1", f"{SETTINGS} storage_region", given=_storage()
    ),
    "storage.external.existingSecret": Effect(
        "keys",
        SECRETS,
        lambda found: (
            _file("storage_access_key", "keys", "access-key")(found)
            and _file("storage_secret_key", "keys", "secret-key")(found)
        ),
        given=_storage(),
    ),
}

_MAIL: dict[str, Effect] = {
    "mail.host": Effect("smtp.example.org", f"{SETTINGS} smtp_host"),
    "mail.port": Effect(465, f"{SETTINGS} smtp_port", given=_mail()),
    "mail.security": Effect("tls", f"{SETTINGS} smtp_security", given=_mail()),
    "mail.from": Effect("lanes@example.com", f"{SETTINGS} smtp_from"),
    "mail.username": Effect(
        "lanes", f"{SETTINGS} smtp_username", given=_mail(existingSecret="mail"), instead=_PAIR
    ),
    "mail.existingSecret": Effect(
        "mail",
        WORKER_SECRETS,
        _file("smtp_password", "mail", "password"),
        given=_mail(username="lanes"),
        instead=_PAIR,
    ),
    "mail.passwordKey": Effect(
        "word",
        WORKER_SECRETS,
        _file("smtp_password", "mail", "word"),
        given=_mail(username="lanes", existingSecret="mail"),
    ),
    "mail.caSecret": Effect(
        "ca",
        (WORKER_SECRETS, f"{SETTINGS} smtp_ca_file"),
        lambda found: (
            found == "/etc/laneway/secrets/smtp-ca.crt"
            or _file("smtp-ca.crt", "ca", "ca.crt")(found)
        ),
        given=_mail(),
    ),
}

EXTERNAL: dict[str, Effect] = {**_EMBEDDED, **_REDIS, **_STORAGE, **_MAIL}
