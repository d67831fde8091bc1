#!/bin/sh
# Resolve every dependency of pyproject.toml into requirements.lock, with hashes, for all supported Pythons.
set -eu
.venv/bin/python -m pip install --quiet uv

compile() {
    out=$1
    shift
    .venv/bin/uv pip compile "$@" --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'make lock' --quiet --output-file "$out"
}

compile requirements.lock pyproject.toml --extra local --group dev
# What goes into the image, and what builds it, of the same versions.
compile tools/image/requirements.lock pyproject.toml --extra image --constraint requirements.lock
compile tools/image/build.lock --group pyproject.toml:build --constraint requirements.lock
