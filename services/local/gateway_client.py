"""What the demonstration asks of a gateway, over HTTP as anybody would."""

import json
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import Any

TIMEOUT_S = 60.0


class GatewayRefused(Exception):
    """A gateway did not answer, or refused; the message says which request, and why.

    `code` is the HTTP status, None if there was no answer.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class GatewayClient:
    """Calls the gateway at `url` (http://host:port), with a bearer token if it wants one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def upload(self, filename: str, content: bytes, **options: str) -> str:
        """Upload a document and have it processed; the task's id."""
        query = urllib.parse.urlencode({"filename": filename, **options})
        answer = self.call("POST", f"/v1/documents?{query}", content, "application/octet-stream")
        return str(answer["task_id"])

    def submit(self, queue: str, task: str, kwargs: dict[str, Any]) -> str:
        """Queue a task; its id."""
        body = json.dumps({"task": task, "kwargs": kwargs}).encode()
        return str(self.call("POST", f"/v1/queues/{queue}/tasks", body)["task_id"])

    def status(self, task_id: str) -> dict[str, Any]:
        """State, result and error of a task.

        Its state is UNKNOWN where the gateway has not heard of it: what a stock producer sent is
        known once it runs.
        """
        try:
            return self.call("GET", f"/v1/tasks/{task_id}")
        except GatewayRefused as refusal:
            if refusal.code != HTTPStatus.NOT_FOUND:
                raise
            return {"state": "UNKNOWN"}

    def search(self, text: str, *, collection: str, limit: int) -> list[dict[str, Any]]:
        """The chunks nearest to a text."""
        query = urllib.parse.urlencode({"q": text, "collection": collection, "limit": limit})
        return list(self.call("GET", f"/v1/search?{query}")["hits"])

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """One request; its answer's JSON.

        Raises:
            GatewayRefused: there is no answer, or none of success.
        """
        headers = {"Content-Type": content_type, **self._headers}
        request = urllib.request.Request(
            self._url + path, data=body, method=method, headers=headers
        )
        what = f"{method} {self._url}{path.partition('?')[0]}"
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refusal:
            with refusal:
                words = refusal.read(2_000).decode(errors="replace")
            raise GatewayRefused(
                f"{what} was refused with {refusal.code}: {words}", refusal.code
            ) from None
        except OSError as error:
            raise GatewayRefused(f"{what} had no answer: {error}") from None
