"""Status, history and events of a change: shown while the service runs, and again after a renewal (I11)."""

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from changeover.domain import problems
from changeover.domain.confirmation import display
from changeover.domain.lifecycle import AbandonReason
from changeover.storage import tables
from starter.customer_services import moment
from starter.plan_changes import PlanChanges
from tests.activities.house import House, run
from tests.storage.rows import DAY, MINUTE, SECOND, Rented, set_values
from workflows.messages import Abandon, ChangeAt, HostOrder


async def a_change(house: House, expires_in: timedelta = 20 * DAY, name: str = "alice") -> tuple[Rented, str]:
    """Open a change half a minute ago, and hand its code over at once."""
    now = moment().replace(microsecond=0) - MINUTE / 2
    rented = await house.rent(name=name, marked=1, expires_at=now + expires_in)
    request = await house.request(rented, rented.wants(24, 2), now)
    await house.open(request, now)
    await house.hand_over(request.change_id, now + SECOND)
    return rented, request.change_id


async def test_a_change_that_awaits_its_code_is_shown_with_its_figures(
    house: House, facade: PlanChanges
) -> None:
    rented, change_id = await a_change(house)
    change = await house.change(change_id)
    view = await facade.status(rented.account_id, change_id)
    assert (view.stage, view.outcome, view.reason) == ("awaiting_code", None, None)
    assert (view.before, view.after) == (rented.wants(), rented.wants(24, 2))
    assert (view.days_before, view.days_after) == (20, 25)
    assert view.new_expires_at == change.as_of + 25 * DAY
    assert (view.code_number, view.tries_left) == (1, 5)
    assert change.code_handed_over_at is not None
    assert view.code_expires_at == change.code_handed_over_at + 10 * MINUTE
    assert view.resend_at == change.code_handed_over_at + MINUTE
    assert view.window_ends_at == change.as_of + 60 * MINUTE
    assert view.sent_to == "a***@e***.com"
    assert [server["id"] for server in view.destroys] == [rented.servers[2]]
    assert [entry.event for entry in view.timeline] == ["requested", "accepted"]
    assert view.receipts == ()


async def test_a_renewal_shows_in_a_change_that_still_awaits_its_code(
    house: House, facade: PlanChanges
) -> None:
    rented, change_id = await a_change(house)
    await facade.renew(rented.account_id, rented.service_id, 12, idempotency_key="k")
    view = await facade.status(rented.account_id, change_id)
    assert view.new_expires_at == view.as_of + 40 * DAY
    assert (view.days_before, view.days_after) == (32, 40), "all figures are of the renewed expiry"


async def test_a_renewal_beyond_any_calendar_gives_a_date_that_every_zone_has(
    house: House, facade: PlanChanges
) -> None:
    now = moment().replace(microsecond=0)
    rented = await house.rent(servers=1, slots=64, expires_at=now + 20 * DAY)
    request = await house.request(rented, rented.wants(8, 1), now)
    await house.open(request, now)
    far = now.replace(year=8999, month=1, day=1)
    await set_values(house.database, tables.services, rented.service_id, expires_at=far)
    view = await facade.status(rented.account_id, request.change_id)
    assert view.new_expires_at is not None
    assert view.new_expires_at.astimezone(ZoneInfo("Pacific/Kiritimati")).year == 9999


async def test_after_the_third_mail_no_other_can_be_asked_for(house: House, facade: PlanChanges) -> None:
    rented, change_id = await a_change(house)
    await set_values(house.database, tables.plan_changes, change_id, code_number=3, wrong_on_code=4)
    view = await facade.status(rented.account_id, change_id)
    assert (view.resend_at, view.tries_left) == (None, 1)


async def completed(house: House) -> tuple[Rented, str]:
    rented, change_id = await a_change(house)
    await house.put_on_host(rented)
    await house.confirm(change_id, at=moment())
    await run(house.servers.apply_limits, HostOrder(change_id=change_id))
    await house.tear_down(change_id, rented.servers[2])
    await run(house.transactions.complete_change, ChangeAt(change_id=change_id, at=moment()))
    return rented, change_id


