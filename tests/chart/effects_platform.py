"""What the values do that hold for the whole release."""

from chart.effect import Effect, has

GATEWAY_POD = "Deployment/laneway-gateway spec template"
IMAGE = f"{GATEWAY_POD} spec containers gateway image"
PODS = (GATEWAY_POD, "StatefulSet/laneway-redis spec template", "Pod/laneway-test")
SETTINGS = "ConfigMap/laneway-config data settings.yaml"
SECRETS = f"{GATEWAY_POD} spec volumes secrets projected sources"

_DIGEST = "sha256:" + "0" * 64
_EXTRA = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "extra"},
    "data": {"release": "{{ .Release.Name }}"},
}
_APART = "settingsSecret.name and settingsSecret.keys belong together"


def _in_pods(rest: str) -> tuple[str, ...]:
    """A place in a pod of each kind of object."""
    return tuple(f"{pod} {rest}" for pod in PODS)


PLATFORM: dict[str, Effect] = {
    "nameOverride": Effect(
        "lanes", "Deployment/laneway-lanes-gateway metadata labels app.kubernetes.io/name"
    ),
    "fullnameOverride": Effect("ours", "Deployment/ours-gateway metadata name", "ours-gateway"),
    "commonLabels": Effect(
        {"team": "a"},
        ("ConfigMap/laneway-config metadata labels team", *_in_pods("metadata labels team")),
        "a",
    ),
    "podAnnotations": Effect({"a/b": "c"}, _in_pods("metadata annotations a/b"), "c"),
    "imagePullSecrets": Effect(
        ["registry"], _in_pods("spec imagePullSecrets"), [{"name": "registry"}]
    ),
    # The image
    "image.repository": Effect(
        "registry/lanes", IMAGE, lambda found: found[:15] == "registry/lanes:"
    ),
    "image.tag": Effect("v2", IMAGE, "laneway/laneway:v2"),
    "image.digest": Effect(
        _DIGEST, IMAGE, f"laneway/laneway@{_DIGEST}", given={"image": {"tag": "v2"}}
    ),
    "image.pullPolicy": Effect("Always", f"{GATEWAY_POD} spec containers gateway imagePullPolicy"),
    # Lanes and tasks
    "queues": Effect(
        {"reports": {}},
        "Deployment/laneway-worker-reports metadata labels laneway/queue",
        "reports",
    ),
    "taskModules": Effect(["team.reports"], f"{SETTINGS} task_modules"),
    "settingsSecret.name": Effect(
        "keys",
        SECRETS,
        lambda found: found[-1]["secret"]["name"] == "keys",
        given={"settingsSecret": {"keys": ["embedding_api_key"]}},
        instead=_APART,
    ),
    "settingsSecret.keys": Effect(
        ["embedding_api_key"],
        SECRETS,
        lambda found: found[-1]["secret"]["items"][0]["path"] == "embedding_api_key",
        given={"settingsSecret": {"name": "keys"}},
        instead=_APART,
    ),
    # Pods
    "podSecurityContext": Effect(
        {"runAsUser": 20_000}, _in_pods("spec securityContext runAsUser"), 20_000
    ),
    "containerSecurityContext": Effect(
        {"runAsUser": 20_000},
        (
            f"{GATEWAY_POD} spec containers gateway securityContext runAsUser",
            "StatefulSet/laneway-redis spec template spec initContainers users securityContext runAsUser",
            "StatefulSet/laneway-redis spec template spec containers redis securityContext runAsUser",
            "StatefulSet/laneway-storage spec template spec containers storage securityContext runAsUser",
            "Pod/laneway-test spec containers test securityContext runAsUser",
        ),
        20_000,
    ),
    "tmpSize": Effect("5Gi", f"{GATEWAY_POD} spec volumes tmp emptyDir sizeLimit"),
    "serviceAccounts.workers": Effect(
        {"a/b": "c"}, "ServiceAccount/laneway-workers metadata annotations"
    ),
    "serviceAccounts.gateway": Effect(
        {"a/b": "c"}, "ServiceAccount/laneway-gateway metadata annotations"
    ),
    # Further
    "tests.mailTo": Effect(
        "a@b.org", "Pod/laneway-test spec containers test args", has("--mail-to=a@b.org")
    ),
    "tests.waitSeconds": Effect(30, "Pod/laneway-test spec containers test args", has("--wait=30")),
    "extraObjects": Effect([_EXTRA], "ConfigMap/extra data release", "laneway"),
}
