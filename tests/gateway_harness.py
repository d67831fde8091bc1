"""A gateway for a test: in this process, or served by a real uvicorn on a free loopback port."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
import yaml
from fastapi import FastAPI
from starlette.testclient import TestClient

from laneway.observability.spans import Tracer
from laneway.services.gateway.app import create_gateway
from laneway.services.gateway.main import bound_socket, config
from laneway.services.gateway.tokens import new_token
from laneway.services.publishing import observe_publishing
from laneway.tasks.app import create_app
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings

BASE_URL = "http://127.0.0.1"
MAIL = {"to": "a@example.org", "subject": "s", "body": "b"}


def make_api(url: str, tracer: Tracer | None = None, **settings: Any) -> FastAPI:
    loaded = load_settings(broker_url=url, **settings)
    app = create_app(loaded, load_catalogue(loaded.queues_file))
    api = create_gateway(app, tracer=tracer)
    observe_publishing(app, api.state.gateway.metrics, tracer)
    return api


@contextmanager
def calling(api: FastAPI, token: str | None = None) -> Iterator[TestClient]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with TestClient(api, base_url=BASE_URL, headers=headers) as client:
        yield client
    api.state.gateway.app.close()


@contextmanager
def serving(api: FastAPI) -> Iterator[str]:
    """Yields the URL of a real server."""
    listener = bound_socket("127.0.0.1:0")
    server = uvicorn.Server(config(api))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"{BASE_URL}:{listener.getsockname()[1]}"
    finally:
        api.state.gateway.streams.end_all()
        server.should_exit = True
        thread.join()
        listener.close()
        api.state.gateway.app.close()


def write_tokens(path: Path, **entries: dict[str, Any]) -> dict[str, str]:
    """Write a tokens file with an entry for each keyword; the secrets by name."""
    secrets, text = {}, ""
    for name, fields in entries.items():
        secrets[name], entry = new_token(name, **fields)
        text += entry
    replacement = path.with_suffix(".new")
    replacement.write_text(text)
    replacement.replace(path)
    assert yaml.safe_load(text)
    return secrets
