#!/bin/sh
# Bring what the tests of the chart take into .cache/chart: helm, kubeconform, kube-score, and the JSON
# schemas of what the chart may render.
# The schemas are made of what the oldest and the newest supported Kubernetes, the Prometheus operator
# and KEDA publish in their Go modules.
set -eu
HELM=v4.3.1
KUBECONFORM=v0.8.0
KUBE_SCORE=v1.20.0
KUBERNETES="v1.31.14 v1.37.2"
PROMETHEUS_OPERATOR=v0.85.0
KEDA=v2.21.0
PYTHON="${PYTHON:-.venv/bin/python}"
PART=chart
INTO=.cache/chart
. tools/go_programs.sh
# The test cluster comes with a helm and more.
PATH="$PATH:${LANEWAY_CLUSTER_BIN:-$CACHES/laneway-cluster/bin}"

# module PATH VERSION: the folder that Go unpacks it into.
module() {
    told="$(go mod download -json "$1@$2")" || {
        say "Go cannot fetch $1@$2: $told" >&2
        return 1
    }
    printf '%s\n' "$told" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p'
}

make_schemas() {
    need_go "a schema of Kubernetes"
    say "making schemas of Kubernetes $KUBERNETES and of CRDs into $schemas"
    operator="$(module github.com/prometheus-operator/prometheus-operator "$PROMETHEUS_OPERATOR")"
    keda="$(module github.com/kedacore/keda/v2 "$KEDA")"
    set --
    for version in $KUBERNETES; do
        kubernetes="$(module k8s.io/kubernetes "$version")"
        set -- "$@" --kubernetes "${version#v}=$kubernetes/api/openapi-spec/swagger.json"
    done
    making="$(mktemp -d "$HOME_OF/kube-schemas.XXXXXX")"
    "$PYTHON" tools/kube_schemas.py "$making" "$@" --crds \
        "$operator/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml" \
        "$operator/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml" \
        "$keda/config/crd/bases/keda.sh_scaledobjects.yaml" \
        "$keda/config/crd/bases/keda.sh_triggerauthentications.yaml"
    chmod 755 "$making"
    # Whole or not at all: an interrupted run leaves nothing that the next would take for all.
    mv -T "$making" "$schemas" 2>/dev/null || rm -rf "$making"
}

program helm "$HELM" helm.sh/helm/v4/cmd/helm
program kubeconform "$KUBECONFORM" github.com/yannh/kubeconform/cmd/kubeconform
program kube-score "$KUBE_SCORE" github.com/zegl/kube-score/cmd/kube-score
# Made anew whenever a version, or what makes them, has changed.
schemas="$HOME_OF/kube-schemas-$(cat "$0" tools/kube_schemas.py | sha256sum | cut -c1-12)"
[ -d "$schemas" ] || make_schemas
ln -sfn "$schemas" "$INTO/schemas"
say "helm, kubeconform, kube-score and schemas are in $INTO"