async def test_a_completed_change_is_shown_with_its_receipts(house: House, facade: PlanChanges) -> None:
    rented, change_id = await completed(house)
    view = await facade.status(rented.account_id, change_id)
    assert (view.stage, view.outcome) == ("completed", "completed")
    assert view.new_expires_at == view.as_of + 25 * DAY
    assert (view.tries_left, view.resend_at) == (0, None)
    assert [it.step for it in view.receipts] == [
        "record",
        "stop",
        "delete_backups",
        "delete_data",
        "verify_gone",
        "release_address",
    ]
    assert {it.server_id for it in view.receipts} == {rented.servers[2]}
    service = await facade.service(rented.account_id, rented.service_id)
    assert [it.id for it in service.servers] == list(rented.servers[:2])


async def test_history_is_newest_first_and_without_details(house: House, facade: PlanChanges) -> None:
    rented, first = await completed(house)
    now = moment().replace(microsecond=0) + SECOND
    refused = await house.request(rented, rented.wants(26, 2), now)
    await house.open(refused, now)
    history = await facade.history(rented.account_id, rented.service_id)
    assert [(view.id, view.outcome, view.reason) for view in history] == [
        (refused.change_id, "rejected", "change-too-soon"),
        (first, "completed", None),
    ]
    assert all(view.timeline == () == view.receipts for view in history)


async def test_a_service_without_changes_has_an_empty_history(house: House, facade: PlanChanges) -> None:
    rented = await house.rent(expires_at=moment() + DAY)
    assert await facade.history(rented.account_id, rented.service_id) == []


async def test_after_the_expiry_nothing_is_shown_until_a_renewal(house: House, facade: PlanChanges) -> None:
    rented, change_id = await completed(house)
    mine = (rented.account_id, change_id)
    shown = await facade.status(*mine)
    await set_values(house.database, tables.services, rented.service_id, expires_at=moment())
    with pytest.raises(problems.NotFound):
        await facade.status(*mine)
    with pytest.raises(problems.NotFound):
        [entry async for entry in facade.watch(*mine)]
    assert await facade.history(rented.account_id, rented.service_id) == []

    await facade.renew(rented.account_id, rented.service_id, 1, idempotency_key="k")
    assert await facade.status(*mine) == shown
    assert [view.id for view in await facade.history(rented.account_id, rented.service_id)] == [change_id]


async def test_after_the_expiry_no_call_tells_what_became_of_a_change(
    house: House, facade: PlanChanges
) -> None:
    """Not even that it was: a code, a resend and a cancellation name its outcome otherwise."""
    confirmed, given_up = await completed(house), await a_change(house, name="bruno")
    order = Abandon(change_id=given_up[1], reason=AbandonReason.CANCELLED, actor="customer", at=moment())
    await run(house.transactions.abandon_change, order)
    for rented, change_id in (confirmed, given_up):
        right = display(house.keys.code_of(await house.change(change_id)))
        await set_values(house.database, tables.services, rented.service_id, expires_at=moment())
        mine = (rented.account_id, change_id)
        for call in (
            facade.submit_code(*mine, right),
            facade.submit_code(*mine, "BCDF-GHJK"),
            facade.resend_code(*mine),
            facade.cancel(*mine),
        ):
            with pytest.raises(problems.NotFound):
                await call


async def test_watching_gives_what_happens_until_the_end(house: House, facade: PlanChanges) -> None:
    rented, change_id = await a_change(house)
    seen: list[str] = []
    two_are_seen = asyncio.Event()

    async def watch() -> None:
        async for entry in facade.watch(rented.account_id, change_id):
            seen.append(entry.event)
            if len(seen) == 2:
                two_are_seen.set()

    watching = asyncio.create_task(watch())
    await asyncio.wait_for(two_are_seen.wait(), 5)
    assert not watching.done()
    order = Abandon(change_id=change_id, reason=AbandonReason.CANCELLED, actor="customer", at=moment())
    await run(house.transactions.abandon_change, order)
    await asyncio.wait_for(watching, 5)
    assert seen == ["requested", "accepted", "abandoned"]


async def test_watching_goes_on_from_behind_an_entry(house: House, facade: PlanChanges) -> None:
    rented, change_id = await completed(house)
    everything = [entry async for entry in facade.watch(rented.account_id, change_id)]
    assert everything[-1].event == "completed"
    rest = [entry async for entry in facade.watch(rented.account_id, change_id, everything[4].seq)]
    assert rest == everything[5:]
    for beyond in (everything[-1].seq, 2**31, 10**18 - 1):
        assert [entry async for entry in facade.watch(rented.account_id, change_id, beyond)] == []
    seqs = [entry.seq for entry in everything]
    assert seqs == sorted(set(seqs))
