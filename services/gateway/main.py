"""Running the gateway as a process."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

import laneway
from laneway.observability.logs import get_logger, setup_logging
from laneway.observability.metrics import Metrics
from laneway.observability.tracing import start_tracing
from laneway.services.build import tell_build
from laneway.services.gateway.access import split_bind
from laneway.services.gateway.app import create_gateway
from laneway.services.publishing import observe_publishing
from laneway.tasks.app import create_app, use_app
from laneway.tasks.dispatch import known_tasks
from laneway.tasks.errors import SettingsError
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import Settings

logger = get_logger(__name__)

DRAIN_LIMIT_S = 30
KEEP_ALIVE_S = 75
"""Longer than load balancers keep idle connections, so that they are the ones to close."""

_BACKLOG = 2_048


def run(settings: Settings) -> int:
    """Serve until SIGTERM, finish the requests in progress, and return 0.

    Raises:
        ConfigurationError: settings, catalogue, tokens or task modules cannot be used, or the
            port is taken.
    """
    setup_logging(settings.log_level, settings.log_format)
    app = create_app(settings, load_catalogue(settings.queues_file))
    use_app(app)
    metrics = Metrics(tasks=known_tasks(app), enabled=settings.metrics)
    tell_build(metrics)
    attributes = {"service.version": laneway.__version__}
    tracing = start_tracing(
        settings.otlp_endpoint,
        "laneway-gateway",
        attributes,
        metrics.span_dropped,
        share=settings.trace_share,
    )
    metrics.watch_spans(tracing.waiting)
    observe_publishing(app, metrics, tracing.tracer)
    try:
        api = create_gateway(app, metrics, tracing.tracer)
        with bound_socket(settings.gateway_bind) as listener:
            Server(config(api), on_stop=api.state.gateway.streams.end_all).run([listener])
    finally:
        tracing.shutdown()
    logger.info("stopped")
    return 0


def config(api: object) -> uvicorn.Config:
    """How uvicorn serves the gateway."""
    return uvicorn.Config(
        api,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_LIMIT_S,
    )


class Server(uvicorn.Server):
    """uvicorn, that ends open event streams on a signal, and then returns instead of dying of it."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT while serving."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Take no further request, and finish those in progress; at once when asked twice."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._on_stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            logger.info("listening", host=host, port=port)


def bound_socket(bind: str) -> socket.socket:
    """A socket that listens on `host:port`.

    Raises:
        SettingsError: the address cannot be used; says why and the cure.
    """
    host, port = split_bind(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"LANEWAY_GATEWAY_BIND: {bind} cannot be listened on ({error}). Stop what uses it, or "
            "choose another address."
        ) from error
    # asyncio only sets it on sockets it made itself; without it an answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
