"""Every refusal by a rule: alone, with its figures, and at its exact boundaries."""

from dataclasses import replace
from datetime import timedelta

import pytest

from changeover.domain.catalogue import FLEXI_PLUS, Configuration
from changeover.domain.facts import Policy
from changeover.domain.problems import (
    ChangeInProgress,
    ChangeTooSoon,
    ConfigurationInvalid,
    InsufficientDays,
    NoCapacity,
    NotConvertible,
    NothingChanges,
    RecurringPaymentActive,
    ServersMarkedMismatch,
    ServersNotMarked,
    ServiceExpired,
    TooManyDays,
)
from tests.unit.world import (
    BLOCKS,
    MICROSECOND,
    PRESENT,
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

DAY = timedelta(days=1)
NO_MINIMUM = Policy(min_days_after=0)


def test_a_service_is_expired_from_its_very_expiry_on() -> None:
    assert blockers(replace(SERVICE, expires_at=T0 + MICROSECOND), policy=NO_MINIMUM) == ()
    for expired_at in (T0, T0 - MICROSECOND, T0 - DAY):
        facts = replace(SERVICE, expires_at=expired_at)
        assert blockers(facts, policy=NO_MINIMUM) == (ServiceExpired(expired_at=expired_at),)


def test_an_expired_service_is_also_told_how_many_days_it_needs() -> None:
    facts = replace(SERVICE, expires_at=T0)
    assert blockers(facts) == (ServiceExpired(expired_at=T0), InsufficientDays(required=1, remaining=0))


def test_another_open_change_blocks() -> None:
    assert blockers(replace(SERVICE, open_change="change-7")) == (
        ChangeInProgress(plan_change_id="change-7"),
    )


def test_an_active_recurring_payment_blocks() -> None:
    assert blockers(replace(SERVICE, recurring_payment_active=True)) == (RecurringPaymentActive(),)


# The configuration.


@pytest.mark.parametrize("offer", ["no such offer", "retired", "island"])
def test_an_unknown_a_withdrawn_and_another_games_offer_are_refused_with_those_allowed(offer: str) -> None:
    allowed = ["blocks", "classic", "gift", "light", "value"]
    assert blockers(wanted=replace(WANTED, offer=offer)) == (
        ConfigurationInvalid(field="offer", allowed=allowed),
    )


def test_the_present_offer_may_be_kept_when_it_is_withdrawn() -> None:
    facts = a_service(Configuration.of("retired", 20, (), 1), timedelta(days=20))
    assert blockers(facts, Configuration.of("retired", 16, (), 1)) == ()


def test_a_withdrawn_offer_lets_its_services_go() -> None:
    facts = a_service(Configuration.of("retired", 20, (), 1), timedelta(days=20))
    assert blockers(facts, Configuration.of("blocks", 20, (), 1)) == ()


@pytest.mark.parametrize(
    ("slots", "allowed"),
    [
        (6, False),
        (7, False),
        (8, True),
        (9, False),
        (10, True),
        (62, True),
        (63, False),
        (64, True),
        (66, False),
    ],
)
def test_slots_go_from_the_least_to_the_most_by_the_step(slots: int, allowed: bool) -> None:
    refusal = ConfigurationInvalid(field="slots", allowed={"min": 8, "max": 64, "step": 2})
    assert blockers(wanted=replace(WANTED, slots=slots)) == (() if allowed else (refusal,))


def test_the_most_slots_are_refused_when_no_step_reaches_them() -> None:
    odd = with_offer(replace(BLOCKS, max_slots=63))
    assert [p.code for p in blockers(wanted=replace(WANTED, slots=63), catalogue=odd)] == [
        "configuration-invalid"
    ]
    assert blockers(wanted=replace(WANTED, slots=62), catalogue=odd) == ()


@pytest.mark.parametrize("option", ["no such option", "turbo", "old_panel"])
def test_an_option_that_the_offer_does_not_sell_is_refused_with_those_allowed(option: str) -> None:
    refusal = ConfigurationInvalid(field="options", allowed=["backups", "dedicated_ip", FLEXI_PLUS])
    assert blockers(wanted=replace(WANTED, options=("backups", option))) == (refusal,)


def test_a_withdrawn_option_may_be_kept_and_not_carried_to_another_offer() -> None:
    present = replace(PRESENT, options=("old_panel",))
    facts = replace(SERVICE, configuration=present)
    assert blockers(facts, replace(present, slots=16)) == ()
    moved = Configuration.of("value", 20, ("old_panel",), 3)
    assert blockers(facts, moved) == (ConfigurationInvalid(field="options", allowed=["turbo"]),)


@pytest.mark.parametrize(("server_count", "allowed"), [(-1, False), (0, False), (10, True), (11, False)])
def test_the_number_of_servers_goes_from_1_to_the_most(server_count: int, allowed: bool) -> None:
    facts = replace(SERVICE, free_addresses=100)
    refusal = ConfigurationInvalid(field="server_count", allowed={"min": 1, "max": 10, "step": 1})
    found = blockers(facts, replace(WANTED, server_count=server_count))
    assert [problem for problem in found if isinstance(problem, ConfigurationInvalid)] == (
        [] if allowed else [refusal]
    )


def test_no_server_at_all_is_invalid_and_names_those_to_mark() -> None:
    codes = [problem.code for problem in blockers(SERVICE, replace(WANTED, server_count=0))]
    assert codes == ["configuration-invalid", "servers-not-marked"]


def test_every_field_that_is_wrong_is_named() -> None:
    wanted = Configuration.of("blocks", 7, ("turbo",), 11)
    fields = [p.field for p in blockers(wanted=wanted) if isinstance(p, ConfigurationInvalid)]
    assert fields == ["slots", "options", "server_count"]


# What changes, and the servers.


def test_the_same_configuration_with_nothing_marked_changes_nothing() -> None:
    assert blockers(wanted=PRESENT) == (NothingChanges(),)


def test_one_field_or_one_mark_is_a_change() -> None:
    for wanted in (replace(PRESENT, slots=18), replace(PRESENT, options=("backups",))):
        assert blockers(wanted=wanted) == ()
    facts = replace(SERVICE, servers=servers(3, marked=1))
    assert NothingChanges() not in blockers(facts, PRESENT)


@pytest.mark.parametrize(("server_count", "to_mark"), [(2, 1), (1, 2)])
def test_fewer_servers_want_marks_first_and_say_how_many(server_count: int, to_mark: int) -> None:
    wanted = replace(WANTED, server_count=server_count)
    assert blockers(wanted=wanted) == (ServersNotMarked(to_mark=to_mark),)


@pytest.mark.parametrize("server_count", [1, 3, 4])
def test_with_marks_the_number_must_be_exactly_the_number_kept(server_count: int) -> None:
    facts = replace(SERVICE, servers=servers(3, marked=1), free_addresses=9)
    assert blockers(facts, replace(WANTED, server_count=server_count)) == (ServersMarkedMismatch(kept=2),)
    assert blockers(facts, replace(WANTED, server_count=2)) == ()


def test_at_least_one_server_is_kept() -> None:
    facts = replace(SERVICE, servers=servers(3, marked=3))
    assert blockers(facts, replace(WANTED, server_count=1)) == (ServersMarkedMismatch(kept=0),)
    codes = [problem.code for problem in blockers(facts, replace(WANTED, server_count=0))]
    assert codes == ["configuration-invalid", "servers-marked-mismatch"]


def test_all_but_one_server_may_go() -> None:
    facts = replace(SERVICE, servers=servers(3, marked=2))
    assert blockers(facts, replace(WANTED, server_count=1)) == ()


@pytest.mark.parametrize(("free", "refused"), [(0, True), (1, True), (2, False), (3, False)])
def test_new_servers_want_an_address_each(free: int, refused: bool) -> None:
    facts = replace(SERVICE, free_addresses=free)
    refusal = NoCapacity(free=free, needed=2)
    assert blockers(facts, replace(WANTED, server_count=5)) == ((refusal,) if refused else ())


# Once in 30 days.


def test_the_cooldown_ends_to_the_microsecond() -> None:
    over = T0 - timedelta(days=30)
    assert blockers(replace(SERVICE, last_committed_at=over)) == ()
    facts = replace(SERVICE, last_committed_at=over + MICROSECOND)
    assert blockers(facts) == (ChangeTooSoon(next_change_at=T0 + MICROSECOND),)


def test_the_cooldown_is_the_hosts_figure() -> None:
    facts = replace(SERVICE, last_committed_at=T0 - timedelta(days=7))
    assert blockers(facts, policy=Policy(cooldown=timedelta(days=7))) == ()
    too_soon = ChangeTooSoon(next_change_at=T0 + DAY)
    assert blockers(facts, policy=Policy(cooldown=timedelta(days=8))) == (too_soon,)


def test_flexi_plus_of_the_present_configuration_lifts_the_cooldown_even_if_the_change_drops_it() -> None:
    flexible = replace(PRESENT, options=(FLEXI_PLUS,))
    facts = replace(SERVICE, configuration=flexible, last_committed_at=T0)
    assert blockers(facts, WANTED) == ()
    assert blockers(facts, replace(WANTED, options=(FLEXI_PLUS,))) == ()


def test_flexi_plus_of_the_new_configuration_lifts_nothing() -> None:
    facts = replace(SERVICE, last_committed_at=T0)
    too_soon = ChangeTooSoon(next_change_at=T0 + timedelta(days=30))
    assert blockers(facts, replace(WANTED, options=(FLEXI_PLUS,))) == (too_soon,)


def test_a_pass_lifts_the_cooldown_and_is_spent() -> None:
    given = quote(replace(SERVICE, last_committed_at=T0, passes=1))
    assert given.blockers == ()
    assert given.spends_pass


# Days.


@pytest.mark.parametrize("least", [1, 3])
def test_the_least_days_are_inclusive_in_exact_seconds(least: int) -> None:
    present, wanted = Configuration.of("blocks", 10, (), 1), Configuration.of("blocks", 20, (), 1)
    policy = Policy(min_days_after=least)
    exactly = a_service(present, timedelta(days=2 * least))
    assert blockers(exactly, wanted, policy=policy) == ()
    short = replace(exactly, expires_at=exactly.expires_at - MICROSECOND)
    refusal = InsufficientDays(required=2 * least, remaining=2 * least - 1)
    assert blockers(short, wanted, policy=policy) == (refusal,)


def test_required_days_are_for_the_message_and_the_rule_is_in_seconds() -> None:
    present, wanted = Configuration.of("blocks", 10, (), 1), Configuration.of("blocks", 32, (), 1)
    enough = a_service(present, timedelta(days=3, hours=6))
    assert quote(enough, wanted).days_before < (quote(enough, wanted).required_days or 0) == 4
    assert blockers(enough, wanted) == ()
    exactly = a_service(present, timedelta(seconds=86_400 * 3.2))
    assert blockers(exactly, wanted) == ()
    short = replace(exactly, expires_at=exactly.expires_at - SECOND)
    assert blockers(short, wanted) == (InsufficientDays(required=4, remaining=3),)


@pytest.mark.parametrize(("most", "left"), [(3650, timedelta(days=1825)), (60, timedelta(days=30))])
def test_the_most_days_are_inclusive_in_exact_seconds(most: int, left: timedelta) -> None:
    present, wanted = Configuration.of("blocks", 20, (), 1), Configuration.of("blocks", 10, (), 1)
    policy = Policy(max_days_after=most)
    assert blockers(a_service(present, left), wanted, policy=policy) == ()
    longer = a_service(present, left + timedelta(milliseconds=500))
    assert blockers(longer, wanted, policy=policy) == (TooManyDays(days_after=most, most=most),)


def test_a_rate_of_0_on_either_side_is_not_convertible() -> None:
    assert blockers(wanted=replace(WANTED, offer="gift")) == (NotConvertible(),)
    free = a_service(Configuration.of("gift", 20, (), 3), timedelta(days=20))
    assert blockers(free, WANTED) == (NotConvertible(),)
    assert blockers(free, replace(WANTED, offer="gift")) == (NotConvertible(),)


# All of them.


def test_the_default_policy_is_the_designs() -> None:
    assert Policy() == Policy(min_days_after=1, max_days_after=3650, cooldown=timedelta(days=30))
