"""What the API answers: the fields of DESIGN, section 5, and where in the facade's views each comes from.

Times are ISO 8601 in UTC with Z, rates and prices whole cents per 30 days.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from changeover.domain.catalogue import Configuration
from changeover.domain.quote import Quote, to_record
from starter.api import examples
from starter.api.problems import shape
from starter.texts import Texts
from starter.views import OfferView, ServerView, ServiceView


def shown(example: Mapping[str, Any]) -> ConfigDict:
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [dict(example)]})


class ConfigurationAnswer(BaseModel):
    model_config = shown(examples.BEFORE)
    offer: str
    slots: int = Field(description="Slots of each server.")
    options: list[str] = Field(description="Codes, sorted.")
    server_count: int

    @classmethod
    def of(cls, configuration: Configuration) -> "ConfigurationAnswer":
        return cls.model_validate(configuration.record)


class ServerAnswer(BaseModel):
    model_config = shown(examples.SERVERS[0])
    id: str
    name: str
    address: str
    state: str = Field(description="creating, active, marked or destroying.")
    backups: int = Field(description="As the host last counted them.")

    @classmethod
    def of(cls, view: ServerView) -> "ServerAnswer":
        return cls.model_validate(view)


class OpenChangeAnswer(BaseModel):
    model_config = shown(examples.SERVICE["open_change"])  # type: ignore[arg-type]
    id: str
    stage: str


class ServiceAnswer(BaseModel):
    model_config = shown(examples.SERVICE)
    id: str
    name: str
    configuration: ConfigurationAnswer
    rate: int = Field(description="Cents per 30 days.")
    expires_at: datetime
    days_left: int
    servers: list[ServerAnswer]
    open_change: OpenChangeAnswer | None
    next_change_at: datetime | None = Field(
        description="From when a change is possible without a pass; null when it is now."
    )

    @classmethod
    def of(cls, view: ServiceView) -> "ServiceAnswer":
        return cls(
            id=view.id,
            name=view.name,
            configuration=ConfigurationAnswer.of(view.configuration),
            rate=view.rate,
            expires_at=view.expires_at,
            days_left=view.days_left,
            servers=[ServerAnswer.of(server) for server in view.servers],
            open_change=OpenChangeAnswer.model_validate(view.open_change) if view.open_change else None,
            next_change_at=view.next_change_at,
        )


class SlotsAnswer(BaseModel):
    min: int
    max: int
    step: int


class OptionAnswer(BaseModel):
    code: str
    name: str
    price: int = Field(description="Cents per 30 days.")
    per: str = Field(description="server or service.")


class OfferAnswer(BaseModel):
    model_config = shown(examples.OFFER)
    code: str
    name: str = Field(description="In the caller's language.")
    game: str
    base: int = Field(description="Cents per 30 days and server.")
    per_slot: int = Field(description="Cents per 30 days and slot.")
    slots: SlotsAnswer
    most_servers: int
    options: list[OptionAnswer] = Field(description="Those that the service may have with this offer.")
    is_present: bool = Field(description="The offer that the service has now.")

    @classmethod
    def of(cls, view: OfferView, language: str) -> "OfferAnswer":
        it = view.offer
        return cls(
            code=it.code,
            name=it.names.get(language, it.code),
            game=it.game,
            base=it.base,
            per_slot=it.per_slot,
            slots=SlotsAnswer(min=it.min_slots, max=it.max_slots, step=it.slot_step),
            most_servers=it.most_servers,
            options=[
                OptionAnswer(
                    code=option.code,
                    name=option.names.get(language, option.code),
                    price=option.price,
                    per=option.per.value,
                )
                for option in it.options
                if option.code in view.options
            ],
            is_present=view.is_present,
        )


class DestroyedAnswer(BaseModel):
    model_config = shown(examples.DESTROYED)
    id: str
    name: str
    address: str
    backups: int


class QuoteAnswer(BaseModel):
    """Blocked: `digest` is null, and so is what can't be worked out."""

    model_config = shown(examples.QUOTE)
    as_of: datetime
    rate_before: int
    rate_after: int | None
    days_before: int
    days_after: int | None
    new_expires_at: datetime | None
    required_days: int | None
    spends_pass: bool
    destroys: list[DestroyedAnswer]
    creates: int
    blockers: list[dict[str, Any]] = Field(description="All that stands in the way, each as a problem.")
    digest: str | None

    @classmethod
    def of(cls, quote: Quote, texts: Texts) -> "QuoteAnswer":
        blockers = [shape(blocker, texts) for blocker in quote.blockers]
        return cls.model_validate(to_record(quote) | {"blockers": blockers})


class RenewedAnswer(BaseModel):
    model_config = shown({"expires_at": "2027-01-12T09:00:00Z"})
    expires_at: datetime


class PanelLinkAnswer(BaseModel):
    model_config = shown(
        {"url": "https://panel.example/panel/enter?token=...", "expires_at": "2026-11-23T09:01:05Z"}
    )
    url: str = Field(description="To send the customer's browser to; it works once.")
    expires_at: datetime
