"""Commands that run something: up, demo, worker, gateway, token."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option("--data", help="Where Redis, documents, mails and logs lie.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")]
DEFAULT_FOLDER = Path(".laneway")
Observe = Annotated[
    Path | None,
    typer.Option(
        "--observe",
        help="Folder with prometheus and otelcol, to run beside; see tools/observed.sh.",
    ),
]
Rules = Annotated[Path, typer.Option("--rules", help="Rule files for that Prometheus.")]
DEFAULT_RULES = Path("charts/laneway/files/rules")


def up(
    data: Folder = DEFAULT_FOLDER,
    redis_port: Port = 0,
    gateway_port: Port = 0,
    smtp_port: Port = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of addresses and process ids.")
    ] = False,
    observe: Observe = None,
    rules: Rules = DEFAULT_RULES,
) -> None:
    """Run the whole platform on this machine until Ctrl-C."""
    from laneway.services.local.main import run
    from laneway.services.local.observing import Observing
    from laneway.services.local.platform import Ports

    _warn_of_unknown_variables()
    ports = Ports(redis_port, gateway_port, smtp_port)
    observing = Observing(observe, rules) if observe else None
    raise typer.Exit(run(data, ports, as_json=as_json, observing=observing))


def demo(
    data: Folder = DEFAULT_FOLDER,
    once: Annotated[bool, typer.Option("--once", help="End after the demonstration.")] = False,
    observe: Observe = None,
    rules: Rules = DEFAULT_RULES,
) -> None:
    """Run the platform and let it process documents and a mail; see the outcome."""
    from laneway.services.local.demonstration import demonstrate_here
    from laneway.services.local.main import run
    from laneway.services.local.observing import Observing
    from laneway.services.local.platform import Ports

    _warn_of_unknown_variables()
    observing = Observing(observe, rules) if observe else None
    raise typer.Exit(
        run(data, Ports(), demonstration=demonstrate_here, once=once, observing=observing)
    )


def try_platform(
    gateway: Annotated[str, typer.Argument(help="Its gateway, http://HOST:PORT.")],
    token_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File with a token for it.")
    ] = None,
    mail_to: Annotated[str, typer.Option(help="Who is sent a mail.")] = "reader@example.org",
    wait: Annotated[float, typer.Option(min=1, help="Longest wait for all of it, seconds.")] = 120,
    producer: Annotated[
        bool,
        typer.Option("--producer", help="Send by stock Celery, too, to LANEWAY_BROKER_URL."),
    ] = False,
) -> None:
    """Let a running platform process documents and a mail; exit code 1 if anything fails."""
    import sys

    from laneway.services.local.demonstration import Place, celery_sender, demonstrate
    from laneway.services.local.main import stop_events, terminal
    from laneway.tasks.settings import current_settings

    settings = current_settings()
    place = Place(
        gateway=gateway,
        token=None if token_file is None else token_file.read_text("utf-8").strip(),
        mail_to=mail_to,
        wait_s=wait,
        send=celery_sender(settings) if producer else None,
    )
    stop, _ = stop_events()
    raise typer.Exit(0 if demonstrate(place, terminal(sys.stdout), stop) else 1)


def worker(queue: Annotated[str, typer.Option("--queue", "-q", help="The lane to serve.")]) -> None:
    """Run the worker of one lane; SIGTERM drains it."""
    from laneway.services.worker.main import run
    from laneway.tasks.settings import current_settings

    _warn_of_unknown_variables()
    raise typer.Exit(run(current_settings(), queue))


def gateway() -> None:
    """Run the HTTP gateway; SIGTERM drains it."""
    from laneway.services.gateway.main import run
    from laneway.tasks.settings import current_settings

    _warn_of_unknown_variables()
    raise typer.Exit(run(current_settings()))


def token(
    name: Annotated[str, typer.Argument(help="Who the token is for.")],
    queue: Annotated[
        list[str] | None, typer.Option("--queue", "-q", help="A lane it may use.")
    ] = None,
    verb: Annotated[
        list[str] | None,
        typer.Option(
            "--verb",
            # Spelt out, since the gateway is not imported for a help text.
            help="What it may do: submit, read, revoke, upload, search, ops. Default: submit and "
            "read.",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", help="A user whose documents it may reach; everybody's if none."),
    ] = None,
) -> None:
    """Make a bearer token for the gateway: its tokens file's entry on stdout, itself on stderr.

    laneway token shop >> tokens.yaml
    """
    from laneway.services.gateway.tokens import new_token

    secret, entry = new_token(
        name, queues=queue or ["*"], verbs=verb or ["submit", "read"], users=user or None
    )
    typer.echo(f"Token (shown once): {secret}", err=True)
    typer.echo(entry, nl=False)


def _warn_of_unknown_variables() -> None:
    from laneway.tasks.settings import unknown_variables

    unknown = unknown_variables()
    if unknown:
        named = "\n".join(f"  {name}: {cure}" for name, cure in unknown.items())
        typer.secho(f"These variables set nothing:\n{named}", fg="yellow", err=True)
