"""The store on S3: moto's server, or versitygw with `--s3-server PATH`."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.s3_server import BUCKET, S3Server, free_port
from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.documents.process import process_document
from laneway.tasks.documents.source import read_document
from laneway.tasks.documents.uploads import store_upload
from laneway.tasks.documents.vectors import Chunk, vector_store
from laneway.tasks.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    PathNotAllowed,
    StorageError,
    StorageUnavailable,
)
from laneway.tasks.rag.index import index_collection
from laneway.tasks.rag.search import search
from laneway.tasks.settings import Settings, load_settings

pytestmark = pytest.mark.broker

TEXT = "\n\n".join(f"Lamp number {n} " + "turns and " * 15 for n in range(10)).encode()


@pytest.fixture
def make_settings(s3_server: S3Server, tmp_path: Path) -> Callable[..., Settings]:
    def make(**values: Any) -> Settings:
        defaults = {"chunk_chars": 200, "chunk_overlap_chars": 0, "embedding_batch": 4}
        return load_settings(**(s3_server.settings(tmp_path.name) | defaults | values))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


def chunk(text: str = "text") -> Chunk:
    return Chunk("0" * 32, "ann", "/a.txt", "f" * 64, 0, text, [0.5, 0.5])


def test_what_is_uploaded_and_processed_is_found(settings: Settings) -> None:
    stored = store_upload(settings, "ann", "lamps.txt", [TEXT[:100], TEXT[100:]])
    assert stored.file_path.startswith(settings.storage_url + "/documents/ann/")
    key = DocumentKey("ann", "default", stored.file_path)
    for _ in range(2):
        result = process_document(settings, key, lambda _meta: None)
        assert (result["status"], result["chunk_count"]) == ("indexed", 10)
    assert vector_store(settings).count("default") == 10
    assert search(settings, "a lamp that turns")[0].file_path == stored.file_path
    assert index_collection(settings, "default", lambda _meta: None)["rows"] == 10
    assert "Lamp number 7" in search(settings, "7")[0].text


def test_a_large_upload_arrives_whole(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    parts = [bytes([n]) * 1_000_000 for n in range(12)]
    stored = store_upload(settings, "ann", "large.bin", parts)
    assert read_document(settings, stored.file_path, "ann").content == b"".join(parts)


def test_an_empty_upload_arrives_empty(settings: Settings) -> None:
    stored = store_upload(settings, "ann", "empty.txt", [])
    assert read_document(settings, stored.file_path, "ann").content == b""


@pytest.mark.parametrize("parts", [[b"12345", b"67890"], [b"x" * 1_000_000] * 12])
def test_an_upload_above_the_limit_leaves_nothing_behind(
    settings: Settings, s3_server: S3Server, tmp_path: Path, parts: list[bytes]
) -> None:
    with pytest.raises(DocumentTooLarge):
        store_upload(settings, "ann", "a.txt", parts, limit_bytes=sum(map(len, parts)) - 1)
    assert s3_server.keys(f"{tmp_path.name}/documents/") == []


def test_an_object_above_the_limit_is_refused(make_settings: Callable[..., Settings]) -> None:
    stored = store_upload(make_settings(), "ann", "a.txt", [TEXT])
    with pytest.raises(DocumentTooLarge):
        read_document(make_settings(document_limit_bytes=len(TEXT) - 1), stored.file_path, "ann")


def test_a_missing_object_is_not_found(settings: Settings) -> None:
    with pytest.raises(DocumentNotFound):
        read_document(settings, f"{settings.storage_url}/documents/ann/none.txt", "ann")


def test_only_listed_prefixes_are_read(make_settings: Callable[..., Settings]) -> None:
    stored = store_upload(make_settings(), "ann", "a.txt", [TEXT])
    elsewhere = make_settings(storage_url=f"s3://{BUCKET}/elsewhere")
    with pytest.raises(PathNotAllowed):
        read_document(elsewhere, stored.file_path, "ann")
    root = stored.file_path.rpartition("/")[0]
    listed = make_settings(storage_url=f"s3://{BUCKET}/elsewhere", document_roots=(root,))
    assert read_document(listed, stored.file_path, "ann").content == TEXT


def test_another_users_object_is_not_read(settings: Settings) -> None:
    stored = store_upload(settings, "bob", "a.txt", [TEXT])
    with pytest.raises(PathNotAllowed, match="no upload of user ann"):
        read_document(settings, stored.file_path, "ann")


def test_a_missing_bucket_is_named_with_its_cure(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(storage_url="s3://no-such-bucket/x")
    with pytest.raises(StorageError, match="bucket"):
        store_upload(settings, "ann", "a.txt", [TEXT])
    with pytest.raises(StorageError, match="bucket"):
        vector_store(settings).put("default", "model", [chunk()])


WRITER = """
import sys
from laneway.tasks.documents.vectors import Chunk, vector_store
from laneway.tasks.settings import load_settings

