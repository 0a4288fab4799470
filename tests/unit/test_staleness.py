"""Whether what was confirmed is still what would happen: each cause alone, and which is told first."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from changeover.domain.catalogue import Catalogue, Configuration
from changeover.domain.facts import Facts, Policy
from changeover.domain.quote import Quote, assess
from changeover.domain.staleness import StaleCause, stale_cause
from tests.unit.strategies import Situation, situations
from tests.unit.world import BLOCKS, CATALOGUE, CLASSIC, MICROSECOND, SERVICE, T0, quote, servers, with_offer

BEFORE = Configuration.of("blocks", 20, ("backups",), 3)
WISH = Configuration.of("classic", 16, (), 2)
FACTS = replace(
    SERVICE,
    configuration=BEFORE,
    servers=servers(3, marked=1),
    passes=1,
    last_committed_at=T0 - timedelta(days=3),
)
LATER = T0 + timedelta(minutes=9)


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What the transaction of the commit finds."""

    facts: Facts = FACTS
    wanted: Configuration = WISH
    catalogue: Catalogue | None = None
    policy: Policy | None = None
    now: datetime = LATER

    def fresh(self) -> Quote:
        return quote(self.facts, self.wanted, catalogue=self.catalogue or CATALOGUE, policy=self.policy)


def confirmed(facts: Facts = FACTS, wanted: Configuration = WISH) -> Mapping[str, Any]:
    """Return the confirmed terms as a row gives them back."""
    terms: Mapping[str, Any] = json.loads(json.dumps(quote(facts, wanted).terms))
    return terms


def cause(commit: Commit) -> StaleCause | None:
    return stale_cause(confirmed(), commit.fresh(), commit.now)


def test_what_is_confirmed_here_is_not_blocked() -> None:
    assert quote(FACTS, WISH).blockers == ()


def test_the_same_is_not_stale() -> None:
    assert cause(Commit()) is None


def test_a_renewal_alone_is_not_stale() -> None:
    renewed = replace(FACTS, expires_at=FACTS.expires_at + timedelta(days=30))
    assert cause(Commit(facts=renewed)) is None


def test_a_renewal_is_kept_however_far_it_reaches() -> None:
    renewed = replace(FACTS, expires_at=FACTS.expires_at + timedelta(days=36_500))
    fresh = Commit(facts=renewed).fresh()
    assert [blocker.code for blocker in fresh.blockers] == ["too-many-days"]
    assert cause(Commit(facts=renewed)) is None


def test_a_renewal_beyond_any_calendar_is_stale() -> None:
    renewed = replace(FACTS, expires_at=datetime(9999, 12, 31, tzinfo=UTC))
    assert Commit(facts=renewed).fresh().new_expires_at is None
    assert cause(Commit(facts=renewed)) is StaleCause.TOO_MANY_DAYS


def test_what_is_not_confirmed_makes_nothing_stale() -> None:
    other = replace(
        FACTS,
        servers=tuple(replace(s, name="Renamed", backups=s.backups + 1) for s in reversed(FACTS.servers)),
        passes=4,
        free_addresses=7,
    )
    assert cause(Commit(facts=other)) is None


CAUSES: list[tuple[StaleCause, str, Commit]] = [
    (StaleCause.SERVICE_EXPIRED, "expired", Commit(now=FACTS.expires_at)),
    (
        StaleCause.CONFIGURATION_CHANGED,
        "another present configuration at the same rate",
        Commit(
            facts=replace(FACTS, configuration=replace(BEFORE, options=("old_panel",))),
            catalogue=with_offer(
                replace(BLOCKS, options=tuple(replace(o, price=150) for o in BLOCKS.options))
            ),
        ),
    ),
    (
        StaleCause.OFFER_WITHDRAWN,
        "the offer withdrawn",
        Commit(catalogue=with_offer(replace(CLASSIC, visible=False))),
    ),
    (
        StaleCause.OFFER_WITHDRAWN,
        "fewer slots sold",
        Commit(catalogue=with_offer(replace(CLASSIC, max_slots=14))),
    ),
    (
        StaleCause.PRICES_CHANGED,
        "the present offer's price",
        Commit(catalogue=with_offer(replace(BLOCKS, base=1))),
    ),
    (
        StaleCause.PRICES_CHANGED,
        "the new offer's price",
        Commit(catalogue=with_offer(replace(CLASSIC, base=299))),
    ),
    (
        StaleCause.SERVERS_CHANGED,
        "another server marked",
        Commit(
            facts=replace(FACTS, servers=tuple(replace(s, marked=s.id == "server-1") for s in FACTS.servers))
        ),
    ),
    (StaleCause.SERVERS_CHANGED, "the mark taken back", Commit(facts=replace(FACTS, servers=servers(3)))),
    (
        StaleCause.SERVERS_CHANGED,
        "another address",
        Commit(
            facts=replace(
                FACTS, servers=(*FACTS.servers[:2], replace(FACTS.servers[2], address="192.0.2.9:1"))
            )
        ),
    ),
    (StaleCause.PASS_GONE, "the pass spent elsewhere", Commit(facts=replace(FACTS, passes=0))),
    (
        StaleCause.PASS_GONE,
        "the pass not needed any more",
        Commit(policy=Policy(cooldown=timedelta(days=1))),
    ),
    (
        StaleCause.EXPIRY_SHORTENED,
        "an earlier expiry",
        Commit(facts=replace(FACTS, expires_at=FACTS.expires_at - MICROSECOND)),
    ),
    (
        StaleCause.RECURRING_PAYMENT_ACTIVE,
        "a subscription",
        Commit(facts=replace(FACTS, recurring_payment_active=True)),
    ),
    (
        StaleCause.TOO_MANY_DAYS,
        "another most",
        Commit(policy=Policy(max_days_after=1)),
    ),
    (StaleCause.RULES_CHANGED, "another least", Commit(policy=Policy(min_days_after=365))),
    (StaleCause.RULES_CHANGED, "another open change", Commit(facts=replace(FACTS, open_change="change-8"))),
]


