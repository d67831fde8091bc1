"""Laneway: Celery tasks in lanes, on Kubernetes or on one machine."""


def __getattr__(name: str) -> str:
    # Looked up when asked for: reading the installed packages' metadata slows every start.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("laneway")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"
