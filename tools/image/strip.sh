#!/bin/sh
# Take package managers, and where they look for packages, out of the tree of a base image.
set -eu
for python in python3 /usr/bin/python3 /usr/local/bin/python3; do
    command -v "$python" >/dev/null || continue
    "$python" - <<'END'
import glob, shutil, sysconfig
for folder in {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {"/usr/lib/python3/dist-packages"}:
    for name in ("ensurepip", "idlelib", "test", "turtledemo", "tkinter", "lib2to3", "pip", "pip-*", "setuptools", "setuptools-*", "wheel", "wheel-*"):
        for path in glob.glob(f"{folder}/{name}"):
            shutil.rmtree(path, ignore_errors=True)
END
done
rm -rf /usr/local/bin/pip* /usr/bin/pip* /usr/share/python-wheels /root/.config /root/.cache \
    /etc/pip.conf /etc/xdg/pip /etc/apt /var/lib/apt /var/cache/apt /usr/bin/apt* /usr/bin/dpkg* /usr/lib/apt \
    /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /var/cache/debconf /var/log/* /tmp/* \
    /usr/include
