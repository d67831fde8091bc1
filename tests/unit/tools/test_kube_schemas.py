import pytest
from jsonschema import Draft202012Validator

from kube_schemas import kubernetes_schemas, resource_schemas

pytestmark = pytest.mark.unit

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
PORT = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

SWAGGER = {
    "definitions": {
        QUANTITY: {"type": "string"},
        PORT: {"type": "string", "format": "int-or-string"},
        "Meta": {"type": "object", "properties": {"name": {"type": "string"}}},
        "Spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"$ref": f"#/definitions/{QUANTITY}"},
                "format": {"$ref": f"#/definitions/{PORT}"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "Claim": {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"$ref": "#/definitions/Meta"},
                "spec": {"$ref": "#/definitions/Spec"},
            },
            "x-kubernetes-group-version-kind": [
                {"group": "apps", "version": "v1", "kind": "Deployment"},
                {"group": "apps", "version": "v1beta1", "kind": "Deployment"},
                {"group": "apps", "version": "v1", "kind": "Unheard"},
            ],
        },
    }
}

CRD = {
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "keda.sh",
        "names": {"kind": "ScaledObject"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "metadata": {"type": "object"},
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "port": {"anyOf": [], "x-kubernetes-int-or-string": True},
                                    "any": {
                                        "type": "object",
                                        "properties": {"a": {"type": "string"}},
                                        "x-kubernetes-preserve-unknown-fields": True,
                                    },
                                },
                            },
                        },
                    }
                },
            },
            {"name": "v1", "served": False},
        ],
    },
}


@pytest.fixture
def deployment() -> Draft202012Validator:
    made = dict(kubernetes_schemas(SWAGGER))
    assert list(made) == ["deployment-apps-v1.json"]
    Draft202012Validator.check_schema(made["deployment-apps-v1.json"])
    return Draft202012Validator(made["deployment-apps-v1.json"])


def an_object(**spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"size": "8Gi", **spec},
    }


@pytest.mark.parametrize(
    "spec", [{"size": 1.5}, {"size": "100m"}, {"format": 80}, {"format": "http"}]
)
def test_what_kubernetes_takes_is_taken(deployment, spec) -> None:
    assert list(deployment.iter_errors(an_object(**spec))) == []


@pytest.mark.parametrize(
    "spec", [{"size": "8GB"}, {"sizes": 1}, {"format": None}, {"labels": {"a": 1}}, {"size": None}]
)
def test_what_kubernetes_drops_or_refuses_is_refused(deployment, spec) -> None:
    assert list(deployment.iter_errors(an_object(**spec))) != []


def test_an_object_says_of_what_kind_it_is(deployment) -> None:
    assert list(deployment.iter_errors(an_object() | {"apiVersion": "apps/v2"})) != []
    assert list(deployment.iter_errors({"apiVersion": "apps/v1", "kind": "Deployment"})) != []


def test_a_schema_needs_no_other_file() -> None:
    ((_, schema),) = kubernetes_schemas(SWAGGER)
    assert schema["definitions"].keys() == {"Meta", "Spec", QUANTITY, PORT}


def test_a_resource_definition_gives_a_schema_of_each_served_version() -> None:
    ((name, schema),) = resource_schemas(iter([None, {"kind": "Namespace"}, CRD]))
    assert name == "scaledobject-keda-v1alpha1.json"
    validator = Draft202012Validator(schema)

    def refused(spec) -> bool:
        whole = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "a"},
        }
        return not validator.is_valid(whole | {"spec": spec})

    assert not refused({"port": "http", "any": {"b": 1}})
    assert refused({"ports": 1})
    assert refused({"port": 1.5})
