#!/bin/sh
# Bring what the tests of telemetry take into .cache/observed: Prometheus, promtool and an
# OpenTelemetry Collector.
set -eu
PROMETHEUS=v0.316.0 # the module's number of Prometheus 3.16
COLLECTOR=v0.160.0
PART=observed
INTO=.cache/observed
. tools/go_programs.sh

# Debian's Prometheus 2 lacks what users run; the tests take 3 and newer.
on_path() { command -v "$1" >/dev/null && "$1" --version 2>&1 | grep -qE 'version (3|[4-9]|[1-9][0-9])\.'; }

prometheus() {
    TAGS=netgo,remove_all_sd,enable_kubernetes_sd
    for name in prometheus promtool; do
        program $name $PROMETHEUS github.com/prometheus/prometheus/cmd/$name prometheus-$PROMETHEUS
    done
}

collector() {
    if command -v otelcol-contrib >/dev/null; then
        ln -sf "$(command -v otelcol-contrib)" "$INTO/otelcol"
        return
    fi
    built="$HOME_OF/otelcol-$COLLECTOR"
    if [ ! -x "$built/otelcol" ]; then
        need_go otelcol-contrib
        say "building an OpenTelemetry Collector $COLLECTOR into $built: some minutes"
        mkdir -p "$built"
        (cd tools/collector && CGO_ENABLED=0 go build -trimpath -o "$built/otelcol" .)
    fi
    ln -sf "$built/otelcol" "$INTO/otelcol"
}

prometheus
collector
say "Prometheus, promtool and the collector are in $INTO"
