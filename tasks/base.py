"""The task base class, and the decorator that makes a task of a function."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import celery
from celery import shared_task
from celery.local import Proxy
from pydantic import BaseModel

from laneway.tasks.app import get_app
from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.contracts import check_payload
from laneway.tasks.errors import InvalidPayload

_NAME = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")


class LanewayTask(celery.Task):
    """Base of every task, a team's plain `@shared_task` included."""

    abstract = True
    contract: type[BaseModel] | None = None
    """Model of the payload; checked where a task is submitted and where it runs."""
    dead_letter_on_failure = False
    """Whether its message is kept among the dead letters when it has failed for good."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Celery's own, after a look at the payload.

        Raises:
            InvalidPayload: nothing was queued.
            UnknownQueue: nothing was queued.
        """
        if self.contract is not None:
            check_payload(self.contract, bind_payload(self.run, args or (), kwargs or {}))
        return super().apply_async(args, kwargs, **options)

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **options: Any
    ) -> None:
        """Celery's own; who observes the app hears of it too."""
        super().update_state(task_id, state, meta, **options)
        self.app.on_state(state or "", meta)


def task(
    name: str, *, contract: type[BaseModel] | None = None, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Make a Celery task of a function: an explicit name, late acks, a payload that is checked.

    Args:
        name: `{domain}.{action}`, stable wherever the function moves.
        contract: pydantic model of the keyword arguments. Without one, parameters annotated
            with pydantic models are validated as Celery's `pydantic=True` does.
        options: Celery's own task options (max_retries, autoretry_for, rate_limit, time_limit, …),
            and `dead_letter_on_failure=True`: keep its message when it has failed for good.
    """
    if not _NAME.match(name):
        raise ValueError(
            f"Task name {name!r} is not {{domain}}.{{action}} in lower case, such as "
            "documents.process. Name it so; the name outlives the function's place."
        )
    builtin = BUILTIN_TASKS.get(name)
    if builtin is not None:
        contract = builtin.contract
        options.setdefault("time_limit", builtin.time_limit_s)
        options.setdefault("soft_time_limit", builtin.soft_time_limit_s)

    def decorate(function: Callable[..., Any]) -> Any:
        body = function
        if contract is None:
            options.setdefault("pydantic", True)
        else:
            body = _checked(function, contract, bound=bool(options.get("bind")))
            never = tuple(options.pop("dont_autoretry_for", ()))
            options["dont_autoretry_for"] = (*never, InvalidPayload)
        shared_task(name=name, contract=contract, **options)(body)
        return Proxy(lambda: get_app().tasks[name])

    return decorate


def bind_payload(
    function: Callable[..., Any], args: tuple[Any, ...] | list[Any], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Positional and keyword arguments as one payload.

    Raises:
        InvalidPayload: an argument is missing, unknown or given twice.
    """
    return _bind(_signature(function), args, kwargs)


_signature = functools.lru_cache(maxsize=1024)(inspect.signature)


def _bind(signature: inspect.Signature, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise InvalidPayload(f"{error}. Correct the arguments and submit again.") from None


def _checked(
    function: Callable[..., Any], contract: type[BaseModel], *, bound: bool
) -> Callable[..., Any]:
    """The function, called with what the contract made of its arguments."""
    whole = inspect.signature(function)
    parameters = list(whole.parameters.values())
    signature = whole.replace(parameters=parameters[1:] if bound else parameters)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        owner, given = (args[:1], args[1:]) if bound else ((), args)
        payload = check_payload(contract, _bind(signature, given, kwargs))
        return function(*owner, **dict(payload))

    return checked
