"""What the values of the gateway do."""

from typing import Any

from chart.effect import Effect

DEPLOYMENT = "Deployment/laneway-gateway"
POD = f"{DEPLOYMENT} spec template spec"
CONTAINER = f"{POD} containers gateway"
INGRESS = "Ingress/laneway-gateway"

_MOUNT = {"name": "ca", "mountPath": "/opt/ca"}
_VOLUME = {"name": "ca", "emptyDir": {"sizeLimit": "1Mi"}}


def _ingress(**fields: Any) -> dict[str, Any]:
    return {"gateway": {"ingress": {"enabled": True, "hosts": ["lanes.example.org"], **fields}}}


GATEWAY: dict[str, Effect] = {
    "gateway.replicas": Effect(5, f"{DEPLOYMENT} spec replicas"),
    "gateway.tokens.existingSecret": Effect(
        "tokens",
        (
            f"{POD} volumes tokens secret secretName",
            "Pod/laneway-test spec volumes token secret secretName",
        ),
    ),
    "gateway.service.type": Effect("NodePort", "Service/laneway-gateway spec type"),
    "gateway.service.port": Effect(8_000, "Service/laneway-gateway spec ports http port"),
    "gateway.service.annotations": Effect(
        {"a/b": "c"}, "Service/laneway-gateway metadata annotations"
    ),
    "gateway.ingress.enabled": Effect(
        True,
        f"{INGRESS} spec rules 0 host",
        "lanes.example.org",
        given=_ingress(enabled=False),
    ),
    "gateway.ingress.hosts": Effect(
        ["a.example.org", "b.example.org"],
        f"{INGRESS} spec rules",
        lambda found: [rule["host"] for rule in found] == ["a.example.org", "b.example.org"],
        given=_ingress(),
    ),
    "gateway.ingress.className": Effect(
        "nginx", f"{INGRESS} spec ingressClassName", given=_ingress()
    ),
    "gateway.ingress.annotations": Effect(
        {"a/b": "c"}, f"{INGRESS} metadata annotations", given=_ingress()
    ),
    "gateway.ingress.tlsSecret": Effect(
        "certificate",
        f"{INGRESS} spec tls",
        [{"secretName": "certificate", "hosts": ["lanes.example.org"]}],
        given=_ingress(),
    ),
    "gateway.resources": Effect(
        {"limits": {"memory": "3Gi"}}, f"{CONTAINER} resources limits memory", "3Gi"
    ),
    "gateway.strategy": Effect(
        {"rollingUpdate": {"maxSurge": 1}},
        f"{DEPLOYMENT} spec strategy rollingUpdate maxSurge",
        1,
    ),
    "gateway.extraEnv": Effect([{"name": "A", "value": "b"}], f"{CONTAINER} env A value", "b"),
    "gateway.extraVolumes": Effect([_VOLUME], f"{POD} volumes ca", _VOLUME),
    "gateway.extraVolumeMounts": Effect(
        [_MOUNT],
        f"{CONTAINER} volumeMounts ca",
        _MOUNT,
        given={"gateway": {"extraVolumes": [_VOLUME]}},
    ),
    "gateway.podTemplate": Effect(
        {"spec": {"priorityClassName": "urgent"}}, f"{POD} priorityClassName", "urgent"
    ),
}
