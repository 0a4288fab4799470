"""The worked examples of the design (section 6), to the second: the formula alone, and whole quotes."""

from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction

import pytest

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import InsufficientDays
from changeover.domain.proration import convert
from tests.unit.world import T0, a_service, quote


@dataclass(frozen=True, kw_only=True)
class Example:
    name: str
    before: Configuration
    rate_before: int
    after: Configuration
    rate_after: int
    left: timedelta
    leaves: timedelta
    required: int
    days: tuple[int, int]
    marked: int = 0
    creates: int = 0
    allowed: bool = True


TEN = Configuration.of("blocks", 10, (), 1)
THIRTY_TWO = Configuration.of("blocks", 32, (), 1)

EXAMPLES = (
    Example(
        name="three servers to two",
        before=Configuration.of("blocks", 20, (), 3),
        rate_before=6000,
        after=Configuration.of("blocks", 20, (), 2),
        rate_after=4000,
        left=timedelta(days=20),
        leaves=timedelta(days=30),
        required=1,
        days=(20, 30),
        marked=1,
    ),
    Example(
        name="more slots",
        before=TEN,
        rate_before=1000,
        after=THIRTY_TWO,
        rate_after=3200,
        left=timedelta(days=30),
        leaves=timedelta(days=9, hours=9),
        required=4,
        days=(30, 9),
    ),
    Example(
        name="too few days",
        before=TEN,
        rate_before=1000,
        after=THIRTY_TWO,
        rate_after=3200,
        left=timedelta(days=3),
        leaves=timedelta(hours=22, minutes=30),
        required=4,
        days=(3, 0),
        allowed=False,
    ),
    Example(
        name="fewer whole days than required, and yet enough",
        before=TEN,
        rate_before=1000,
        after=THIRTY_TWO,
        rate_after=3200,
        left=timedelta(days=3, hours=6),
        leaves=timedelta(days=1, minutes=22, seconds=30),
        required=4,
        days=(3, 1),
    ),
    Example(
        name="another offer with an option",
        before=Configuration.of("classic", 12, (), 1),
        rate_before=2100,
        after=Configuration.of("value", 12, ("turbo",), 1),
        rate_after=1810,
        left=timedelta(days=7, hours=12),
        leaves=timedelta(days=8, hours=16, minutes=50, seconds=23),
        required=1,
        days=(7, 8),
    ),
    Example(
        name="a third server",
        before=Configuration.of("light", 16, (), 2),
        rate_before=2880,
        after=Configuration.of("light", 16, (), 3),
        rate_after=4320,
        left=timedelta(days=1, hours=12),
        leaves=timedelta(days=1),
        required=2,
        days=(1, 1),
        creates=1,
    ),
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_formula_gives_the_example_to_the_second(example: Example) -> None:
    left = Fraction(int(example.left.total_seconds()))
    assert convert(left, example.rate_before, example.rate_after) == example.leaves.total_seconds()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_quote_gives_the_example_to_the_second(example: Example) -> None:
    facts = replace(a_service(example.before, example.left, marked=example.marked), free_addresses=1)
    given = quote(facts, example.after)
    assert (given.rate_before, given.rate_after) == (example.rate_before, example.rate_after)
    assert given.as_of == T0
    assert given.new_expires_at == T0 + example.leaves
    assert (given.days_before, given.days_after) == example.days
    assert given.required_days == example.required
    assert (len(given.destroys), given.creates) == (example.marked, example.creates)
    if example.allowed:
        assert given.blockers == ()
        assert given.digest is not None
    else:
        assert given.blockers == (InsufficientDays(required=example.required, remaining=example.days[0]),)
        assert given.digest is None
