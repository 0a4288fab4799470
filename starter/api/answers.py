"""What the API answers: the fields of DESIGN, section 5, and where in the facade's views each comes from.

Times are ISO 8601 in UTC with Z, rates and prices whole cents per 30 days.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from changeover.domain.catalogue import Configuration
from changeover.domain.quote import Quote, to_record
from starter.api import examples
from starter.api.problems import member, shape
from starter.texts import Texts
from starter.views import ChangeView, OfferView, Receipt, Requested, ServerView, ServiceView, TimelineEntry


def _shown(example: Mapping[str, Any]) -> ConfigDict:
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [dict(example)]})


class ConfigurationAnswer(BaseModel):
    model_config = _shown(examples.BEFORE)
    offer: str
    slots: int = Field(description="Slots of each server.")
    options: list[str] = Field(description="Codes, sorted.")
    server_count: int

    @classmethod
    def of(cls, configuration: Configuration) -> "ConfigurationAnswer":
        return cls.model_validate(configuration.record)


class ServerAnswer(BaseModel):
    model_config = _shown(examples.SERVERS[0])
    id: str
    name: str
    address: str
    state: str = Field(description="creating, active, marked or destroying.")
    backups: int = Field(description="As the host last counted them.")

    @classmethod
    def of(cls, view: ServerView) -> "ServerAnswer":
        return cls.model_validate(view)


class OpenChangeAnswer(BaseModel):
    model_config = _shown(examples.SERVICE["open_change"])  # type: ignore[arg-type]
    id: str
    stage: str


class ServiceAnswer(BaseModel):
    model_config = _shown(examples.SERVICE)
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
    model_config = _shown(examples.OFFER)
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
    model_config = _shown(examples.DESTROYED)
    id: str
    name: str
    address: str
    backups: int


class QuoteAnswer(BaseModel):
    """Blocked: `digest` is null, and so is what can't be worked out."""

    model_config = _shown(examples.QUOTE)
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


class RequestedAnswer(BaseModel):
    """The same however often it is asked for with the same key, whatever became of the change since."""

    model_config = _shown(examples.REQUESTED)
    id: str
    stage: str
    as_of: datetime = Field(description="T0: the moment from which the new expiry counts.")
    new_expires_at: datetime
    days_after: int
    code_expires_at: datetime | None = Field(description="Null until the mail is handed over.")
    tries_left: int
    sent_to: str = Field(description="The masked address that the code goes to.")
    window_ends_at: datetime

    @classmethod
    def of(cls, view: Requested) -> "RequestedAnswer":
        return cls.model_validate(view)


class CodeStateAnswer(RequestedAnswer):
    """Where a change stands with its code."""

    model_config = _shown(examples.CODE_STATE)
    resend_at: datetime | None = Field(description="From when another code may be asked for.")

    @classmethod
    def after(cls, view: ChangeView) -> "CodeStateAnswer":
        return cls.model_validate(view)


class ConfirmedAnswer(BaseModel):
    model_config = _shown({"stage": "committed", "new_expires_at": examples.CHANGE["new_expires_at"]})
    stage: str
    new_expires_at: datetime | None

    @classmethod
    def of(cls, view: ChangeView) -> "ConfirmedAnswer":
        return cls.model_validate(view)


class CancelledAnswer(BaseModel):
    model_config = _shown(
        {"id": examples.CHANGE_ID, "stage": "abandoned", "outcome": "abandoned", "reason": "cancelled"}
    )
    id: str
    stage: str
    outcome: str | None
    reason: str | None

    @classmethod
    def of(cls, view: ChangeView) -> "CancelledAnswer":
        return cls.model_validate(view)


_TOLD: Final = (
    "number",
    "wrong_on_change",
    "reason",
    "cause",
    "new_expires_at",
    "kind",
    "taken",
    "work",
    "step",
    "server_id",
    "server",
)
"""What of an entry's data customers see: nothing that was written for operators."""


