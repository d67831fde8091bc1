"""Tasks of a team's own: one in Celery's words, one with a checked payload."""

from typing import Annotated

from celery import shared_task
from pydantic import BaseModel, Field

from laneway.tasks import task


class Render(BaseModel):
    """What `reports.render` is to be called with."""

    month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
    copies: Annotated[int, Field(ge=1, le=100)] = 1


@task("reports.render", contract=Render, max_retries=3, autoretry_for=(ConnectionError,))
def render(month: str, copies: int = 1) -> dict[str, str | int]:
    """Refused before it is queued unless the payload is a `Render`."""
    return {"month": month, "copies": copies, "status": "rendered"}


@shared_task(name="reports.count")
def count(words: list[str]) -> int:
    """Celery's own decorator works unchanged."""
    return len(words)
