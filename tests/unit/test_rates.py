"""Rates: whole cents per 30 days, from an offer's prices and a configuration."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.catalogue import Configuration, Offer, Option, Per, rate
from tests.unit.strategies import configurations, offers
from tests.unit.world import BLOCKS, CLASSIC, an_offer

PLAIN_AND_PER_BOTH = an_offer(
    "both",
    7,
    1000,
    Option(code="each", price=30, per=Per.SERVER),
    Option(code="once", price=500, per=Per.SERVICE),
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), 3 * (1000 + 10 * 7)),
        (("each",), 3 * (1000 + 10 * 7 + 30)),
        (("once",), 3 * (1000 + 10 * 7) + 500),
        (("each", "once"), 3 * (1000 + 10 * 7 + 30) + 500),
    ],
)
def test_an_option_per_server_counts_for_each_and_one_per_service_counts_once(
    options: tuple[str, ...], expected: int
) -> None:
    assert rate(PLAIN_AND_PER_BOTH, Configuration.of("both", 10, options, 3)) == expected


def test_the_base_price_counts_for_each_server() -> None:
    assert rate(CLASSIC, Configuration.of("classic", 12, (), 1)) == 2100
    assert rate(CLASSIC, Configuration.of("classic", 12, (), 4)) == 8400


def test_a_withdrawn_option_keeps_its_price() -> None:
    assert rate(BLOCKS, Configuration.of("blocks", 10, ("old_panel",), 2)) == 2 * (1000 + 50)


def test_an_option_that_the_offer_never_had_has_no_price() -> None:
    with pytest.raises(KeyError, match="turbo"):
        rate(BLOCKS, Configuration.of("blocks", 10, ("turbo",), 1))


@given(st.data())
def test_a_rate_is_the_sum_of_what_each_server_and_the_service_cost(data: st.DataObject) -> None:
    offer = data.draw(offers())
    configuration = data.draw(configurations(offer))
    bill = []
    for _server in range(configuration.server_count):
        bill.append(offer.base)
        bill.extend([offer.per_slot] * configuration.slots)
        bill.extend(o.price for o in offer.options if o.code in configuration.options and o.per == "server")
    bill.extend(o.price for o in offer.options if o.code in configuration.options and o.per == "service")
    assert rate(offer, configuration) == sum(bill)
    assert type(rate(offer, configuration)) is int


@given(offers(), st.integers(-5, 200))
def test_allowed_slots_are_those_counted_up_from_the_least_by_the_step(offer: Offer, slots: int) -> None:
    counted = range(offer.min_slots, offer.max_slots + 1, offer.slot_step)
    assert offer.allows_slots(slots) == (slots in counted)


def test_options_in_another_order_or_twice_are_the_same_configuration() -> None:
    once = Configuration.of("blocks", 10, ["backups", "dedicated_ip"], 1)
    assert Configuration.of("blocks", 10, ["dedicated_ip", "backups", "dedicated_ip"], 1) == once
    assert once.options == ("backups", "dedicated_ip")


def test_an_option_is_found_by_its_code() -> None:
    option = PLAIN_AND_PER_BOTH.option("once")
    assert option is not None
    assert option.price == 500
    assert PLAIN_AND_PER_BOTH.option("never") is None


def test_display_names_are_no_part_of_what_an_offer_is() -> None:
    assert replace(BLOCKS, names={"fr": "Cubes"}) == BLOCKS
    named = replace(PLAIN_AND_PER_BOTH.options[0], names={"fr": "Chacun"})
    assert named == PLAIN_AND_PER_BOTH.options[0]
