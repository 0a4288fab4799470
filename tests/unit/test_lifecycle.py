"""The stages of a plan change: only the allowed moves, and an end from everywhere."""

from itertools import product

import pytest

from changeover.domain.lifecycle import (
    CLOSED,
    COMMITTED,
    OPEN,
    TRANSITIONS,
    AbandonReason,
    IllegalTransition,
    Stage,
    move,
    outcome,
)

ALLOWED = {
    ("requested", "rejected"),
    ("requested", "awaiting_code"),
    ("awaiting_code", "abandoned"),
    ("awaiting_code", "committed"),
    ("committed", "applying"),
    ("applying", "needs_attention"),
    ("applying", "completed"),
    ("needs_attention", "applying"),
}


def reachable(start: Stage) -> set[Stage]:
    seen, ahead = {start}, [start]
    while ahead:
        following = TRANSITIONS[ahead.pop()] - seen
        seen |= following
        ahead.extend(following)
    return seen


@pytest.mark.parametrize(("present", "following"), list(product(Stage, Stage)))
def test_only_the_designs_moves_are_allowed(present: Stage, following: Stage) -> None:
    if (present, following) in ALLOWED:
        assert move(present, following) is following
    else:
        with pytest.raises(IllegalTransition, match=f"{present} can't be followed by {following}"):
            move(present, following)


def test_every_stage_is_reached_from_the_request() -> None:
    assert reachable(Stage.REQUESTED) == set(Stage)


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_a_way_to_an_end(stage: Stage) -> None:
    assert reachable(stage) & CLOSED


def test_open_and_closed_are_a_partition_of_the_stages() -> None:
    assert frozenset(Stage) == OPEN | CLOSED
    assert not OPEN & CLOSED
    assert frozenset({Stage.REJECTED, Stage.ABANDONED, Stage.COMPLETED}) == CLOSED


def test_nothing_that_was_committed_can_be_undone() -> None:
    assert reachable(Stage.COMMITTED) == COMMITTED
    assert not COMMITTED & {Stage.REJECTED, Stage.ABANDONED}


def test_only_a_code_leads_past_the_point_of_no_return() -> None:
    ways_in = {stage for stage in Stage if stage not in COMMITTED and TRANSITIONS[stage] & COMMITTED}
    assert ways_in == {Stage.AWAITING_CODE}
    assert TRANSITIONS[Stage.AWAITING_CODE] & COMMITTED == {Stage.COMMITTED}


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (Stage.REQUESTED, None),
        (Stage.AWAITING_CODE, None),
        (Stage.REJECTED, "rejected"),
        (Stage.ABANDONED, "abandoned"),
        (Stage.COMMITTED, "committed"),
        (Stage.APPLYING, "committed"),
        (Stage.NEEDS_ATTENTION, "committed"),
        (Stage.COMPLETED, "completed"),
    ],
)
def test_a_customer_is_told_the_outcome_from_the_commit_on(stage: Stage, told: str | None) -> None:
    assert outcome(stage) == told


def test_the_reasons_to_abandon_are_the_designs_and_an_interruption() -> None:
    assert set(AbandonReason) == {
        "too-many-tries",
        "window-over",
        "cancelled",
        "mail-refused",
        "stale",
        "interrupted",
    }
