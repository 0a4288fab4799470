"""What the API answers about plan changes: the request, its code, its end, its timeline and receipts."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from starter.api import examples
from starter.api.answers import ConfigurationAnswer, DestroyedAnswer, shown
from starter.api.problems import member
from starter.views import ChangeView, Receipt, Requested, TimelineEntry


class RequestedAnswer(BaseModel):
    """The same however often it is asked for with the same key, whatever became of the change since."""

    model_config = shown(examples.REQUESTED)
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

    model_config = shown(examples.CODE_STATE)
    resend_at: datetime | None = Field(description="From when another code may be asked for.")

    @classmethod
    def after(cls, view: ChangeView) -> "CodeStateAnswer":
        return cls.model_validate(view)


class ConfirmedAnswer(BaseModel):
    model_config = shown({"stage": "committed", "new_expires_at": examples.CHANGE["new_expires_at"]})
    stage: str
    new_expires_at: datetime | None

    @classmethod
    def of(cls, view: ChangeView) -> "ConfirmedAnswer":
        return cls.model_validate(view)


class CancelledAnswer(BaseModel):
    model_config = shown(
        {"id": examples.CHANGE_ID, "stage": "abandoned", "outcome": "abandoned", "reason": "cancelled"}
    )
    id: str
    stage: str
    outcome: str | None
    reason: str | None

    @classmethod
    def of(cls, view: ChangeView) -> "CancelledAnswer":
        return cls.model_validate(view)


class TimelineAnswer(BaseModel):
    model_config = shown(examples.TIMELINE_ENTRY)
    seq: int
    at: datetime
    event: str
    stage: str
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: TimelineEntry) -> "TimelineAnswer":
        data = dict(entry.data)
        moment = data.get("new_expires_at")
        if moment is not None:
            data["new_expires_at"] = member(datetime.fromisoformat(moment))
        return cls(seq=entry.seq, at=entry.at, event=entry.event, stage=entry.stage, data=data)


class ReceiptAnswer(BaseModel):
    model_config = shown(examples.RECEIPT)
    server_id: str
    step: str
    at: datetime
    evidence: dict[str, Any]

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptAnswer":
        evidence = member(dict(receipt.evidence))
        return cls(server_id=receipt.server_id, step=receipt.step, at=receipt.at, evidence=evidence)


class HistoryEntryAnswer(BaseModel):
    """A change with its figures. `outcome` is null until it is committed or closed."""

    model_config = shown(examples.CHANGE)
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

    model_config = shown(
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
