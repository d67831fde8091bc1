#!/bin/sh
# Resolve every dependency of pyproject.toml into requirements.lock, with hashes, for all supported Pythons.
set -eu
.venv/bin/python -m pip install --quiet uv
.venv/bin/uv pip compile pyproject.toml \
    --extra local --group dev --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
    --quiet --output-file requirements.lock
