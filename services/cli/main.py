"""`laneway`: the command line. Everything heavy is imported by the command that needs it."""

import sys
from collections.abc import Callable

import typer

from laneway.services.cli import acl, dead, look, run, top, work

app = typer.Typer(
    name="laneway",
    help="Celery tasks in lanes, each scaled and observed on its own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run": (run.up, run.demo, run.try_platform, run.worker, run.gateway, run.token),
    "Work": (work.submit, work.status, work.result, work.revoke, work.recover),
    "Look": (top.top, look.queues, look.search, look.doctor, look.settings, acl.acl),
}
_NAMES = {run.try_platform: "try"}
"""Of commands whose name is a word of Python's."""

for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(_NAMES.get(_command), rich_help_panel=_panel)(_command)
app.add_typer(dead.app, name="dead", rich_help_panel="Work")


def main() -> None:
    """Run a command; an error of ours ends it with its message and exit code 1, never a traceback."""
    try:
        app()
    except Exception as error:
        from laneway.tasks.errors import LanewayError

        if not isinstance(error, LanewayError):
            raise
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
