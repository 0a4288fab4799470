"""The stages of a plan change, and which follow which (DESIGN, section 3)."""

from collections.abc import Mapping
from enum import StrEnum


class Stage(StrEnum):
    REQUESTED = "requested"
    REJECTED = "rejected"
    AWAITING_CODE = "awaiting_code"
    ABANDONED = "abandoned"
    COMMITTED = "committed"
    APPLYING = "applying"
    NEEDS_ATTENTION = "needs_attention"
    COMPLETED = "completed"


class AbandonReason(StrEnum):
    """Why a change that awaited its code came to nothing."""

    TOO_MANY_TRIES = "too-many-tries"
    WINDOW_OVER = "window-over"
    CANCELLED = "cancelled"
    MAIL_REFUSED = "mail-refused"
    STALE = "stale"
    INTERRUPTED = "interrupted"
    """Its workflow was terminated; the service's next change found the row and closed it."""


TRANSITIONS: Mapping[Stage, frozenset[Stage]] = {
    Stage.REQUESTED: frozenset({Stage.REJECTED, Stage.AWAITING_CODE}),
    Stage.AWAITING_CODE: frozenset({Stage.ABANDONED, Stage.COMMITTED}),
    Stage.COMMITTED: frozenset({Stage.APPLYING}),
    Stage.APPLYING: frozenset({Stage.NEEDS_ATTENTION, Stage.COMPLETED}),
    Stage.NEEDS_ATTENTION: frozenset({Stage.APPLYING}),
    Stage.REJECTED: frozenset(),
    Stage.ABANDONED: frozenset(),
    Stage.COMPLETED: frozenset(),
}

CLOSED = frozenset(stage for stage, following in TRANSITIONS.items() if not following)
OPEN = frozenset(TRANSITIONS) - CLOSED
COMMITTED = frozenset({Stage.COMMITTED, Stage.APPLYING, Stage.NEEDS_ATTENTION, Stage.COMPLETED})
"""The stages past the point of no return."""


class IllegalTransition(Exception):
    """A defect: a stage was asked for that can't follow the present one."""


def move(present: Stage, following: Stage) -> Stage:
    """Return `following`; raises `IllegalTransition` when it can't follow `present`."""
    if following not in TRANSITIONS[present]:
        raise IllegalTransition(f"{present} can't be followed by {following}")
    return following


def outcome(stage: Stage) -> str | None:
    """Return the outcome that a customer is told: None while open and not committed."""
    if stage in COMMITTED - CLOSED:
        return Stage.COMMITTED.value
    return stage.value if stage in CLOSED else None
