#!/bin/sh
# Bring what the tests of telemetry take into .cache/observed: Prometheus, promtool and an
# OpenTelemetry Collector. Those on PATH are taken; the others are built with Go, once.
set -eu
PROMETHEUS=v0.316.0 # the module's number of Prometheus 3.16
COLLECTOR=v0.160.0
HOME_OF="${XDG_CACHE_HOME:-$HOME/.cache}/laneway"
HERE="$(cd "$(dirname "$0")" && pwd)"

say() { printf '== observed: %s\n' "$*"; }

need_go() {
    command -v go >/dev/null || {
        say "$1 is neither on PATH nor is Go, to build it: install either (Go 1.26 or newer)." >&2
        exit 1
    }
}

# Debian's Prometheus 2 lacks what users run; the tests take 3 and newer.
recent() { "$1" --version 2>&1 | grep -qE 'version (3|[4-9]|[1-9][0-9])\.'; }

prometheus() {
    if command -v prometheus >/dev/null && command -v promtool >/dev/null && recent prometheus; then
        ln -sf "$(command -v prometheus)" "$(command -v promtool)" .cache/observed/
        return
    fi
    built="$HOME_OF/prometheus-$PROMETHEUS"
    if [ ! -x "$built/promtool" ] || [ ! -x "$built/prometheus" ]; then
        need_go prometheus
        say "building Prometheus and promtool $PROMETHEUS into $built: some minutes"
        GOBIN="$built" CGO_ENABLED=0 go install -tags netgo,remove_all_sd,enable_kubernetes_sd \
            "github.com/prometheus/prometheus/cmd/prometheus@$PROMETHEUS" \
            "github.com/prometheus/prometheus/cmd/promtool@$PROMETHEUS"
    fi
    ln -sf "$built/prometheus" "$built/promtool" .cache/observed/
}

collector() {
    if command -v otelcol-contrib >/dev/null; then
        ln -sf "$(command -v otelcol-contrib)" .cache/observed/otelcol
        return
    fi
    built="$HOME_OF/otelcol-$COLLECTOR"
    if [ ! -x "$built/otelcol" ]; then
        need_go otelcol-contrib
        say "building an OpenTelemetry Collector $COLLECTOR into $built: some minutes"
        mkdir -p "$built"
        (cd "$HERE/collector" && CGO_ENABLED=0 go build -trimpath -o "$built/otelcol" .)
    fi
    ln -sf "$built/otelcol" .cache/observed/otelcol
}

mkdir -p .cache/observed
prometheus
collector
say "Prometheus, promtool and the collector are in .cache/observed"
