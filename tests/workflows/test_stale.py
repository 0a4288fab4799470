"""What was confirmed is what happens, or nothing does: why a change is abandoned as stale."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from babel.dates import format_datetime
from sqlalchemy import update

from changeover.domain import problems
from changeover.domain.proration import convert, seconds_between
from changeover.mail.messages import _DATE_PATTERNS
from changeover.storage.tables import addresses, passes
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.world import World


async def _prices_rise(world: World) -> None:
    await world.load_catalogue(
        lambda offers: offers.update({"cs2-public": replace(offers["cs2-public"], per_slot=101)})
    )


async def _withdraw(world: World) -> None:
    await world.load_catalogue(
        lambda offers: offers.update({"cs2-club": replace(offers["cs2-club"], visible=False)})
    )


async def _mark_another(world: World) -> None:
    await world.mark(1)


async def _undo_the_mark(world: World) -> None:
    await world.starter.unmark(world.me.account_id, world.me.service_id, world.me.server_ids[2])


async def _spend_the_pass(world: World) -> None:
    await world.execute(update(passes).values(spent_at=datetime.now(UTC)))


async def _expire(world: World) -> None:
    await world.alter_service(expires_at=datetime.now(UTC) - timedelta(seconds=1))


async def _shorten(world: World) -> None:
    await world.alter_service(expires_at=(await world.service()).expires_at - timedelta(days=1))


async def _pay_by_subscription(world: World) -> None:
    await world.alter_service(recurring_payment_active=True)


async def _empty_the_pool(world: World) -> None:
    await world.execute(update(addresses).where(addresses.c.server_id.is_(None)).values(held=True))


async def _reconfigure(world: World) -> None:
    await world.alter_service(slots=22)


@dataclass(frozen=True, kw_only=True)
class Case:
    cause: str
    meanwhile: Callable[[World], Awaitable[None]]
    marks: tuple[int, ...] = ()
    asked: dict[str, Any] = field(default_factory=dict)
    situation: dict[str, Any] = field(default_factory=dict)


ONE_LESS: dict[str, Any] = {"marks": (2,), "asked": {"servers": 2}}

CASES = {
    "price change": Case(cause="prices-changed", meanwhile=_prices_rise, **ONE_LESS),
    "offer withdrawn": Case(
        cause="offer-withdrawn", meanwhile=_withdraw, marks=(2,), asked={"servers": 2, "offer": "cs2-club"}
    ),
    "extra mark": Case(cause="servers-changed", meanwhile=_mark_another, **ONE_LESS),
    "mark undone": Case(cause="servers-changed", meanwhile=_undo_the_mark, **ONE_LESS),
    "pass spent elsewhere": Case(
        cause="pass-gone",
        meanwhile=_spend_the_pass,
        situation={"changed_days_ago": 7, "passes": 1},
        **ONE_LESS,
    ),
    "expired": Case(cause="service-expired", meanwhile=_expire, **ONE_LESS),
    "expiry shortened": Case(cause="expiry-shortened", meanwhile=_shorten, **ONE_LESS),
    "subscription": Case(cause="recurring-payment-active", meanwhile=_pay_by_subscription, **ONE_LESS),
    "no capacity": Case(cause="no-capacity", meanwhile=_empty_the_pool, asked={"servers": 5}),
    "reconfigured": Case(cause="configuration-changed", meanwhile=_reconfigure, **ONE_LESS),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_what_differs_from_what_was_confirmed_changes_nothing(world: World, case: Case) -> None:
    await world.arrives(**{"changed_days_ago": 40, "passes": 1} | case.situation)
    await world.mark(*case.marks)
    asked = await world.ask(**case.asked)
    code = await world.mailed(asked.id)
    await case.meanwhile(world)
    before = await snapshot(world)
    with pytest.raises(problems.ChangeClosed) as closed:
        await world.type_code(asked.id, code)
    assert (closed.value.outcome, closed.value.reason) == ("abandoned", "stale")
    row = await world.ends(asked.id, "abandoned", "stale")
    assert row.cause == case.cause
    await assert_untouched(world, before)
    assert (len(world.post.sent), len(world.mailed_codes(asked.id))) == (2, 1)


async def test_a_wrong_code_does_not_tell_that_the_change_is_stale(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await _prices_rise(world)
    with pytest.raises(problems.CodeWrong):
        await world.type_code(asked.id, "BBBB-BBBB")
    assert (await world.row(asked.id)).stage == "awaiting_code"


async def test_a_renewal_in_between_is_kept_by_the_same_formula(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    renewed = await world.starter.renew(world.me.account_id, world.me.service_id, 30, idempotency_key="r")
    view = await world.confirm(asked.id)
    kept = convert(seconds_between(asked.as_of, renewed.expires_at), 6000, 7200)
    assert view.new_expires_at == asked.as_of + timedelta(seconds=kept)
    row = await world.ends(asked.id, "completed")
    assert (await world.service()).expires_at == row.new_expires_at == view.new_expires_at
    assert view.new_expires_at > asked.new_expires_at


async def test_mails_after_a_renewal_show_the_new_date(world: World) -> None:
    await world.arrives(language="en")
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.starter.renew(world.me.account_id, world.me.service_id, 300, idempotency_key="r")
    await world.forward(seconds=61)
    await world.starter.resend_code(world.me.account_id, asked.id)
    view = await world.type_code(asked.id, await world.mailed(asked.id, 2))
    await world.ends(asked.id, "completed")
    assert view.new_expires_at is not None
    first, second, outcome = (_expiry_in(mail.text) for mail in world.post.sent)
    assert first == _shown(asked.new_expires_at, world)
    assert second == outcome == _shown(view.new_expires_at, world) != first


def _expiry_in(text: str) -> str:
    """Return the day and the time that a mail names as the new expiry."""
    (line,) = [line for line in text.splitlines() if "xpir" in line and " (" in line]
    return line.partition(": ")[2].partition(" (")[0]


def _shown(moment: datetime, world: World) -> str:
    return format_datetime(moment, _DATE_PATTERNS["en"], tzinfo=world.settings.zone, locale="en")
