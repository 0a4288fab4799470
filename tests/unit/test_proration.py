"""Time kept, not money: exact conversions, and the laws that they obey."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changeover.domain.proration import (
    DAY,
    convert,
    days_left,
    moment_after,
    required_days,
    seconds_between,
    whole_second,
)
from tests.unit.strategies import moments, rates, spans, whole_moments
from tests.unit.world import MICROSECOND, SECOND, T0

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
remaining_seconds = st.integers(0, 4000 * DAY).map(Fraction)


def epoch_microseconds(moment: datetime) -> int:
    span = moment - EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def new_expiry_in_integers(t0: datetime, expires_at: datetime, rate_before: int, rate_after: int) -> int:
    """Return the new expiry in whole seconds of the epoch, over one denominator and without `Fraction`."""
    start, end = epoch_microseconds(t0), epoch_microseconds(expires_at)
    return (start * rate_after + (end - start) * rate_before) // (rate_after * 1_000_000)


@settings(max_examples=500)
@given(whole_moments, spans, rates, rates)
def test_conversion_agrees_to_the_second_with_integers_on_the_epoch(
    t0: datetime, span: timedelta, rate_before: int, rate_after: int
) -> None:
    seconds = convert(seconds_between(t0, t0 + span), rate_before, rate_after)
    moment = moment_after(t0, seconds)
    expected = new_expiry_in_integers(t0, t0 + span, rate_before, rate_after)
    if moment is None:
        assert expected > epoch_microseconds(datetime.max.replace(tzinfo=UTC)) // 1_000_000
    else:
        assert epoch_microseconds(moment) == expected * 1_000_000


@given(remaining_seconds, rates, rates)
def test_there_and_back_never_gains_a_second(remaining: Fraction, rate_one: int, rate_two: int) -> None:
    there = convert(remaining, rate_one, rate_two)
    assert convert(Fraction(there), rate_two, rate_one) <= remaining


@given(st.integers(0, 400), rates, rates)
def test_the_required_days_are_always_enough(least: int, rate_before: int, rate_after: int) -> None:
    required = required_days(least, rate_before, rate_after)
    assert convert(Fraction(required * DAY), rate_before, rate_after) >= least * DAY


@given(st.integers(1, 400), rates, rates)
def test_a_day_less_than_required_is_never_enough(least: int, rate_before: int, rate_after: int) -> None:
    fewer = required_days(least, rate_before, rate_after) - 1
    assert convert(Fraction(fewer * DAY), rate_before, rate_after) < least * DAY


@given(remaining_seconds, rates, rates)
def test_a_dearer_plan_never_lengthens_and_a_cheaper_one_never_shortens(
    remaining: Fraction, rate_one: int, rate_two: int
) -> None:
    cheaper, dearer = sorted((rate_one, rate_two))
    assert convert(remaining, cheaper, dearer) <= remaining
    assert convert(remaining, dearer, cheaper) >= remaining


@given(remaining_seconds, rates)
def test_the_same_rate_keeps_every_second(remaining: Fraction, rate: int) -> None:
    assert convert(remaining, rate, rate) == remaining


def test_a_part_of_a_second_counts_before_the_floor() -> None:
    assert convert(Fraction(3, 2), 2, 1) == 3
    assert convert(Fraction(3, 2), 1, 1) == 1
    assert convert(Fraction(1, 1_000_000), 1_000_000, 1) == 1
    assert convert(Fraction(999_999, 1_000_000), 1, 1) == 0


@pytest.mark.parametrize(("rate_before", "rate_after"), [(0, 100), (100, 0), (0, 0), (-1, 100), (100, -1)])
def test_a_rate_of_0_is_not_convertible(rate_before: int, rate_after: int) -> None:
    with pytest.raises(ValueError, match="can't be converted"):
        convert(Fraction(DAY), rate_before, rate_after)


def test_a_rate_of_one_cent_is_convertible() -> None:
    assert convert(Fraction(DAY), 1, 1) == DAY


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(0), 0),
        (timedelta(days=-5), 0),
        (-MICROSECOND, 0),
        (timedelta(days=1) - MICROSECOND, 0),
        (timedelta(days=1), 1),
        (timedelta(days=2) - MICROSECOND, 1),
        (timedelta(days=3, hours=6), 3),
    ],
)
def test_days_left_are_whole_and_never_below_0(left: timedelta, days: int) -> None:
    assert days_left(T0 + left, T0) == days


@given(moments, moments)
def test_seconds_between_are_exact_both_ways(start: datetime, end: datetime) -> None:
    microseconds = epoch_microseconds(end) - epoch_microseconds(start)
    assert seconds_between(start, end) * 1_000_000 == microseconds
    assert seconds_between(end, start) * 1_000_000 == -microseconds


@given(moments)
def test_a_moment_is_cut_to_its_second_and_never_rounded_up(moment: datetime) -> None:
    cut = whole_second(moment)
    assert cut.microsecond == 0
    assert timedelta(0) <= moment - cut < SECOND


def test_no_moment_lies_beyond_the_calendar() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    until_last = int((last - T0).total_seconds())
    assert moment_after(T0, until_last) == last
    assert moment_after(T0, until_last + 1) is None
    assert moment_after(T0, 10**30) is None


@pytest.mark.parametrize(
    ("least", "rate_before", "rate_after", "required"),
    [(1, 1000, 3200, 4), (1, 1000, 3000, 3), (1, 3000, 1000, 1), (5, 1000, 3200, 16), (0, 1000, 3200, 0)],
)
def test_required_days_are_rounded_up(least: int, rate_before: int, rate_after: int, required: int) -> None:
    assert required_days(least, rate_before, rate_after) == required
