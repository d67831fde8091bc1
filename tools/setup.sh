#!/bin/sh
# Make $VENV and install Laneway with its locked dependencies. Safe to run twice.
set -eu

say() { printf '== setup: %s\n' "$*"; }

apt_install() {
    say "installing $* with apt-get"
    if [ "$(id -u)" = 0 ]; then
        apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo apt-get update -q && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    else
        say "$* is missing and this user may not install it. Run: apt-get install $*"
        exit 1
    fi
}

command -v "$PYTHON" >/dev/null || apt_install python3
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "Laneway needs Python 3.11 or newer; $PYTHON is $("$PYTHON" --version). Give another with PYTHON=..."
    exit 1
}
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv

if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    say "making $VENV with $("$PYTHON" --version)"
    rm -rf "$VENV"
    "$PYTHON" -m venv "$VENV"
fi
say "installing the locked dependencies (hashes checked)"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
say "installing laneway itself"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
say "done"
