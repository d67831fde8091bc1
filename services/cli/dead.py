"""Commands about dead letters: list, show, replay, discard, export, log."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laneway.services.cli.output import AsJson, print_fields, print_json, print_table
from laneway.services.cli.work import complete_queue

if TYPE_CHECKING:
    from laneway.tasks.broker.dead_letters import DeadLetter, Filter
    from laneway.tasks.dead_letters import Chosen, DeadLetters, Done, Who

LETTER_ID = re.compile(r"^[0-9a-f]{16}$")
LONGEST_WHY = 500

_AGE = re.compile(r"^(\d+(?:\.\d+)?)([smhd])$")
_RATE = re.compile(r"^(\d+(?:\.\d+)?)(?:/([smh]))?$")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

app = typer.Typer(
    no_args_is_help=True,
    help="Messages that could not run: look at them, put them back, remove them.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def parse_moment(text: str) -> float:
    """A moment in seconds since the epoch: an age, or a date with or without its zone."""
    age = _AGE.match(text)
    if age:
        return time.time() - float(age[1]) * _SECONDS[age[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: give an age such as 90m, 2h or 7d, or a date such as "
            "2030-01-31T12:00 (UTC unless it has a zone)."
        ) from None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def parse_rate(text: str) -> float:
    """A number of messages a second."""
    rate = _RATE.match(text)
    per_s = float(rate[1]) / _SECONDS[rate[2] or "s"] if rate else 0.0
    if per_s <= 0:
        raise typer.BadParameter(f"{text!r} is no rate: give for example 10/s, 100/m or 5/h.")
    return per_s


Queue = Annotated[str, typer.Argument(help="Lane.", autocompletion=complete_queue)]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters, as list prints them.")]
Every = Annotated[bool, typer.Option("--all", help="Every dead letter of the lane.")]
Kind = Annotated[str | None, typer.Option(help="Those of this kind, as list prints it.")]
Task = Annotated[str | None, typer.Option(help="Those of this task.")]
Before = Annotated[
    float | None,
    typer.Option(
        parser=parse_moment, metavar="TIME", help="Those that died before: a date, or 2h."
    ),
]
After = Annotated[
    float | None,
    typer.Option(parser=parse_moment, metavar="TIME", help="Those that died then or later."),
]
Rate = Annotated[
    float | None,
    typer.Option(parser=parse_rate, metavar="N/s", help="So many begin in a second at most."),
]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="Most of them, oldest first.")]
Why = Annotated[str | None, typer.Option(help="The reason, for the log; not with --dry-run.")]
By = Annotated[str | None, typer.Option(help="Who does it, for the log; your login name if none.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("list")
def list_letters(
    queue: Queue,
    kind: Kind = None,
    task: Task = None,
    before: Before = None,
    after: After = None,
    limit: Annotated[int, typer.Option(min=1, help="Most of them, youngest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The youngest dead letters of a lane, without what their tasks were given."""
    from itertools import islice

    lane = _lane(queue)
    found = list(islice(lane.look(_filter(kind, task, before, after)), limit + 1))
    rows = [letter.summary() for letter in found[:limit]]
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"No dead letters in {queue!r}.")
        return
    more = f", the youngest {limit} (--limit shows more)" if len(found) > limit else ""
    columns = ("id", "died_at", "kind", "task", "deliveries", "bytes", "reason")
    names = ("id", "died_at_s", "kind", "task", "deliveries", "size_bytes", "reason")
    cells = [[_shown(name, row[name]) for name in names] for row in rows]
    print_table(f"Dead letters of {queue!r}{more}", columns, cells)


