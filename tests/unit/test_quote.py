"""What a quote says beside its blockers: figures, servers destroyed and created, and the pass."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from changeover.domain.catalogue import FLEXI_PLUS, Configuration
from changeover.domain.facts import Policy
from changeover.domain.problems import InsufficientDays, NotConvertible, TooManyDays
from changeover.domain.quote import allowed_options, changeable_offers
from tests.unit.world import (
    BLOCKS,
    CATALOGUE,
    CLASSIC,
    MICROSECOND,
    PRESENT,
    RETIRED,
    SECOND,
    SERVICE,
    T0,
    WANTED,
    a_service,
    blockers,
    quote,
    servers,
    with_offer,
)

RECENTLY = T0 - timedelta(days=10)


def test_a_quote_shows_both_configurations_rates_and_days() -> None:
    given = quote()
    assert (given.before, given.after) == (PRESENT, WANTED)
    assert (given.rate_before, given.rate_after) == (6000, 4800)
    assert (given.days_before, given.days_after, given.required_days) == (20, 25, 1)
    assert (given.expires_at, given.new_expires_at) == (SERVICE.expires_at, T0 + timedelta(days=25))
    assert (given.destroys, given.creates, given.spends_pass) == ((), 0, False)
    assert given.blockers == ()


def test_the_rate_before_is_todays_price_of_the_present_configuration() -> None:
    dearer = with_offer(replace(BLOCKS, per_slot=200))
    assert quote(catalogue=dearer).rate_before == 12000
    assert quote(catalogue=dearer).rate_after == 9600


def test_what_is_marked_is_destroyed_and_nothing_is_created_beside_it() -> None:
    facts = replace(SERVICE, servers=servers(3, marked=1), free_addresses=5)
    given = quote(facts, replace(PRESENT, server_count=2))
    assert [server.id for server in given.destroys] == ["server-3"]
    assert given.creates == 0
    assert quote(facts, replace(PRESENT, server_count=5)).creates == 0


def test_servers_beyond_those_there_are_are_created() -> None:
    assert quote(replace(SERVICE, free_addresses=2), replace(WANTED, server_count=5)).creates == 2
    assert quote(replace(SERVICE, free_addresses=2), replace(WANTED, server_count=2)).creates == 0


def test_a_moment_within_a_second_is_cut_to_it() -> None:
    given = quote(now=T0 + timedelta(microseconds=999_999))
    assert given.as_of == T0
    assert given == quote(now=T0)


def test_a_part_of_a_second_left_counts_and_the_result_is_floored() -> None:
    facts = replace(SERVICE, expires_at=T0 + timedelta(days=20, microseconds=800_000))
    assert quote(facts).new_expires_at == T0 + timedelta(days=25, seconds=1)
    facts = replace(SERVICE, expires_at=T0 + timedelta(days=20) - MICROSECOND)
    assert quote(facts).new_expires_at == T0 + timedelta(days=25) - SECOND


def test_a_pass_is_spent_only_when_it_is_needed() -> None:
    assert quote(replace(SERVICE, passes=1, last_committed_at=RECENTLY)).spends_pass
    assert not quote(replace(SERVICE, passes=1)).spends_pass
    assert not quote(replace(SERVICE, passes=1, last_committed_at=T0 - timedelta(days=30))).spends_pass
    assert not quote(replace(SERVICE, passes=0, last_committed_at=RECENTLY)).spends_pass
    flexible = replace(PRESENT, options=(FLEXI_PLUS,))
    facts = replace(SERVICE, configuration=flexible, passes=1, last_committed_at=RECENTLY)
    assert not quote(facts).spends_pass
    assert quote(facts).blockers == ()


def test_what_cannot_be_worked_out_is_none() -> None:
    invalid = quote(wanted=replace(WANTED, offer="no such offer"))
    assert (invalid.rate_after, invalid.days_after, invalid.required_days) == (None, None, None)
    assert invalid.new_expires_at is None
    assert (invalid.rate_before, invalid.days_before) == (6000, 20)
    expired = quote(replace(SERVICE, expires_at=T0))
    assert (expired.days_after, expired.new_expires_at) == (None, None)
    assert (expired.rate_after, expired.days_before, expired.required_days) == (4800, 0, 1)
    gift = quote(wanted=replace(WANTED, offer="gift"))
    assert (gift.days_after, gift.new_expires_at, gift.required_days) == (None, None, None)
    assert gift.rate_after == 0
    assert gift.blockers == (NotConvertible(),)


def test_an_expiry_beyond_the_calendar_is_too_many_days_and_no_date() -> None:
    cheapest = with_offer(replace(CLASSIC, base=1, per_slot=0))
    dearest = replace(BLOCKS, per_slot=10**12)
    given = quote(wanted=replace(WANTED, offer="classic"), catalogue={**cheapest, "blocks": dearest})
    days = 20 * 60 * 10**12 // 3
    assert given.blockers == (TooManyDays(days_after=days, most=3650),)
    assert given.days_after == days
    assert given.new_expires_at is None


def test_a_rate_that_leaves_nothing_is_insufficient_and_gives_the_days_it_would_take() -> None:
    dearest = with_offer(replace(CLASSIC, base=0, per_slot=10**15))
    given = quote(wanted=replace(WANTED, offer="classic"), catalogue=dearest)
    assert given.new_expires_at == T0
    assert given.blockers == (InsufficientDays(required=8 * 10**12, remaining=20),)


def test_the_calendars_last_second_is_an_expiry_like_any_other() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    given = quote(replace(SERVICE, expires_at=last), replace(PRESENT, options=("dedicated_ip",)))
    assert given.new_expires_at is not None
    assert given.new_expires_at.microsecond == 0
    assert [problem.code for problem in given.blockers] == ["too-many-days"]


def test_no_least_days_allow_a_change_that_leaves_seconds() -> None:
    facts = a_service(PRESENT, SECOND)
    assert blockers(facts, policy=Policy(min_days_after=0)) == ()


@pytest.mark.parametrize(
    ("present", "codes"),
    [
        (PRESENT, {"blocks", "classic", "value", "light", "gift"}),
        (replace(PRESENT, offer="retired"), {"blocks", "classic", "value", "light", "gift", "retired"}),
        (replace(PRESENT, offer="island"), {"island"}),
    ],
)
def test_a_service_can_change_to_what_its_game_has_on_sale_and_keep_its_own_offer(
    present: Configuration, codes: set[str]
) -> None:
    offers = changeable_offers(replace(SERVICE, configuration=present), CATALOGUE)
    assert {offer.code for offer in offers} == codes


def test_a_withdrawn_option_is_allowed_to_who_has_it_with_this_very_offer() -> None:
    on_sale = (FLEXI_PLUS, "dedicated_ip", "backups")
    assert allowed_options(SERVICE, BLOCKS) == on_sale
    owner = replace(SERVICE, configuration=replace(PRESENT, options=("old_panel",)))
    assert allowed_options(owner, BLOCKS) == (*on_sale, "old_panel")
    elsewhere = replace(SERVICE, configuration=Configuration.of("retired", 20, ("old_panel",), 3))
    assert allowed_options(elsewhere, BLOCKS) == on_sale
    assert allowed_options(elsewhere, RETIRED) == ("old_panel",)
