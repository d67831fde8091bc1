"""Commands about tasks: submit, status, result, revoke, recover."""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from laneway.services.cli.output import AsJson, print_fields, print_json, print_table

if TYPE_CHECKING:
    from laneway.tasks.app import LanewayApp
    from laneway.tasks.status import TaskStatus

POLL_S = 0.2
SILENCE_S = 10.0
"""After which a task of which nothing is known deserves a hint."""


def _complete_task(incomplete: str) -> list[str]:
    from laneway.tasks.builtin import BUILTIN_TASKS

    return [name for name in BUILTIN_TASKS if name.startswith(incomplete)]


def complete_queue(incomplete: str) -> list[str]:
    """Lanes that begin so."""
    from laneway.tasks.queues import cached_catalogue
    from laneway.tasks.settings import current_settings

    catalogue = cached_catalogue(current_settings().queues_file)
    return [name for name in catalogue if name.startswith(incomplete)]


TaskId = Annotated[str, typer.Argument(help="Id of a task, as submit printed it.")]
Queue = Annotated[
    str | None, typer.Option("--queue", "-q", help="Lane.", autocompletion=complete_queue)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0,
        metavar="SECONDS",
        help="Wait no longer than this (with --wait); exit code 3.",
    ),
]


def submit(
    task: Annotated[str, typer.Argument(help="Task name.", autocompletion=_complete_task)],
    kwargs: Annotated[str, typer.Option("--kwargs", "-k", help="Payload, a JSON object.")] = "{}",
    queue: Queue = None,
    countdown: Annotated[float | None, typer.Option(help="Delay in seconds.", min=0)] = None,
    expires: Annotated[float | None, typer.Option(help="Drop unrun after seconds.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 is first.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key within a day is the same task.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until it has ended.")] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Queue a task; with --wait, exit code 1 if it did not succeed, 3 if time was up."""
    _check_timeout(timeout, wait=wait)
    from laneway.tasks.app import get_app
    from laneway.tasks.dispatch import submit as dispatch

    submission = dispatch(
        task,
        _payload(kwargs),
        queue=queue,
        countdown_s=countdown,
        expires=expires,
        priority=priority,
        idempotency_key=idempotency_key,
    )
    if not wait:
        if as_json:
            print_json(submission)
        else:
            typer.echo(f"{submission.task_id} queued on {submission.queue}")
        return
    outcome = _follow(get_app(), submission.task_id, quiet=as_json, timeout_s=timeout)
    _print_status(outcome, as_json=as_json)
    if not outcome.final:
        _end_of_patience(outcome, timeout or 0)
    raise typer.Exit(0 if outcome.state == "SUCCESS" else 1)


def status(task_id: TaskId, as_json: AsJson = False) -> None:
    """State and progress of a task; exit code 1 if its id is not known."""
    outcome = _read(task_id)
    _print_status(outcome, as_json=as_json)
    if not outcome.known:
        raise typer.Exit(1)


def result(
    task_id: TaskId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    timeout: Timeout = None,
) -> None:
    """Result of a task as JSON; exit code 1 if it failed or is not known, 2 if it has not ended.

    Exit code 3 if it had not ended when the time of --timeout was up.
    """
    _check_timeout(timeout, wait=wait)
    from laneway.tasks.app import get_app

    outcome = _read(task_id)
    if not outcome.known:
        _say_unknown(task_id)
        raise typer.Exit(1)
    if wait:
        outcome = _follow(get_app(), task_id, quiet=True, timeout_s=timeout)
        if not outcome.final:
            _end_of_patience(outcome, timeout or 0)
    if not outcome.final:
        typer.echo(f"{task_id} is {outcome.state}; it has no result yet (--wait waits).", err=True)
        raise typer.Exit(2)
    if outcome.state != "SUCCESS":
        typer.echo(outcome.error or outcome.state, err=True)
        raise typer.Exit(1)
    print_json(outcome.result)


def revoke(
    task_id: TaskId,
    terminate: Annotated[bool, typer.Option(help="End it even if it runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Call a task off; exit code 1 if it has ended already."""
    from laneway.tasks.app import get_app
    from laneway.tasks.status import revoke as call_off

    before = _read(task_id)
    if not before.final:
        call_off(get_app(), task_id, terminate=terminate)
    if as_json:
        fields = {"revoked": not before.final, "terminate": terminate, "known": before.known}
        print_json({"task_id": task_id, **fields, "state": before.state})
    elif before.final:
        typer.echo(f"{task_id} has ended ({before.state}); nothing was called off", err=True)
    elif before.known:
        typer.echo(f"{task_id} is called off")
    else:
        typer.echo(
            f"{task_id} is called off, should it still come: no task of this id is known here"
        )
    raise typer.Exit(1 if before.final else 0)


def recover(
    queue: Annotated[
        list[str] | None,
        typer.Argument(help="Lanes; all if none.", autocompletion=complete_queue),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give back to lanes what is due, and what workers held that are gone.

    Workers do it for each other; this is for lanes that have none.
    """
    from laneway.tasks.broker.client import check_brokers, reaching_lane
    from laneway.tasks.broker.recovery import recover_lane
    from laneway.tasks.queues import cached_catalogue
    from laneway.tasks.settings import current_settings

    settings = current_settings()
    catalogue = cached_catalogue(settings.queues_file)
    check_brokers(settings, catalogue)
    rows = []
    for name, entry in {name: catalogue[name] for name in queue or catalogue}.items():
        with reaching_lane(settings, entry) as client:
            rows.append({"queue": name, **asdict(recover_lane(client, name))})
    if as_json:
        print_json(rows)
        return
    table = [(row["queue"], row["recovered"], row["due"], row["ready"]) for row in rows]
    print_table("Given back", ("queue", "of workers gone", "due", "ready now"), table)


def _payload(text: str) -> dict[str, Any]:
    from laneway.tasks.errors import InvalidPayload

    try:
        payload = json.loads(text)
    except ValueError as error:
        raise InvalidPayload(f"--kwargs is not JSON ({error}). Quote it as one argument.") from None
    if not isinstance(payload, dict):
        raise InvalidPayload('--kwargs must be a JSON object, such as \'{"collection": "a"}\'.')
    return payload


def _read(task_id: str) -> "TaskStatus":
    from laneway.tasks.app import get_app
    from laneway.tasks.status import read_status

    return read_status(get_app(), task_id)


def _print_status(outcome: "TaskStatus", *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(outcome), "known": outcome.known})
    elif outcome.known:
        print_fields(f"Task {outcome.task_id}", asdict(outcome))
    else:
        _say_unknown(outcome.task_id)


def _say_unknown(task_id: str) -> None:
    typer.echo(
        f"{task_id} is not known: no task of this id was accepted here within the last day, and "
        "none has started.",
        err=True,
    )


def _check_timeout(timeout_s: float | None, *, wait: bool) -> None:
    if timeout_s is not None and not wait:
        raise typer.BadParameter("it bounds a wait: give --wait too.", param_hint="--timeout")


def _end_of_patience(outcome: "TaskStatus", timeout_s: float) -> NoReturn:
    typer.echo(
        f"{outcome.task_id} is {outcome.state} after {timeout_s:g} s and goes on without being "
        "watched; `laneway status` shows it.",
        err=True,
    )
    raise typer.Exit(3)


def _hint(app: "LanewayApp") -> str:
    from laneway.tasks.broker.client import without_password

    return (
        f"No state of it is known after {SILENCE_S:.0f} s: it still waits in its lane (see `laneway "
        "queues`), or its worker keeps results elsewhere than LANEWAY_RESULT_URL says here: "
        f"{without_password(app.settings.results)}"
    )


def _follow(
    app: "LanewayApp", task_id: str, *, quiet: bool, timeout_s: float | None = None
) -> "TaskStatus":
    """Show state and progress until the task has ended or time is up."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from laneway.tasks.status import read_status

    columns = (
        TextColumn("{task.description}", markup=False),  # a step may be `[1]`
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        shown = bar.add_task("PENDING", total=None)
        began_s, hinted = time.monotonic(), False
        while not (outcome := read_status(app, task_id)).final:
            waited_s = time.monotonic() - began_s
            if waited_s >= SILENCE_S and outcome.state == "PENDING" and not hinted:
                hinted = True
                bar.console.print(_hint(app), markup=False, soft_wrap=True)
            if timeout_s is not None and waited_s >= timeout_s:
                return outcome
            progress = outcome.progress or {}
            label = " ".join(filter(None, (outcome.state, str(progress.get("step") or ""))))
            bar.update(
                shown,
                description=label,
                total=progress.get("total"),
                completed=progress.get("done") or 0,
            )
            time.sleep(POLL_S)
        bar.update(shown, description=outcome.state, total=1, completed=1)
    return outcome
