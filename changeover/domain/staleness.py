"""Whether what was confirmed is still what would happen, judged at commit.

A renewal in between is kept: a later expiry alone makes nothing stale (unless no calendar has the new one).
Anything else that differs does, and the change is abandoned with the cause, never adjusted.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from changeover.domain.quote import Quote


class StaleCause(StrEnum):
    """Why what was confirmed can't be done any more; told to the customer. First match wins."""

    SERVICE_EXPIRED = "service-expired"
    CONFIGURATION_CHANGED = "configuration-changed"
    OFFER_WITHDRAWN = "offer-withdrawn"
    PRICES_CHANGED = "prices-changed"
    SERVERS_CHANGED = "servers-changed"
    PASS_GONE = "pass-gone"  # noqa: S105 - an instant-change pass, not a password
    EXPIRY_SHORTENED = "expiry-shortened"
    RECURRING_PAYMENT_ACTIVE = "recurring-payment-active"
    TOO_MANY_DAYS = "too-many-days"
    NO_CAPACITY = "no-capacity"
    RULES_CHANGED = "rules-changed"


def stale_cause(confirmed: Mapping[str, Any], fresh: Quote, now: datetime) -> StaleCause | None:
    """Compare the confirmed `Quote.terms` with a fresh quote at T0; `now` is when the right code arrived."""
    terms = fresh.terms
    differs = {name for name in terms if terms[name] != confirmed[name]}
    blocked = {problem.code for problem in fresh.blockers}
    confirmed_expiry = datetime.fromisoformat(confirmed["expires_at"])
    shortened = fresh.expires_at < confirmed_expiry
    if fresh.expires_at > confirmed_expiry and fresh.new_expires_at is not None:
        blocked.discard("too-many-days")  # a renewal is kept, however far it reaches
    causes = (
        (now >= fresh.expires_at, StaleCause.SERVICE_EXPIRED),
        (bool(differs & {"before", "after"}), StaleCause.CONFIGURATION_CHANGED),
        ("configuration-invalid" in blocked, StaleCause.OFFER_WITHDRAWN),
        (bool(differs & {"rate_before", "rate_after"}), StaleCause.PRICES_CHANGED),
        (bool(differs & {"destroys", "creates"}), StaleCause.SERVERS_CHANGED),
        ("spends_pass" in differs, StaleCause.PASS_GONE),
        (shortened, StaleCause.EXPIRY_SHORTENED),
        ("recurring-payment-active" in blocked, StaleCause.RECURRING_PAYMENT_ACTIVE),
        ("too-many-days" in blocked, StaleCause.TOO_MANY_DAYS),
        ("no-capacity" in blocked, StaleCause.NO_CAPACITY),
        (bool(blocked), StaleCause.RULES_CHANGED),
    )
    return next((cause for holds, cause in causes if holds), None)
