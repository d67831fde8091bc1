"""The command about rights: acl."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from laneway.services.cli.output import print_json

if TYPE_CHECKING:
    from laneway.tasks.broker.acl import User
    from laneway.tasks.broker.acl_roles import Scope

SHORTEST_PASSWORD = 20
"""Redis keeps an unsalted hash, which a short password does not withstand."""

MERGED = (
    "Redis 6.2 lets a user use all its commands on all its keys: a producer may remove a lane's "
    "messages, say. From 7.0 on it may not."
)

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        help="Only these roles: producer, submitter, gateway, worker, observer, scaler, ops, "
        "keda, replica, sentinel, admin.",
    ),
]
Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", "-q", help="Only the worker of these lanes, and producers to them."),
]
Onward = Annotated[
    list[str] | None,
    typer.Option(
        help="A lane that tasks on other lanes may publish to, for chains and chords across lanes."
    ),
]
Passwords = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="A folder with a file for each user, named as the user, that holds its password. "
        "Only hashes are printed.",
    ),
]

Out = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="Write to this file, for its owner alone, in one step."),
]


def acl(
    role: Roles = None,
    queue: Queues = None,
    onward: Onward = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["acl", "commands", "json"],
        typer.Option(help="A file for Redis's aclfile, commands for redis-cli, or JSON."),
    ] = "acl",
    redis: Annotated[
        Literal["6.2", "7.0", "7.2", "8"],
        typer.Option(help="The oldest Redis it is for; Valkey is as 7.2."),
    ] = "7.2",
    broker: Annotated[
        str | None,
        typer.Option(help="For this Redis of LANEWAY_BROKERS and the lanes that it holds."),
    ] = None,
    server: Annotated[
        Literal["both", "broker", "results"] | None,
        typer.Option(help="What the Redis holds. Default: both; with --broker, no results."),
    ] = None,
    passwords: Passwords = None,
    out: Out = None,
) -> None:
    """Redis users for each part, with the least rights, for the lanes of the catalogue.

    laneway acl --passwords FOLDER > users.acl
    """
    from laneway.tasks.broker import acl as rights
    from laneway.tasks.broker.acl_roles import make_users

    held = server or ("both" if broker is None else "broker")
    found = [
        (user, rules)
        for user in make_users(_scope(queue, onward, broker), _known(role))
        if not queue or user.queue is None or user.queue in queue
        if (rules := rights.rules(user, redis, held))
    ]
    words = _password_rules([user for user, _ in found], passwords)
    if format == "json":
        print_json([_fields(user, rules, words[user.name]) for user, rules in found])
        return
    as_file = format == "acl"
    line = rights.file_line if as_file else rights.command_line
    lines = [line(user, rules, words[user.name]) for user, rules in found]
    if not role and not queue:
        lines.append(rights.DEFAULT_OFF_FILE if as_file else rights.DEFAULT_OFF_COMMAND)
    _give("\n".join(lines) + "\n", out)
    if redis == "6.2":
        typer.secho(MERGED, fg="yellow", err=True)


def _give(text: str, out: Path | None) -> None:
    """Print, or write a file that appears whole or not at all."""
    if out is None:
        typer.echo(text, nl=False)
        return
    partial = out.with_name(f".{out.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(text, "utf-8")
    partial.replace(out)


def _scope(queues: list[str] | None, onward: list[str] | None, broker: str | None) -> "Scope":
    from laneway.tasks.broker.acl_roles import Scope
    from laneway.tasks.broker.client import broker_url
    from laneway.tasks.queues import cached_catalogue
    from laneway.tasks.settings import current_settings

    settings = current_settings()
    catalogue = cached_catalogue(settings.queues_file)
    for name in (*(queues or ()), *(onward or ())):
        _ = catalogue[name]
    database = urlsplit(broker_url(settings, broker)).path.strip("/")
    return Scope(
        catalogue,
        lanes=tuple(queues or catalogue),
        onward=tuple(onward or ()),
        broker=broker,
        database=int(database) if database.isdecimal() else 0,
        kombu=settings.transport == "kombu",
    )


def _known(roles: list[str] | None) -> list[str]:
    from laneway.tasks.broker.acl_roles import ROLES

    for role in roles or ():
        if role not in ROLES:
            raise typer.BadParameter(
                f"there is no role {role!r}. Roles: {', '.join(ROLES)}.", param_hint="--role"
            )
    return roles or []


def _password_rules(users: "list[User]", folder: Path | None) -> dict[str, str]:
    """For each user the hash of its password as Redis wants it, or a word that Redis refuses."""
    if folder is None:
        return {user.name: f"#SHA256-OF-THE-PASSWORD-OF-{user.name}" for user in users}
    missing = [user.name for user in users if not (folder / user.name).is_file()]
    if missing:
        raise typer.BadParameter(
            f"{folder} has no file {', '.join(missing)}. Write each user's password into a file "
            "of its name, or choose users with --role and --queue.",
            param_hint="--passwords",
        )
    return {user.name: f"#{_hash(folder / user.name)}" for user in users}


def _hash(file: Path) -> str:
    password = file.read_bytes().rstrip(b"\r\n")
    if len(password) < SHORTEST_PASSWORD:
        raise typer.BadParameter(
            f"the password in {file} has {len(password)} bytes. Redis keeps a plain SHA-256 of it, "
            f"so let it have {SHORTEST_PASSWORD} random ones or more: `openssl rand -hex 32`.",
            param_hint="--passwords",
        )
    return sha256(password).hexdigest()


def _fields(user: "User", rules: list[str], password: str) -> dict[str, object]:
    return {
        "user": user.name,
        "role": user.role,
        "queue": user.queue,
        "password": password,
        "rules": rules,
    }
