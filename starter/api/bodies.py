"""What the API takes: bodies with limits and nothing unknown in them, and the headers that carry meaning."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import IdempotencyKeyMissing, RequestInvalid
from starter.api import examples
from starter.plain import LONGEST, PATTERN
from starter.views import Acknowledgement

MOST_BYTES: Final = 64 * 1024
_PATIENCE_SECONDS: Final = 15
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")
_LARGEST: Final = 2**31 - 1


def _whole(value: object) -> object:
    """Take 20.0 for 20, as JSON Schema does; a truth value is no number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[Whole, Field(ge=-_LARGEST, le=_LARGEST)]
Code = Annotated[str, StringConstraints(max_length=LONGEST, pattern=PATTERN)]


def _shown(example: Mapping[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [dict(example)]})


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ConfigurationBody(Body):
    """What can't be had is a blocker of the quote, not a malformed request."""

    offer: Code
    slots: Number = Field(description="Slots of each server.")
    options: list[Code] = Field(max_length=50, description="Codes; the order means nothing.")
    server_count: Number

    def wanted(self) -> Configuration:
        return Configuration.of(self.offer, self.slots, self.options, self.server_count)


class QuoteBody(Body):
    model_config = _shown({"configuration": examples.AFTER})
    configuration: ConfigurationBody


class AcknowledgementBody(Body):
    no_refund: bool
    destroys: list[Code] = Field(max_length=1000, description="Ids of the servers that are destroyed.")

    def given(self) -> Acknowledgement:
        return Acknowledgement(no_refund=self.no_refund, destroys=tuple(sorted(set(self.destroys))))


_CONFIRM_EXAMPLE: Final = {
    "configuration": examples.AFTER,
    "digest": examples.DIGEST,
    "acknowledge": {"no_refund": True, "destroys": [examples.SERVER_ID]},
}


class ConfirmBody(Body):
    model_config = _shown(_CONFIRM_EXAMPLE)
    configuration: ConfigurationBody
    digest: Code | None = Field(
        description="Of the quote that is confirmed; null, as a blocked quote has it."
    )
    acknowledge: AcknowledgementBody


class CodeBody(Body):
    model_config = _shown({"code": "bcdf-ghjk"})
    code: str = Field(max_length=100, description="As typed: case, spaces and punctuation are forgiven.")


class RenewalBody(Body):
    model_config = _shown({"days": 30})
    days: Whole = Field(ge=1, le=3650)


class EmptyBody(Body):
    """Nothing, or an empty object."""

    model_config = _shown({})


B = TypeVar("B", bound=Body)


async def read(request: Request, kind: type[B], *, unless: Callable[[], Awaitable[object]]) -> B:
    """Return the body. Raises what `unless` raises (404 goes first), or else `RequestInvalid`."""
    invalid: RequestInvalid
    try:
        raw = await _bytes(request)
        return kind.model_validate_json(raw or (b"{}" if kind is EmptyBody else b""))
    except ValidationError as error:
        invalid = _first(error)
    except RequestInvalid as refusal:
        invalid = refusal
    await unless()
    raise invalid


async def _bytes(request: Request) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestInvalid(field="Content-Type", detail="a body is application/json")
    content = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise RequestInvalid(field="body", detail=f"more than {MOST_BYTES} bytes")
    except TimeoutError:
        raise RequestInvalid(field="body", detail=f"not complete after {_PATIENCE_SECONDS} s") from None
    return bytes(content)


def _first(error: ValidationError) -> RequestInvalid:
    """Return the first mistake, without what was sent."""
    mistake = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(part if isinstance(part, str) else str(part) for part in mistake["loc"])
    return RequestInvalid(
        field=field[:100].encode("ascii", "replace").decode() or "body", detail=mistake["msg"]
    )


def idempotency_key(request: Request) -> str:
    """Return the key. Raises `IdempotencyKeyMissing`, or `RequestInvalid` for what can't be one."""
    given = [key.strip() for key in request.headers.getlist("idempotency-key")]
    if not any(given):
        raise IdempotencyKeyMissing
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise RequestInvalid(field="Idempotency-Key", detail="one, of 1 to 255 visible ASCII characters")
    return given[0]


def last_event_id(request: Request) -> int:
    """Return behind which entry a stream goes on; 0 for all of it."""
    given = request.headers.get("last-event-id", "").strip()
    if given and not _SEQUENCE.fullmatch(given):
        raise RequestInvalid(field="Last-Event-ID", detail="the id of an event that was received")
    return int(given or 0)
