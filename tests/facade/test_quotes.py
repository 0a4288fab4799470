"""Quotes and offers by the facade, the dates against an arithmetic of our own, to the second."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from changeover.domain import problems
from changeover.domain.catalogue import Catalogue, Configuration, Offer, Option, Per
from changeover.storage import tables
from changeover.storage.database import Database
from starter.customer_services import moment
from starter.plan_changes import PlanChanges
from tests.storage.rows import (
    BLOCKS,
    CATALOGUE,
    DAY,
    SECOND,
    add_account,
    add_rows,
    an_offer,
    load_catalogue,
    rent,
    snapshot,
)

SERVICES, QUOTES_EACH = 60, 20
PER_SERVER = {"ram": 137, "backups": 150}
PER_SERVICE = {"flexi_plus": 290, "domain": 99}
PRICES = {f"offer-{number}": (number * 113 % 700, 1 + number * 37 % 160) for number in range(12)}
"""Base and price per slot of each offer, in cents per 30 days."""


def random_catalogue() -> Catalogue:
    options = tuple(
        Option(code=code, price=price, per=per)
        for prices, per in ((PER_SERVER, Per.SERVER), (PER_SERVICE, Per.SERVICE))
        for code, price in prices.items()
    )
    return {
        code: replace(an_offer(code, per_slot, base, *options), min_slots=1, slot_step=1)
        for code, (base, per_slot) in PRICES.items()
    }


def cents(offer: str, slots: int, options: list[str], servers: int) -> int:
    base, per_slot = PRICES[offer]
    per_server = base + slots * per_slot + sum(PER_SERVER.get(option, 0) for option in options)
    return servers * per_server + sum(PER_SERVICE.get(option, 0) for option in options)


def seconds_at_new_rate(now: datetime, expires_at: datetime, before: int, after: int) -> int:
    """Convert what is left: whole numbers, and nothing of the domain."""
    left = expires_at - now
    microseconds = (left.days * 86_400 + left.seconds) * 1_000_000 + left.microseconds
    return microseconds * before // (after * 1_000_000)


def random_wish(chance: random.Random) -> tuple[str, int, list[str], int]:
    options = [code for code in (*PER_SERVER, *PER_SERVICE) if chance.random() < 0.3]
    return chance.choice(sorted(PRICES)), chance.randint(1, 64), options, chance.randint(3, 10)


async def test_quotes_agree_to_the_second_with_a_calculation_of_our_own(
    database: Database, facade: PlanChanges
) -> None:
    chance = random.Random(20260310)
    await load_catalogue(database, random_catalogue())
    account_id = await add_account(database)
    now = moment()
    present = {str(uuid4()): random_wish(chance) for _ in range(SERVICES)}
    expiries = {it: now + timedelta(microseconds=chance.randint(10**10, 10**14)) for it in present}
    rows: list[dict[str, Any]] = [
        {
            "id": service_id,
            "account_id": account_id,
            "name": "random",
            "offer_code": offer,
            "slots": slots,
            "options": options,
            "server_count": servers,
            "expires_at": expiries[service_id],
            "recurring_payment_active": False,
            "created_at": now,
        }
        for service_id, (offer, slots, options, servers) in present.items()
    ]
    await add_rows(database, tables.services, *rows)
    for service_id, before in present.items():
        for _ in range(QUOTES_EACH):
            wanted = random_wish(chance)
            quote = await facade.quote(account_id, service_id, Configuration.of(*wanted))
            rates = cents(*before), cents(*wanted)
            seconds = seconds_at_new_rate(quote.as_of, expiries[service_id], *rates)
            assert (quote.rate_before, quote.rate_after) == rates
            assert quote.days_before == (expiries[service_id] - quote.as_of).days
            assert quote.days_after == seconds // 86_400
            if seconds < 5000 * 365 * 86_400:
                assert quote.new_expires_at == quote.as_of + timedelta(seconds=seconds)
            assert quote.as_of.microsecond == 0
            blocked = {blocker.code for blocker in quote.blockers}
            assert ("insufficient-days" in blocked) == (seconds < 86_400)
            assert ("too-many-days" in blocked) == (seconds > 3650 * 86_400)


async def test_a_quote_changes_nothing(database: Database, facade: PlanChanges) -> None:
    await load_catalogue(database)
    rented = await rent(database, marked=1, expires_at=moment() + 20 * DAY)
    before = await snapshot(database)
    quote = await facade.quote(rented.account_id, rented.service_id, rented.wants(24, 2))
    assert quote.blockers == ()
    assert [server.id for server in quote.destroys] == [rented.servers[2]]
    assert await snapshot(database) == before


async def test_every_blocker_is_told_in_the_fixed_order(database: Database, facade: PlanChanges) -> None:
    await load_catalogue(database)
    expired_at = moment() - SECOND
    rented = await rent(
        database, marked=1, paypal=True, last_committed_at=expired_at - DAY, expires_at=expired_at
    )
    quote = await facade.quote(rented.account_id, rented.service_id, rented.wants(24, 3))
    assert [blocker.code for blocker in quote.blockers] == [
        "service-expired",
        "recurring-payment-active",
        "servers-marked-mismatch",
        "change-too-soon",
        "insufficient-days",
    ]
    assert quote.digest is None
    assert quote.blockers[0] == problems.ServiceExpired(expired_at=expired_at)


async def test_offers_are_those_of_the_game_on_sale_and_ones_own(
    database: Database, facade: PlanChanges
) -> None:
    old = replace(BLOCKS, code="old", visible=False)
    gone = Option(code="gone", price=10, per=Per.SERVER, visible=False)
    catalogue: dict[str, Offer] = {
        **CATALOGUE,
        "old": old,
        "blocks": replace(BLOCKS, options=(*BLOCKS.options, gone)),
    }
    await load_catalogue(database, catalogue)
    on_sale, own_old = await rent(database), await rent(database, offer="old")

    shown = await facade.offers(on_sale.account_id, on_sale.service_id)
    assert {view.offer.code: view.is_present for view in shown} == {"blocks": True, "classic": False}
    blocks = next(view for view in shown if view.is_present)
    assert blocks.options == ("backups", "flexi_plus")
    shown = await facade.offers(own_old.account_id, own_old.service_id)
    assert {view.offer.code: view.is_present for view in shown} == {
        "blocks": False,
        "classic": False,
        "old": True,
    }


async def test_a_service_is_shown_as_it_is(database: Database, facade: PlanChanges) -> None:
    await load_catalogue(database)
    now = moment()
    rented = await rent(
        database, marked=1, expires_at=now + 20 * DAY + timedelta(hours=1), last_committed_at=now - 5 * DAY
    )
    view = await facade.service(rented.account_id, rented.service_id)
    assert (view.configuration, view.rate, view.days_left) == (rented.wants(), 6000, 20)
    assert view.next_change_at == now + 25 * DAY
    assert view.open_change is None
    assert view.offer_names == {"fr": "Offre blocks", "en": "Offer blocks"}
    assert [(it.id, it.state, it.backups) for it in view.servers] == [
        (rented.servers[0], "active", 1),
        (rented.servers[1], "active", 2),
        (rented.servers[2], "marked", 3),
    ]
    assert await facade.services(rented.account_id) == [view]


@pytest.mark.parametrize(("options", "days_ago"), [(("flexi_plus",), 1), ((), 30)])
async def test_who_may_change_now_is_told_no_date(
    database: Database, facade: PlanChanges, options: tuple[str, ...], days_ago: int
) -> None:
    await load_catalogue(database)
    rented = await rent(database, options=options, last_committed_at=moment() - days_ago * DAY)
    assert (await facade.service(rented.account_id, rented.service_id)).next_change_at is None


async def test_an_account_is_found_by_id_and_by_address(database: Database, facade: PlanChanges) -> None:
    account_id = await add_account(database, "chloe", language="en")
    for name in (account_id, "chloe@example.com"):
        found = await facade.account(name)
        assert (found.id, found.language) == (account_id, "en")
        assert "chloe@example.com" not in repr(found)
    with pytest.raises(problems.NotFound):
        await facade.account("nobody@example.com")