@pytest.mark.parametrize(("expected", "commit"), [pytest.param(c, f, id=name) for c, name, f in CAUSES])
def test_each_cause_alone_is_told(expected: StaleCause, commit: Commit) -> None:
    assert cause(commit) is expected


MORE = replace(BEFORE, server_count=5)
GROWING = replace(FACTS, servers=servers(3), free_addresses=2)


def test_addresses_that_are_gone_are_no_capacity() -> None:
    fresh = quote(replace(GROWING, free_addresses=1), MORE)
    assert stale_cause(confirmed(GROWING, MORE), fresh, LATER) is StaleCause.NO_CAPACITY
    enough = quote(replace(GROWING, free_addresses=3), MORE)
    assert stale_cause(confirmed(GROWING, MORE), enough, LATER) is None


def test_another_number_to_create_is_another_set_of_servers() -> None:
    fresh = quote(replace(GROWING, servers=servers(4)), MORE)
    assert stale_cause(confirmed(GROWING, MORE), fresh, LATER) is StaleCause.SERVERS_CHANGED


def test_every_cause_is_shown_alone() -> None:
    assert {cause for cause, _name, _commit in CAUSES} | {StaleCause.NO_CAPACITY} == set(StaleCause)


def test_a_service_is_expired_from_its_very_expiry_on() -> None:
    assert cause(Commit(now=FACTS.expires_at - MICROSECOND)) is None
    assert cause(Commit(now=FACTS.expires_at)) is StaleCause.SERVICE_EXPIRED


def test_a_renewal_keeps_a_service_alive_that_would_have_expired() -> None:
    renewed = replace(FACTS, expires_at=FACTS.expires_at + timedelta(days=30))
    assert cause(Commit(facts=renewed, now=FACTS.expires_at)) is None


@pytest.mark.parametrize("term", sorted(set(confirmed()) - {"expires_at"}))
def test_any_confirmed_term_that_differs_is_stale(term: str) -> None:
    assert stale_cause({**confirmed(), term: "something else"}, quote(FACTS, WISH), LATER) is not None


@given(situations())
def test_a_quote_is_stale_against_itself_only_when_it_is_blocked(situation: Situation) -> None:
    fresh = assess(situation.facts, situation.wanted, situation.catalogue, situation.policy, situation.now)
    assert (stale_cause(fresh.terms, fresh, fresh.as_of) is None) == (not fresh.blockers)


# Precedence: all at once, the first cause taken away one after the other.

_ALL_WRONG = replace(
    GROWING,
    configuration=replace(BEFORE, slots=18),
    servers=servers(4),
    passes=0,
    expires_at=T0 + timedelta(minutes=1),
    recurring_payment_active=True,
    open_change="change-8",
)

STEPS: list[tuple[StaleCause | None, Callable[[Commit], Commit]]] = [
    (StaleCause.SERVICE_EXPIRED, lambda c: c),
    (StaleCause.CONFIGURATION_CHANGED, lambda c: replace(c, now=T0)),
    (StaleCause.OFFER_WITHDRAWN, lambda c: replace(c, facts=replace(c.facts, configuration=BEFORE))),
    (StaleCause.PRICES_CHANGED, lambda c: replace(c, catalogue=with_offer(replace(BLOCKS, base=1)))),
    (StaleCause.SERVERS_CHANGED, lambda c: replace(c, catalogue=CATALOGUE)),
    (
        StaleCause.PASS_GONE,
        lambda c: replace(c, facts=replace(c.facts, servers=servers(3), free_addresses=0)),
    ),
    (StaleCause.EXPIRY_SHORTENED, lambda c: replace(c, facts=replace(c.facts, passes=1))),
    (
        StaleCause.RECURRING_PAYMENT_ACTIVE,
        lambda c: replace(c, facts=replace(c.facts, expires_at=FACTS.expires_at)),
    ),
    (
        StaleCause.TOO_MANY_DAYS,
        lambda c: replace(c, facts=replace(c.facts, recurring_payment_active=False)),
    ),
    (StaleCause.NO_CAPACITY, lambda c: replace(c, policy=None)),
    (StaleCause.RULES_CHANGED, lambda c: replace(c, facts=replace(c.facts, free_addresses=2))),
    (None, lambda c: replace(c, facts=replace(c.facts, open_change=None))),
]


def test_the_first_cause_that_holds_is_told() -> None:
    assert [step for step, _take_away in STEPS] == [*StaleCause, None]
    commit = Commit(
        facts=_ALL_WRONG,
        wanted=MORE,
        catalogue=with_offer(replace(BLOCKS, base=1, max_slots=19)),
        policy=Policy(max_days_after=1),
    )
    for expected, take_away in STEPS:
        commit = take_away(commit)
        assert stale_cause(confirmed(GROWING, MORE), commit.fresh(), commit.now) is expected