url, endpoint, key, secret, writer = sys.argv[1:]
store = vector_store(
    load_settings(
        storage_url=url, storage_endpoint=endpoint, storage_access_key=key, storage_secret_key=secret
    )
)
print("ready", flush=True)
sys.stdin.readline()
for batch in range(4):
    chunks = [
        Chunk(f"{owner}{batch:015x}{n:016x}", owner, "/a", "a" * 64, n, "text", [1.0, n])
        for n in range(10)
        for owner in (writer, "f")
    ]
    store.put("default", "model", chunks)
"""


def test_four_processes_that_write_at_once_lose_and_double_nothing(
    settings: Settings, s3_server: S3Server, tmp_path: Path
) -> None:
    """Each writes ten chunks of its own and ten that all write, four times, from the start."""
    arguments = list(s3_server.settings(tmp_path.name).values())
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    threads = [threading.Thread(target=writer.communicate, args=("go\n",)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert vector_store(settings).count("default") == 4 * 40 + 40


@pytest.mark.parametrize("step", ["extracting", "storing"])
def test_a_store_that_goes_away_is_worth_a_retry_that_doubles_nothing(
    settings: Settings, s3_server: S3Server, step: str
) -> None:
    stored = store_upload(settings, "ann", "lamps.txt", [TEXT])
    key = DocumentKey("ann", "default", stored.file_path)
    at = {"extracting": ("extracting", 0), "storing": ("storing", 4)}[step]

    def cut(meta: dict[str, Any]) -> None:
        if (meta["step"], meta["done"]) == at:
            s3_server.go_away()

    with pytest.raises(StorageUnavailable):
        process_document(settings, key, cut)
    s3_server.come_back()
    assert process_document(settings, key, lambda _meta: None)["chunk_count"] == 10
    assert vector_store(settings).count("default") == 10


def test_an_upload_while_the_store_is_away_is_worth_a_retry(
    settings: Settings, s3_server: S3Server
) -> None:
    s3_server.go_away()
    with pytest.raises(StorageUnavailable, match="LANEWAY_STORAGE_ENDPOINT"):
        store_upload(settings, "ann", "a.txt", [TEXT])
    s3_server.come_back()
    assert store_upload(settings, "ann", "a.txt", [TEXT]).size_bytes == len(TEXT)


class _Refusal(http.server.BaseHTTPRequestHandler):
    """Answers every call as S3 answers a wrong key."""

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _refuse  # noqa: N815 - http.server's names

    def log_message(self, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def refusing_endpoint() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), _Refusal) as refusing:
        thread = threading.Thread(target=refusing.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{refusing.server_address[1]}"
        refusing.shutdown()
        thread.join()


def test_refused_credentials_are_final_and_name_the_settings(
    make_settings: Callable[..., Settings], refusing_endpoint: str
) -> None:
    settings = make_settings(storage_endpoint=refusing_endpoint)
    actions: list[Callable[[], Any]] = [
        lambda: store_upload(settings, "ann", "a.txt", [TEXT]),
        lambda: read_document(settings, f"{settings.storage_url}/documents/ann/a.txt", "ann"),
        lambda: vector_store(settings).put("default", "model", [chunk()]),
    ]
    for action in actions:
        with pytest.raises(StorageError, match="LANEWAY_STORAGE_SECRET_KEY") as caught:
            action()
        assert "laneway-test-secret" not in str(caught.value)
