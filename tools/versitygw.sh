#!/bin/sh
# Build the S3 server versitygw with Go, or take the one built before, and link it to .cache/.
set -eu
VERSION=v1.8.0
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/laneway/versitygw-$VERSION"
if [ ! -x "$CACHE/versitygw" ]; then
    command -v go >/dev/null || { echo "versitygw is built with Go, which is not on PATH: install Go 1.24 or newer." >&2; exit 1; }
    echo "== building versitygw $VERSION into $CACHE"
    GOBIN="$CACHE" CGO_ENABLED=0 go install "github.com/versity/versitygw/cmd/versitygw@$VERSION"
fi
mkdir -p .cache
ln -sf "$CACHE/versitygw" .cache/versitygw