class TimelineAnswer(BaseModel):
    model_config = _shown(examples.TIMELINE_ENTRY)
    seq: int
    at: datetime
    event: str
    stage: str
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: TimelineEntry) -> "TimelineAnswer":
        for_operators = {"reason"} if entry.event == "skipped" else set()
        data = {name: entry.data[name] for name in _TOLD if name in entry.data and name not in for_operators}
        moment = data.get("new_expires_at")
        if moment is not None:
            data["new_expires_at"] = member(datetime.fromisoformat(moment))
        return cls(seq=entry.seq, at=entry.at, event=entry.event, stage=entry.stage, data=data)


class ReceiptAnswer(BaseModel):
    model_config = _shown(examples.RECEIPT)
    server_id: str
    step: str
    at: datetime
    evidence: dict[str, Any]

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptAnswer":
        evidence = member({name: value for name, value in receipt.evidence.items() if name != "by"})
        return cls(server_id=receipt.server_id, step=receipt.step, at=receipt.at, evidence=evidence)


class HistoryEntryAnswer(BaseModel):
    """A change with its figures. `outcome` is null until it is committed or closed."""

    model_config = _shown(examples.CHANGE)
    id: str
    service_id: str
    stage: str
    outcome: str | None
    reason: str | None = Field(description="Why it was rejected or abandoned.")
    cause: str | None = Field(description="What had changed, when it was abandoned as stale.")
    before: ConfigurationAnswer
    after: ConfigurationAnswer
    as_of: datetime
    days_before: int | None
    days_after: int | None
    new_expires_at: datetime | None
    spends_pass: bool
    destroys: list[DestroyedAnswer]
    creates: int
    code_expires_at: datetime | None
    tries_left: int
    resend_at: datetime | None
    sent_to: str
    window_ends_at: datetime | None
    committed_at: datetime | None
    closed_at: datetime | None

    @classmethod
    def of(cls, view: ChangeView) -> "HistoryEntryAnswer":
        return cls.model_validate(_fields(view))


class ChangeAnswer(HistoryEntryAnswer):
    """A change with its timeline and the receipts of what was destroyed."""

    model_config = _shown(
        examples.CHANGE | {"timeline": [examples.TIMELINE_ENTRY], "receipts": [examples.RECEIPT]}
    )
    timeline: list[TimelineAnswer]
    receipts: list[ReceiptAnswer]

    @classmethod
    def of(cls, view: ChangeView) -> "ChangeAnswer":
        told = {
            "timeline": [TimelineAnswer.of(entry) for entry in view.timeline],
            "receipts": [ReceiptAnswer.of(receipt) for receipt in view.receipts],
        }
        return cls.model_validate(_fields(view) | told)


def _fields(view: ChangeView) -> dict[str, Any]:
    configurations = {
        "before": ConfigurationAnswer.of(view.before),
        "after": ConfigurationAnswer.of(view.after),
    }
    return dict(vars(view)) | configurations


class RenewedAnswer(BaseModel):
    model_config = _shown({"expires_at": "2027-01-12T09:00:00Z"})
    expires_at: datetime


class PanelLinkAnswer(BaseModel):
    model_config = _shown(
        {"url": "https://panel.example/panel/enter?token=...", "expires_at": "2026-11-23T09:01:05Z"}
    )
    url: str = Field(description="To send the customer's browser to; it works once.")
    expires_at: datetime


class ReadyAnswer(BaseModel):
    model_config = _shown({"ready": True, "database": "ok", "schema": "ok", "temporal": "away"})
    ready: bool
    database: str = Field(description="ok or away.")
    schema_: str = Field(alias="schema", description="ok, or other than this release's.")
    temporal: str = Field(description="ok or away; what only looks works without it.")


class LiveAnswer(BaseModel):
    model_config = _shown({"live": True})
    live: bool
