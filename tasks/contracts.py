"""One pydantic model per task payload.

A contract is checked at every door (submit, gateway, CLI) before anything is queued, and once
more where the task runs, because a stock Celery producer passes no door of ours.
"""

import unicodedata
from email.errors import MessageError
from email.headerregistry import Address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from laneway.tasks.errors import InvalidPayload

_LINE_BREAKERS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control, lone surrogate, line and paragraph separator."""

CollectionName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
UserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}$")]


def _single_line(text: str) -> str:
    if any(unicodedata.category(character) in _LINE_BREAKERS for character in text):
        raise ValueError("must be one line without control characters")
    return text


def _address(text: str) -> str:
    try:
        parsed = Address(addr_spec=text).addr_spec
    except (MessageError, ValueError, IndexError):
        parsed = None
    # What parses to something else holds a comment, a blank, or is no address at all.
    if parsed != text or "@" not in text or not text.isascii():
        raise ValueError("must be one e-mail address, such as name@example.org")
    return text


Line = Annotated[str, AfterValidator(_single_line)]


class Contract(BaseModel):
    """What every payload has in common: no unknown field, nothing changed after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DocumentsProcess(Contract):
    """Extract, chunk, embed and store one document."""

    file_path: Annotated[Line, Field(min_length=1, max_length=2_048)]
    user_id: UserId
    priority: Literal["low", "normal", "high"] = "normal"
    collection: CollectionName = "default"


class DocumentsEmbed(Contract):
    """Embed texts, or embed the stored texts of chunks anew."""

    texts: Annotated[list[str], Field(min_length=1, max_length=512)] | None = None
    chunk_ids: (
        Annotated[
            list[Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]],
            Field(min_length=1, max_length=10_000),
        ]
        | None
    ) = None
    collection: CollectionName = "default"

    @model_validator(mode="after")
    def _one_of_both(self) -> "DocumentsEmbed":
        if (self.texts is None) == (self.chunk_ids is None):
            raise ValueError("give either texts or chunk_ids")
        return self


class RagIndexCollection(Contract):
    """Build or refresh the indexes of a collection."""

    collection: CollectionName


class NotificationsSendEmail(Contract):
    """Send one plain-text e-mail."""

    to: Annotated[Line, Field(max_length=320), AfterValidator(_address)]
    subject: Annotated[Line, Field(max_length=900)]
    body: Annotated[str, Field(max_length=200_000)]


def check_payload(contract: type[BaseModel], payload: dict[str, Any]) -> BaseModel:
    """Check a payload against its contract.

    Raises:
        InvalidPayload: names each field and its reason, and repeats no value: a payload may
            hold what must not reach a log.
    """
    try:
        return contract.model_validate(payload)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'payload'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidPayload(
            f"{contract.__name__}: " + "; ".join(problems) + ". Correct it and submit again."
        ) from None
