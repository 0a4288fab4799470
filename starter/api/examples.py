"""What the OpenAPI document shows as examples: one service, one change, and every problem once."""

from datetime import UTC, datetime
from typing import Any, Final

from changeover.domain import problems as p
from changeover.domain.problems import Problem
from starter.api.problems import InternalError, MethodNotAllowed

SERVICE_ID: Final = "5a0c6a2e-9f3b-5f0e-8a52-1b7f1f6f0c11"
SERVER_ID: Final = "c2c9f0de-4a83-5d0c-9f27-64b5a5f1d7a3"
CHANGE_ID: Final = "0d9d2c5b-6a8f-5b7e-b0a4-9c3b7d1e2f40"
ACCOUNT_ID: Final = "8e2f1a70-55c1-5a9e-9d0b-2f4f3f7c6b21"
DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

BEFORE: Final = {"offer": "cs2-public", "slots": 20, "options": [], "server_count": 3}
AFTER: Final = {"offer": "cs2-public", "slots": 20, "options": [], "server_count": 2}
DESTROYED: Final = {"id": SERVER_ID, "name": "server-3", "address": "203.0.113.3:27015", "backups": 3}
SERVERS: Final = [
    {"id": SERVER_ID, "name": "server-3", "address": "203.0.113.3:27015", "state": "marked", "backups": 3}
]
SERVICE: Final = {
    "id": SERVICE_ID,
    "name": "Les Renards",
    "configuration": BEFORE,
    "rate": 6000,
    "expires_at": "2026-12-13T09:00:00Z",
    "days_left": 20,
    "servers": SERVERS,
    "open_change": {"id": CHANGE_ID, "stage": "awaiting_code"},
    "next_change_at": None,
}
OFFER: Final = {
    "code": "cs2-public",
    "name": "Counter-Strike 2 Public",
    "game": "counter-strike-2",
    "base": 0,
    "per_slot": 100,
    "slots": {"min": 10, "max": 64, "step": 2},
    "most_servers": 10,
    "options": [{"code": "flexi_plus", "name": "Flexi+", "price": 490, "per": "service"}],
    "is_present": True,
}
QUOTE: Final[dict[str, Any]] = {
    "as_of": "2026-11-23T09:00:00Z",
    "rate_before": 6000,
    "rate_after": 4000,
    "days_before": 20,
    "days_after": 30,
    "new_expires_at": "2026-12-23T09:00:00Z",
    "required_days": 1,
    "spends_pass": False,
    "destroys": [DESTROYED],
    "creates": 0,
    "blockers": [],
    "digest": DIGEST,
}
REQUESTED: Final = {
    "id": CHANGE_ID,
    "stage": "awaiting_code",
    "as_of": "2026-11-23T09:00:05Z",
    "new_expires_at": "2026-12-23T08:59:57Z",
    "days_after": 29,
    "code_expires_at": None,
    "tries_left": 5,
    "sent_to": "a***@e***.com",
    "window_ends_at": "2026-11-23T10:00:05Z",
}
CODE_STATE: Final = REQUESTED | {"code_expires_at": "2026-11-23T09:12:05Z", "resend_at": None}
TIMELINE_ENTRY: Final = {
    "seq": 4711,
    "at": "2026-11-23T09:02:11.481516Z",
    "event": "committed",
    "stage": "committed",
    "data": {"new_expires_at": "2026-12-23T08:59:57Z"},
}
RECEIPT: Final = {
    "server_id": SERVER_ID,
    "step": "delete_backups",
    "at": "2026-11-23T09:02:13.108221Z",
    "evidence": {"bytes": 65536, "deleted": 3},
}
CHANGE: Final = {
    "id": CHANGE_ID,
    "service_id": SERVICE_ID,
    "stage": "completed",
    "outcome": "completed",
    "reason": None,
    "cause": None,
    "before": BEFORE,
    "after": AFTER,
    "as_of": "2026-11-23T09:00:05Z",
    "days_before": 19,
    "days_after": 29,
    "new_expires_at": "2026-12-23T08:59:57Z",
    "spends_pass": False,
    "destroys": [DESTROYED],
    "creates": 0,
    "code_expires_at": "2026-11-23T09:12:05Z",
    "tries_left": 0,
    "resend_at": None,
    "sent_to": "a***@e***.com",
    "window_ends_at": "2026-11-23T10:00:05Z",
    "committed_at": "2026-11-23T09:02:11.481516Z",
    "closed_at": "2026-11-23T09:02:15.802210Z",
}

_SOON: Final = datetime(2026, 12, 13, 9, tzinfo=UTC)
PROBLEMS: Final[tuple[Problem, ...]] = (
    p.ServiceExpired(expired_at=datetime(2026, 11, 20, 9, tzinfo=UTC)),
    p.ChangeInProgress(plan_change_id=CHANGE_ID),
    p.RecurringPaymentActive(),
    p.ConfigurationInvalid(field="slots", allowed={"min": 10, "max": 64, "step": 2}),
    p.NothingChanges(),
    p.ServersNotMarked(to_mark=1),
    p.ServersMarkedMismatch(kept=2),
    p.ChangeTooSoon(next_change_at=_SOON),
    p.NotConvertible(),
    p.InsufficientDays(required=4, remaining=3),
    p.TooManyDays(days_after=4000, most=3650),
    p.NoCapacity(free=1, needed=2),
    p.RequestInvalid(field="configuration.slots", detail="Input should be a valid integer"),
    p.QuoteStale(quote=QUOTE),
    p.AcknowledgementMissing(no_refund=False, destroys=[SERVER_ID]),
    p.CodeWrong(tries_left=4),
    p.CodeExpired(),
    p.CodeLocked(),
    p.ResendTooSoon(retry_after=42),
    p.ResendLimit(most=3),
    p.ChangeClosed(outcome="abandoned", reason="window-over"),
    p.NotFound(what="service"),
    p.IdempotencyKeyMissing(),
    p.IdempotencyKeyReused(),
    p.Unauthorized(),
    p.EngineUnavailable(retry_after=5),
    MethodNotAllowed(allowed=["GET"]),
    InternalError(),
)
"""Every problem, with figures as they could be."""
