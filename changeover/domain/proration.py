"""Time kept, not money: what is left of a service at one rate, told in the time of another.

The rule is the host's (DESIGN, "Time kept, not money"):
`new_expires_at = T0 + (expires_at - T0) x rate_old / rate_new`, floored to the second.
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil, floor

DAY = 86_400
"""Seconds of a day; a day is always 86,400 s of UTC, on daylight-saving days too."""

_MICROSECOND = timedelta(microseconds=1)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def whole_second(moment: datetime) -> datetime:
    """Cut `moment` to the second, as T0 is."""
    return moment.replace(microsecond=0)


def seconds_between(start: datetime, end: datetime) -> Fraction:
    """Exact seconds from `start` to `end`; negative when `end` is first."""
    return Fraction((end - start) // _MICROSECOND, 1_000_000)


def days_left(expires_at: datetime, now: datetime) -> int:
    """Whole days from `now` to `expires_at`, never below 0."""
    return max(0, floor(seconds_between(now, expires_at) / DAY))


def convert(remaining: Fraction, rate_before: int, rate_after: int) -> int:
    """Return the whole seconds at `rate_after` that `remaining` seconds at `rate_before` become.

    Rates are cents per 30 days and above 0: a rate of 0 can't be converted (`not-convertible`), and asking
    for it is a `ValueError`.
    """
    if rate_before <= 0 or rate_after <= 0:
        raise ValueError(f"a rate of 0 can't be converted: {rate_before} to {rate_after} cents per 30 days")
    return floor(remaining * rate_before / rate_after)


def moment_after(start: datetime, seconds: int) -> datetime | None:
    """Return `start + seconds`, or None where the calendar ends (the year 9999)."""
    if seconds > floor(seconds_between(start, LAST_MOMENT)):
        return None
    return start + timedelta(seconds=seconds)


def required_days(min_days_after: int, rate_before: int, rate_after: int) -> int:
    """Return the days a service must have left so that `min_days_after` days remain after the change.

    `ceil(min_days_after x rate_new / rate_old)`: enough for certain, for the message only; the rule itself
    is compared in exact seconds.
    """
    return ceil(Fraction(min_days_after * rate_after, rate_before))
