"""Take out of an installed environment what only building and testing need; compile the rest.

    python3 shrink.py /opt/laneway

Prints what is left, the largest first. Runs while the image is built.
"""

import compileall
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

UNUSED = (
    "pip",
    "pip-*.dist-info",
    # What `venv` puts into an environment of Python 3.11; nothing depends on it.
    "setuptools*",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    "**/tests",
    "**/*.pyi",
    "pyarrow/include",
    "pyarrow/src",
    "pyarrow/includes",
    "numpy/_core/include",
    "numpy/f2py",
    "numpy/_core/lib",
)
"""Of site-packages. Nothing of it is imported by what runs: `make test-cluster` runs it."""

OWN = "/opt/laneway/own"


def main() -> int:
    """Shrink the environment that the first argument names; 0."""
    home = Path(sys.argv[1])
    (packages,) = home.glob("lib/python3*/site-packages")
    for pattern in UNUSED:
        for path in sorted(packages.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for tool in home.glob("bin/pip*"):
        tool.unlink()
    (packages / "laneway.pth").write_text(f"{OWN}\n")
    # Files here never change: Python need not look whether they did.
    compileall.compile_dir(
        packages, quiet=2, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    sizes = [(size(path), path.name) for path in packages.iterdir()]
    for bytes_, name in sorted(sizes, reverse=True)[:15]:
        sys.stdout.write(f"{bytes_ / 1e6:8.1f} MB  {name}\n")
    sys.stdout.write(f"{sum(bytes_ for bytes_, _ in sizes) / 1e6:8.1f} MB  in all\n")
    return 0


def size(path: Path) -> int:
    """Bytes of a file, or of all below a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    sys.exit(main())
