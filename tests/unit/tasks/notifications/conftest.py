from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from laneway.tasks.settings import Settings, load_settings
from smtp_server import SmtpServer, make_authority


@pytest.fixture
def smtp() -> Iterator[Callable[..., SmtpServer]]:
    """Start a mail server that follows a script; it ends with the test."""
    with ExitStack() as servers:
        yield lambda script=None, **options: servers.enter_context(
            SmtpServer(script=script or {}, **options)
        )


@pytest.fixture
def settings_for() -> Callable[..., Settings]:
    def settings(server: SmtpServer, **changes: Any) -> Settings:
        given = {
            "smtp_host": "127.0.0.1",
            "smtp_port": server.port,
            "smtp_security": "none",
            "smtp_from": "Laneway <noreply@example.org>",
            "smtp_timeout_s": 5,
        }
        return load_settings(**{**given, **changes})

    return settings


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """CA file and TLS context of a server whose certificate is for 127.0.0.1."""
    return make_authority(tmp_path_factory.mktemp("ca"))