@app.command()
def show(
    queue: Queue,
    letter: Annotated[str, typer.Argument(metavar="ID", help="Id of a dead letter.")],
    as_json: AsJson = False,
) -> None:
    """One dead letter with its message, which holds what the task was given."""
    found = _lane(queue).show(letter)
    if found is None:
        typer.echo(
            f"{queue!r} has no dead letter {letter!r}. `laneway dead list {queue}` lists them, "
            f"`laneway dead log {queue}` tells what was done to others.",
            err=True,
        )
        raise typer.Exit(1)
    if as_json:
        print_json(found.whole())
        return
    fields = {name: _shown(name, value) for name, value in found.summary().items()}
    arguments = _arguments(found)
    whole = found.whole()
    print_fields(f"Dead letter {letter}", {**fields, "arguments": arguments})
    typer.echo(f"Message ({whole['encoding']}):\n{_printable(whole['message'])}")


@app.command()
def replay(
    queue: Queue,
    ids: Ids = None,
    every: Every = False,
    kind: Kind = None,
    task: Task = None,
    before: Before = None,
    after: After = None,
    rate: Rate = None,
    limit: Most = None,
    why: Why = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back on their lane, as if just sent; exit code 1 if an id is not there."""
    wanted = _filter(kind, task, before, after)
    chosen = _chosen(ids, wanted, every=every, limit=limit)
    lane = _lane(queue)
    if dry_run:
        _preview(lane, queue, chosen, "replay", as_json=as_json)
        return
    who = _who(by, why)
    _tell(queue, "replayed", lane.replay(chosen, who, rate), as_json=as_json)


@app.command()
def discard(
    queue: Queue,
    ids: Ids = None,
    every: Every = False,
    kind: Kind = None,
    task: Task = None,
    before: Before = None,
    after: After = None,
    limit: Most = None,
    why: Why = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters for good; exit code 1 if an id is not there."""
    wanted = _filter(kind, task, before, after)
    chosen = _chosen(ids, wanted, every=every, limit=limit)
    lane = _lane(queue)
    if dry_run:
        _preview(lane, queue, chosen, "discard", as_json=as_json)
        return
    _tell(queue, "discarded", lane.discard(chosen, _who(by, why)), as_json=as_json)


@app.command()
def export(
    queue: Queue,
    kind: Kind = None,
    task: Task = None,
    before: Before = None,
    after: After = None,
    out: Annotated[
        Path | None, typer.Option(help="A new file, for your eyes only; standard output if none.")
    ] = None,
    why: Annotated[str, typer.Option(help="The reason, for the log.")] = "",
    by: By = None,
) -> None:
    """Write dead letters with their messages, a line of JSON each, the oldest first.

    `encoding` says how `message` stands there: as text (utf-8), or in base64 if it is no text.
    """
    letters = _lane(queue).export(_filter(kind, task, before, after), _who(by, why, needed=False))
    with _lines_to(out) as write:
        count = 0
        for count, letter in enumerate(letters, start=1):  # noqa: B007 - told below
            write(json.dumps({"queue": queue, **letter.whole()}))
    if out is not None:
        typer.echo(f"{_counted(count)} of {queue!r} in {out}", err=True)


@app.command()
def log(
    queue: Queue,
    limit: Annotated[int, typer.Option(min=1, help="Most entries.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who did what to a lane's dead letters, and why; the latest first."""
    actions = _lane(queue).log(limit)
    if as_json:
        print_json(actions)
        return
    if not actions:
        typer.echo(f"Nothing was done to dead letters of {queue!r}.")
        return
    columns = ("at", "did", "count", "by", "via", "which", "why")
    names = ("at_s", "verb", "count", "by", "via", "chosen", "why")
    rows = [[_shown(name, getattr(action, name)) for name in names] for action in actions]
    print_table(f"Done to dead letters of {queue!r}", columns, rows)


def _lane(queue: str) -> "DeadLetters":
    from laneway.tasks.app import get_app
    from laneway.tasks.dead_letters import DeadLetters

    return DeadLetters(get_app(), queue)


def _filter(
    kind: str | None, task: str | None, before_s: float | None, after_s: float | None
) -> "Filter":
    from laneway.tasks.broker.dead_letters import Filter

    return Filter(kind, task, before_s=before_s, after_s=after_s)


def _chosen(ids: list[str] | None, wanted: "Filter", *, every: bool, limit: int | None) -> "Chosen":
    from laneway.tasks.broker.dead_letters import EVERY
    from laneway.tasks.dead_letters import Chosen

    for letter in ids or ():
        if not LETTER_ID.match(letter):
            raise typer.BadParameter(
                f"{letter!r} is no id of a dead letter: those are 16 digits and letters a to f, "
                "as `laneway dead list` prints them. A task's own id will not do."
            )
    if [bool(ids), wanted != EVERY, every].count(True) != 1:
        raise typer.BadParameter(
            "say which dead letters are meant, in one way: by their ids, or by --kind, --task, "
            "--before and --after, or --all. --dry-run shows what would be done."
        )
    return Chosen(tuple(ids or ()), wanted, limit)


def _who(by: str | None, why: str | None, *, needed: bool = True) -> "Who":
    from laneway.tasks.dead_letters import Who

    reason = (why or "").strip()
    if needed and not reason:
        raise typer.BadParameter(
            "say why, for the log that `laneway dead log` shows.", param_hint="--why"
        )
    if len(reason) > LONGEST_WHY:
        raise typer.BadParameter(
            f"is longer than {LONGEST_WHY} characters: name the ticket instead.",
            param_hint="--why",
        )
    return Who(by=by or _login(), via="cli", why=reason)


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise typer.BadParameter(
            "this user has no login name: say who does it.", param_hint="--by"
        ) from None


def _preview(
    lane: "DeadLetters", queue: str, chosen: "Chosen", verb: str, *, as_json: bool
) -> None:
    found = lane.preview(chosen)
    rows = [(kind, task, count) for (kind, task), count in found.most_common()]
    if as_json:
        matched = [dict(zip(("kind", "task", "count"), row, strict=True)) for row in rows]
        print_json({"queue": queue, "dry_run": True, "count": found.total(), "matched": matched})
        return
    typer.echo(f"Would {verb} {_counted(found.total())} of {queue!r}; nothing was changed")
    if rows:
        cells = [(_printable(kind), _printable(task), count) for kind, task, count in rows]
        print_table("By kind and task", ("kind", "task", "count"), cells)


def _tell(queue: str, did: str, done: "Done", *, as_json: bool) -> None:
    if as_json:
        print_json({"queue": queue, **vars(done)})
    else:
        until = f"; the last is due {_moment(done.until_s)}" if done.until_s else ""
        more = "; --limit left more" if done.more else ""
        typer.echo(f"{_counted(done.count)} of {queue!r} {did}{until}{more}")
        if done.missing:
            typer.echo(f"Not there: {', '.join(done.missing)}", err=True)
    raise typer.Exit(1 if done.missing else 0)


@contextmanager
def _lines_to(out: Path | None) -> Iterator[Callable[[str], Any]]:
    """Writes lines to standard output, or to a new file that nobody else may read."""
    if out is None:
        yield typer.echo
        return
    import os

    from laneway.tasks.errors import LanewayError

    try:
        number = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            yield lambda line: file.write(line + "\n")
    except FileExistsError:
        raise typer.BadParameter(
            f"{out} is there already: name a new file.", param_hint="--out"
        ) from None
    except OSError as error:
        raise LanewayError(
            f"{out} cannot be written ({error.strerror}), and what is in it is not all. Name "
            "another place with --out."
        ) from error


def _arguments(letter: "DeadLetter") -> str | None:
    """What the task was given, if its message is of the usual coding."""
    from base64 import b64decode

    try:
        args, kwargs, _ = json.loads(b64decode(letter.envelope["body"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return _printable(json.dumps({"args": args, "kwargs": kwargs}, ensure_ascii=False))


def _counted(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def _shown(name: str, value: Any) -> str:
    return _moment(value) if name.endswith("_s") else _printable(value)


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _printable(value: Any) -> str:
    """What a stranger wrote must not steer the terminal."""
    return "".join(_escaped(str("" if value is None else value)))


def _escaped(text: str) -> Iterable[str]:
    for character in text:
        yield character if character.isprintable() else repr(character)[1:-1]
