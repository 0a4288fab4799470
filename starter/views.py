"""What the panel's side shows: frozen views, the same for Python, CLI and REST."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from changeover.domain.catalogue import Configuration, Offer

_ACTORS = ("customer", "system")
_TOLD = (
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


@dataclass(frozen=True, kw_only=True)
class AccountView:
    """A customer: `language` is `fr` or `en`."""

    id: str
    language: str
    email: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """`state`: creating, active, marked, destroying. `backups` is what the host last counted."""

    id: str
    name: str
    address: str
    state: str
    backups: int


@dataclass(frozen=True, kw_only=True)
class OpenChangeView:
    id: str
    stage: str


@dataclass(frozen=True, kw_only=True)
class ServiceView:
    """A service as it is. `rate` is cents per 30 days; `next_change_at` is None when a change is possible."""

    id: str
    name: str
    configuration: Configuration
    offer_names: Mapping[str, str]
    rate: int
    expires_at: datetime
    days_left: int
    servers: tuple[ServerView, ...]
    open_change: OpenChangeView | None
    next_change_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class OfferView:
    """An offer that a service can change to. `options` are the codes that may be chosen."""

    offer: Offer
    options: tuple[str, ...]
    is_present: bool


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """What the customer ticked: no refund, and the servers that are destroyed, by id."""

    no_refund: bool
    destroys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Requested:
    """The answer to a request that was accepted; the same however often it is asked with the same key."""

    id: str
    stage: str
    as_of: datetime
    new_expires_at: datetime
    days_after: int
    code_expires_at: datetime | None
    tries_left: int
    sent_to: str
    window_ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One thing that happened. `seq` grows; asking for what is behind one gives the rest."""

    seq: int
    at: datetime
    event: str
    stage: str
    actor: str
    data: Mapping[str, Any]

    def for_customer(self) -> "TimelineEntry":
        """Leave out what was written for operators: names, what a host said, why a step was skipped."""
        told = {name: self.data[name] for name in _TOLD if name in self.data}
        if self.event == "skipped":
            told.pop("reason", None)
        actor = self.actor if self.actor in _ACTORS else "operator"
        return replace(self, actor=actor, data=told)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one step of a teardown did, and its evidence."""

    server_id: str
    step: str
    at: datetime
    evidence: Mapping[str, Any]

    def for_customer(self) -> "Receipt":
        """Of a step that an operator skipped, only say so."""
        return replace(self, evidence={"skipped": True}) if self.evidence.get("skipped") else self


@dataclass(frozen=True, kw_only=True)
class ChangeView:
    """A plan change as it stands. `outcome` is None until it is committed or closed.

    `code_expires_at` is None until the mail is handed over; `resend_at` is from when a new code may be asked
    for, None when none can be.
    """

    id: str
    service_id: str
    stage: str
    outcome: str | None
    reason: str | None
    cause: str | None
    before: Configuration
    after: Configuration
    as_of: datetime
    days_before: int | None
    days_after: int | None
    new_expires_at: datetime | None
    spends_pass: bool
    destroys: tuple[Mapping[str, Any], ...]
    creates: int
    code_number: int
    code_expires_at: datetime | None
    tries_left: int
    resend_at: datetime | None
    sent_to: str
    window_ends_at: datetime | None
    committed_at: datetime | None
    closed_at: datetime | None
    timeline: tuple[TimelineEntry, ...] = ()
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Renewed:
    expires_at: datetime
