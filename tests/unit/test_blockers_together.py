"""Blockers together: all are reported, always in the fixed order, whatever the facts."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, settings

from changeover.domain.catalogue import FLEXI_PLUS, Configuration
from changeover.domain.facts import Facts, Policy
from changeover.domain.problems import BLOCKERS
from changeover.domain.quote import assess
from tests.unit.strategies import Situation, situations
from tests.unit.world import CATALOGUE, PRESENT, SERVICE, T0, WANTED, blockers, servers

IN_ORDER = [
    "service-expired",
    "change-in-progress",
    "recurring-payment-active",
    "configuration-invalid",
    "nothing-changes",
    "servers-not-marked",
    "servers-marked-mismatch",
    "change-too-soon",
    "not-convertible",
    "insufficient-days",
    "too-many-days",
    "no-capacity",
]

BLOCKED = replace(
    SERVICE,
    expires_at=T0,
    open_change="change-7",
    recurring_payment_active=True,
    last_committed_at=T0 - timedelta(days=1),
)
SHORT = replace(BLOCKED, expires_at=T0 + timedelta(hours=1))
LONG = replace(BLOCKED, expires_at=T0 + timedelta(days=4000))
MARKED = replace(BLOCKED, servers=servers(3, marked=1))

TOGETHER: list[tuple[Facts, Configuration, list[str]]] = [
    (
        BLOCKED,
        Configuration.of("blocks", 7, ("turbo",), 2),
        [*IN_ORDER[:4], "configuration-invalid", "servers-not-marked", "change-too-soon"],
    ),
    (BLOCKED, PRESENT, [*IN_ORDER[:3], "nothing-changes", "change-too-soon", "insufficient-days"]),
    (
        MARKED,
        replace(WANTED, offer="no such offer", server_count=0),
        [*IN_ORDER[:4], "servers-marked-mismatch", "change-too-soon"],
    ),
    (
        BLOCKED,
        replace(WANTED, offer="gift", server_count=5),
        [*IN_ORDER[:3], "change-too-soon", "not-convertible", "no-capacity"],
    ),
    (
        SHORT,
        replace(WANTED, server_count=5),
        [*IN_ORDER[1:3], "change-too-soon", "insufficient-days", "no-capacity"],
    ),
    (
        LONG,
        replace(WANTED, server_count=4),
        [*IN_ORDER[1:3], "change-too-soon", "too-many-days", "no-capacity"],
    ),
    (
        BLOCKED,
        replace(WANTED, slots=7, server_count=11),
        [*IN_ORDER[:4], "configuration-invalid", "change-too-soon", "no-capacity"],
    ),
]
"""As many as can hold at once: marks exclude creation, and what can't be priced has no days."""


def test_the_order_is_the_designs() -> None:
    assert [problem.code for problem in BLOCKERS] == IN_ORDER


@pytest.mark.parametrize(("facts", "wanted", "codes"), TOGETHER)
def test_all_that_stands_in_the_way_is_reported_in_order(
    facts: Facts, wanted: Configuration, codes: list[str]
) -> None:
    assert [problem.code for problem in blockers(facts, wanted)] == codes


def test_these_cases_hold_every_blocker() -> None:
    assert {code for _facts, _wanted, codes in TOGETHER for code in codes} == set(IN_ORDER)


def expected_codes(situation: Situation) -> set[str]:
    """Apply the design's sentences once more, each on its own and in integers."""
    facts, wanted, policy = situation.facts, situation.wanted, situation.policy
    present, t0 = facts.configuration, situation.now.replace(microsecond=0)
    offer, own = situation.catalogue.get(wanted.offer), situation.catalogue[present.offer]
    same_offer = wanted.offer == present.offer
    sold = {o.code: o for o in offer.options} if offer else {}
    valid = (
        offer is not None
        and offer.game == own.game
        and (offer.visible or same_offer)
        and wanted.slots in range(offer.min_slots, offer.max_slots + 1, offer.slot_step)
        and all(
            code in sold and (sold[code].visible or (same_offer and code in present.options))
            for code in wanted.options
        )
        and 1 <= wanted.server_count <= offer.most_servers
    )

    def cents(configuration: Configuration) -> int:
        line = situation.catalogue[configuration.offer]
        chosen = [o for o in line.options if o.code in configuration.options]
        each = (
            line.base
            + line.per_slot * configuration.slots
            + sum(o.price for o in chosen if o.per == "server")
        )
        return each * configuration.server_count + sum(o.price for o in chosen if o.per == "service")

    before, after = cents(present), cents(wanted) if valid else 0
    left = (facts.expires_at - t0) // timedelta(microseconds=1)
    day = 86_400_000_000
    alive, convertible = left > 0, valid and before > 0 and after > 0
    marks = sum(server.marked for server in facts.servers)
    there = len(facts.servers)
    recent = facts.last_committed_at is not None and t0 - facts.last_committed_at < policy.cooldown
    rules = {
        "service-expired": not alive,
        "change-in-progress": facts.open_change is not None,
        "recurring-payment-active": facts.recurring_payment_active,
        "configuration-invalid": not valid,
        "nothing-changes": wanted == present and marks == 0,
        "servers-not-marked": marks == 0 and wanted.server_count < there,
        "servers-marked-mismatch": marks > 0 and (marks == there or wanted.server_count != there - marks),
        "change-too-soon": recent and FLEXI_PLUS not in present.options and facts.passes == 0,
        "not-convertible": valid and not convertible,
        "insufficient-days": convertible and max(left, 0) * before < policy.min_days_after * day * after,
        "too-many-days": convertible
        and alive
        and left * before >= (policy.max_days_after * day + 1_000_000) * after,
        "no-capacity": marks == 0 and wanted.server_count - there > facts.free_addresses,
    }
    return {code for code, holds in rules.items() if holds}


EASY = Situation(facts=SERVICE, wanted=WANTED, catalogue=CATALOGUE, policy=Policy(), now=T0)


@settings(max_examples=250)
@given(situations())
@example(EASY)
def test_random_facts_are_refused_for_the_designs_reasons_in_order(situation: Situation) -> None:
    quote = assess(situation.facts, situation.wanted, situation.catalogue, situation.policy, situation.now)
    codes = [problem.code for problem in quote.blockers]
    assert codes == sorted(codes, key=IN_ORDER.index)
    assert set(codes) == expected_codes(situation)
    assert (quote.digest is None) == bool(codes)
    assert quote.as_of == situation.now.replace(microsecond=0)
    if quote.new_expires_at is not None:
        assert quote.new_expires_at.microsecond == 0
    if not codes:
        assert quote.new_expires_at is not None
        least, most = situation.policy.min_days_after, situation.policy.max_days_after
        assert timedelta(days=least) <= quote.new_expires_at - quote.as_of <= timedelta(days=most)
        kept = [server for server in situation.facts.servers if server not in quote.destroys]
        assert len(kept) + quote.creates == situation.wanted.server_count
