#!/bin/sh
# A cluster on this machine, and the tests on it or on yours.
#   sh tools/cluster.sh up | down | test [PYTEST ARGUMENTS]
# `test` takes the cluster that KUBECONFIG names; LOAD is the command that brings images to its nodes,
# such as "kind load docker-image". Without KUBECONFIG it takes the one that `up` starts, and ends it
# again unless it was up before.
set -eu
TOOL="${CLUSTER_TOOL:-../shared/cluster/cluster}"
IMAGE="${IMAGE:-localhost/laneway:dev}"
BASE=localhost/python:3.11
BIN=.venv/bin

say() { printf '== cluster: %s\n' "$*"; }

need_tool() {
    [ -x "$TOOL" ] && return
    say "there is no $TOOL, which starts a cluster here: name a cluster of your own with KUBECONFIG" \
        "(kind, k3d, any), or such a tool with CLUSTER_TOOL." >&2
    exit 1
}

is_up() { "$TOOL" run kubectl get nodes >/dev/null 2>&1; }

# What the tests put beside Laneway's image: Redis, an S3 server, a stock producer, a Prometheus.
fetch() {
    sh tools/versitygw.sh
    sh tools/observed.sh
    sh tools/redis_servers.sh --fetch
}

load() {
    PYTHONPATH=tests "$BIN/python" -m cluster.images "$IMAGE" "$BASE" "$@"
}

up() {
    need_tool
    is_up || "$TOOL" up 2
    "$TOOL" base-image "$BASE"
    fetch
    make --no-print-directory image IMAGE="$IMAGE" BASE_IMAGE="$BASE"
    load "$TOOL" load
    say "up. Try: $TOOL run kubectl get nodes"
}

own() {
    need_tool
    # The tests hurt nodes: only a cluster of this tool's they may.
    CLUSTER_TOOL="$(realpath "$TOOL")"
    export CLUSTER_TOOL
    was_up=no
    is_up && was_up=yes
    up
    failed=0
    "$TOOL" run "$BIN/pytest" tests/cluster "$@" || failed=$?
    [ "$was_up" = yes ] || "$TOOL" down
    return "$failed"
}

what=${1:-}
[ $# -eq 0 ] || shift
case $what in
up) up ;;
down)
    need_tool
    "$TOOL" down
    ;;
test)
    if [ -z "${KUBECONFIG:-}" ]; then
        own "$@"
    else
        say "taking the cluster of KUBECONFIG=$KUBECONFIG"
        BASE="${BASE_IMAGE:-python:3.13-slim-bookworm}"
        if [ -n "${LOAD:-}" ]; then
            fetch
            # shellcheck disable=SC2086 # a command and its words
            load $LOAD
        fi
        "$BIN/pytest" tests/cluster "$@"
    fi
    ;;
*)
    sed -n '2,6s/^# *//p' "$0" >&2
    exit 2
    ;;
esac
