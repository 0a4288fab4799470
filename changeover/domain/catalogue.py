"""What can be rented: offers, options, configurations and their rates.

Prices are whole cents per 30 days; there is no float anywhere in a rate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FLEXI_PLUS = "flexi_plus"
"""The option that lifts the limit of one change in 30 days."""


class Per(StrEnum):
    """What an option's price is counted for."""

    SERVER = "server"
    SERVICE = "service"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option as one offer sells it: `price` in cents per 30 days, per server or once per service."""

    code: str
    price: int
    per: Per
    visible: bool = True
    names: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A line of the catalogue. `base` and `per_slot` are cents per 30 days and server."""

    code: str
    game: str
    base: int
    per_slot: int
    min_slots: int
    max_slots: int
    slot_step: int
    most_servers: int
    options: tuple[Option, ...] = ()
    visible: bool = True
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    def option(self, code: str) -> Option | None:
        return next((option for option in self.options if option.code == code), None)

    def allows_slots(self, slots: int) -> bool:
        in_range = self.min_slots <= slots <= self.max_slots
        return in_range and (slots - self.min_slots) % self.slot_step == 0


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a service is, or would be: `slots` per server, options by code (sorted, each once)."""

    offer: str
    slots: int
    options: tuple[str, ...] = ()
    server_count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(sorted(set(self.options))))

    @classmethod
    def of(cls, offer: str, slots: int, options: Iterable[str], server_count: int) -> "Configuration":
        return cls(offer=offer, slots=slots, options=tuple(options), server_count=server_count)

    @property
    def record(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return {
            "offer": self.offer,
            "slots": self.slots,
            "options": list(self.options),
            "server_count": self.server_count,
        }


Catalogue = Mapping[str, Offer]
"""The offers of one catalogue version, by code; withdrawn ones included."""


def rate(offer: Offer, configuration: Configuration) -> int:
    """Return the price of `configuration` in cents per 30 days.

    `server_count x (base + slots x per_slot + per-server options) + per-service options`, at the prices of
    `offer`, which must be the configuration's own. Raises `KeyError` for an option that the offer never had.
    """
    per_server = offer.base + configuration.slots * offer.per_slot
    per_service = 0
    for code in configuration.options:
        option = offer.option(code)
        if option is None:
            raise KeyError(code)
        if option.per is Per.SERVER:
            per_server += option.price
        else:
            per_service += option.price
    return configuration.server_count * per_server + per_service
