"""What arrives in forms and addresses: sizes are bounded here, the rest is the facade's to judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request

from changeover.domain.catalogue import Configuration, Offer
from changeover.storage.catalogue_file import MOST_SERVERS
from starter.views import OfferView

MOST_BYTES: Final = 32_768
_MOST_FIELDS: Final = 200
_ID: Final = "-" * 36
RECAP_BYTES: Final = MOST_BYTES + MOST_SERVERS * len(f"&shown={_ID}&destroys={_ID}")
RECAP_FIELDS: Final = _MOST_FIELDS + MOST_SERVERS * 2
"""A recap names each server that is given up twice: as shown, and as ticked."""
_MOST_DIGITS: Final = 9
_LONGEST: Final = 255

Fields = Mapping[str, Sequence[str]]


async def posted(request: Request, most_fields: int = _MOST_FIELDS) -> Fields:
    """Return the fields of a posted form. Raises `HTTPException` for what is no form of ours."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    try:
        text = (await request.body()).decode("utf-8")
        return parse_qs(text, keep_blank_values=True, max_num_fields=most_fields)
    except ValueError as error:
        raise HTTPException(400) from error


def queried(request: Request) -> Fields:
    """Return the fields of the address."""
    return {name: request.query_params.getlist(name) for name in request.query_params}


def first(fields: Fields, name: str, default: str = "") -> str:
    """Return the first value of a field, cut to what any of our fields may hold."""
    values = fields.get(name) or (default,)
    return values[0][:_LONGEST]


def whole(fields: Fields, name: str, default: int) -> int:
    """Return a field as a whole number, or the default when it is none."""
    text = first(fields, name).strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else default


def new_key() -> str:
    """Return an idempotency key: one for each form that is rendered."""
    return str(uuid4())


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The configuration that a form asks for, and its way through the addresses of the panel."""

    configuration: Configuration

    @classmethod
    def read(cls, fields: Fields, present: Configuration, kept: int, offers: Sequence[OfferView]) -> Self:
        """Read a form; what is missing is as it is now, with the number of servers that is kept.

        When the offer was just changed for another, slots, options and servers follow it as far as they can.
        """
        if "offer" not in fields:
            return cls(configuration=Configuration.of(present.offer, present.slots, present.options, kept))
        wanted = Configuration.of(
            first(fields, "offer"),
            whole(fields, "slots", present.slots),
            (option[:_LONGEST] for option in fields.get("options", ())),
            whole(fields, "server_count", kept),
        )
        its = next((offer for offer in offers if offer.offer.code == wanted.offer), None)
        was = first(fields, "shown_offer", wanted.offer)
        return cls(configuration=wanted if its is None or was == wanted.offer else _fitted(wanted, its))

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The form's fields, for hidden inputs and addresses."""
        wanted = self.configuration
        return [
            ("offer", wanted.offer),
            ("slots", str(wanted.slots)),
            *(("options", option) for option in wanted.options),
            ("server_count", str(wanted.server_count)),
        ]

    @property
    def query(self) -> str:
        return urlencode(self.fields)

    def with_servers(self, server_count: int) -> "Chosen":
        wanted = self.configuration
        return Chosen(
            configuration=Configuration.of(wanted.offer, wanted.slots, wanted.options, server_count)
        )


def _fitted(wanted: Configuration, its: OfferView) -> Configuration:
    offer = its.offer
    return Configuration.of(
        offer.code,
        min(slot_numbers(offer), key=lambda slots: abs(slots - wanted.slots)),
        (option for option in wanted.options if option in its.options),
        min(max(wanted.server_count, 1), offer.most_servers),
    )


def slot_numbers(offer: Offer) -> range:
    """Return the numbers of slots that can be had with an offer."""
    return range(offer.min_slots, offer.max_slots + 1, offer.slot_step)


def acknowledged(fields: Fields, wanted: Sequence[str]) -> tuple[bool, list[str]]:
    """Return whether no refund was acknowledged, and the servers that were not, of those wanted."""
    ticked = set(fields.get("destroys", ()))
    return first(fields, "no_refund") == "yes", [server for server in wanted if server not in ticked]
