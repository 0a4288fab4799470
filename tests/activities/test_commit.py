"""The commit: exactly what was confirmed, all or nothing; a renewal is kept, anything else is stale."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from changeover.domain.lifecycle import Stage
from changeover.storage import tables
from tests.activities.house import House
from tests.storage.rows import (
    BLOCKS,
    CATALOGUE,
    CLASSIC,
    DAY,
    MINUTE,
    SECOND,
    T0,
    Rented,
    add_account,
    add_free_addresses,
    load_catalogue,
    rows_of,
    set_values,
    snapshot,
)
from workflows.messages import HostWork, Judgement

AT = T0 + 2 * MINUTE


async def test_everything_that_was_confirmed_is_written(house: House) -> None:
    rented = await house.rent(servers=3, marked=1, passes=2, last_committed_at=T0 - 5 * DAY)
    change_id = await house.awaiting(rented, rented.wants(24, 2, "backups"))
    await house.confirm(change_id, at=AT + timedelta(microseconds=700_000))

    service = await house.service_row(rented)
    new_expires_at = T0 + timedelta(seconds=20 * 86_400 * 6000 // 5100)
    assert (service["slots"], service["options"], service["server_count"]) == (24, ["backups"], 2)
    assert (service["expires_at"], service["last_committed_at"]) == (new_expires_at, AT)
    states = [(await house.server_row(it))["state"] for it in rented.servers]
    assert states == ["active", "active", "destroying"]
    assert (await house.server_row(rented.servers[2]))["destroyed_by"] == change_id
    spent = await rows_of(house.database, tables.passes, spent_by=change_id)
    assert [row["granted_at"] for row in spent] == [T0]  # the oldest of the two
    assert [row["spent_at"] for row in spent] == [AT + timedelta(microseconds=700_000)]
    assert len(await rows_of(house.database, tables.passes, spent_by=None)) == 1
    work = {(row["kind"], row["server_id"]): row for row in await rows_of(house.database, tables.tasks)}
    assert set(work) == {
        ("limits", rented.servers[0]),
        ("limits", rented.servers[1]),
        ("teardown", rented.servers[2]),
    }
    assert work["teardown", rented.servers[2]]["address"] == rented.addresses[2]
    assert {row["state"] for row in work.values()} == {"pending"}
    change = await house.change(change_id)
    assert (change.stage, change.committed_at) == (Stage.COMMITTED, AT)
    assert change.new_expires_at == new_expires_at
    assert change.accepted_proof == await house.right_proof(change_id)
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["actor"]) == ("committed", "customer")
    assert last["data"] == {"new_expires_at": new_expires_at.isoformat()}


async def test_new_servers_get_addresses_and_names_of_their_own(house: House) -> None:
    rented = await house.rent(servers=2, marked=0)
    free = await add_free_addresses(house.database, 3)
    await set_values(house.database, tables.servers, rented.servers[0], name="server-4")  # as gaps leave it
    change_id = await house.committed(rented, rented.wants(20, 5))

    created = await rows_of(house.database, tables.servers, created_by=change_id)
    assert {row["state"] for row in created} == {"creating"}
    assert {row["address"] for row in created} == set(free)
    assert {(row["backups"], row["created_at"]) for row in created} == {(0, AT)}
    for row in created:
        address = await house.address_row(row["address"])
        assert (address["server_id"], address["free_from"]) == (row["id"], None)
        assert (await house.task(change_id, HostWork.CREATE, row["id"]))["address"] == row["address"]
    names = [row["name"] for row in await rows_of(house.database, tables.servers)]
    assert sorted(names) == ["server-2", "server-3", "server-4", "server-5", "server-6"]


async def test_servers_that_keep_their_limits_are_not_touched(house: House) -> None:
    rented = await house.rent(servers=3, marked=1)
    change_id = await house.committed(rented, rented.wants(20, 2))
    assert [row["kind"] for row in await rows_of(house.database, tables.tasks)] == ["teardown"]
    assert (await house.change(change_id)).stage is Stage.COMMITTED


@pytest.mark.parametrize("days", [1, 30, 365])
async def test_a_renewal_in_between_is_kept_to_the_second(house: House, days: int) -> None:
    rented = await house.rent(expires_at=T0 + 20 * DAY + 12_345 * SECOND)
    change_id = await house.awaiting(rented, rented.wants(32))
    await set_values(
        house.database,
        tables.services,
        rented.service_id,
        expires_at=T0 + (20 + days) * DAY + 12_345 * SECOND,
    )
    judged = await house.confirm(change_id)
    # 3 x 20 x 100 = 6000 before, 3 x 32 x 100 = 9600 after, from the same T0
    expected = T0 + timedelta(seconds=((20 + days) * 86_400 + 12_345) * 6000 // 9600)
    assert judged.judgement is Judgement.ACCEPTED
    assert judged.change.new_expires_at == expected
    assert (await house.service_row(rented))["expires_at"] == expected
    change = await house.change(change_id)
    assert (change.days_before, change.days_after) == (20 + days, (expected - T0) // DAY)


async def committed_in_the_meantime(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.services, rented.service_id, slots=22)


async def marked(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.servers, rented.servers[0], state="marked", marked_at=T0)


async def unmarked(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.servers, rented.servers[2], state="active", marked_at=None)


async def another_marked(house: House, rented: Rented) -> None:
    await unmarked(house, rented)
    await marked(house, rented)


async def readdressed(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.servers, rented.servers[2], address="192.0.2.200:1")


async def dearer(house: House, rented: Rented) -> None:
    await load_catalogue(house.database, {**CATALOGUE, "blocks": replace(BLOCKS, per_slot=101)})


async def withdrawn(house: House, rented: Rented) -> None:
    await load_catalogue(house.database, {**CATALOGUE, "classic": replace(CLASSIC, visible=False)})


async def pass_spent(house: House, rented: Rented) -> None:
    spent = update(tables.passes).values(spent_at=T0)
    await house.database.write(lambda connection: connection.execute(spent))


async def expired(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.services, rented.service_id, expires_at=AT)


async def shortened(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.services, rented.service_id, expires_at=T0 + 20 * DAY - SECOND)


async def subscribed(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.services, rented.service_id, recurring_payment_active=True)


async def addresses_gone(house: House, rented: Rented) -> None:
    gone = update(tables.addresses).where(tables.addresses.c.server_id.is_(None)).values(held=True)
    await house.database.write(lambda connection: connection.execute(gone))


async def changed_just_now(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.services, rented.service_id, last_committed_at=T0 - 29 * DAY)


async def subscribed_and_addresses_gone(house: House, rented: Rented) -> None:
    await subscribed(house, rented)
    await addresses_gone(house, rented)


STALE: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "expired": (expired, "service-expired", {}),
    "configuration": (committed_in_the_meantime, "configuration-changed", {}),
    "offer": (withdrawn, "offer-withdrawn", {"offer": "classic"}),
    "prices": (dearer, "prices-changed", {}),
    "marked": (marked, "servers-changed", {}),
    "unmarked": (unmarked, "servers-changed", {"servers": 2, "with_marks": True}),
    "another marked": (another_marked, "servers-changed", {"servers": 2, "with_marks": True}),
    "readdressed": (readdressed, "servers-changed", {"servers": 2, "with_marks": True}),
    "pass": (pass_spent, "pass-gone", {"with_pass": True}),
    "shortened": (shortened, "expiry-shortened", {}),
    "paypal": (subscribed, "recurring-payment-active", {}),
    "addresses": (addresses_gone, "no-capacity", {"servers": 5}),
    "paypal, then addresses": (
        subscribed_and_addresses_gone,
        "recurring-payment-active",
        {"servers": 5},
    ),
    "cooldown": (changed_just_now, "rules-changed", {}),
}


@pytest.mark.parametrize("case", sorted(STALE))
async def test_what_is_no_longer_as_confirmed_is_stale_and_nothing_changes(house: House, case: str) -> None:
    happen, cause, wanted = STALE[case]
    rented = await house.rent(
        marked=1 if wanted.get("with_marks") else 0,
        passes=1 if wanted.get("with_pass") else 0,
        last_committed_at=T0 - DAY if wanted.get("with_pass") else None,
    )
    await add_free_addresses(house.database, 2)
    offer, servers = wanted.get("offer", "blocks"), wanted.get("servers", 3)
    change_id = await house.awaiting(rented, rented.wants(24, servers, offer=offer))
    await happen(house, rented)
    before = await snapshot(house.database, tables.plan_changes, tables.trail)

    judged = await house.confirm(change_id, at=AT)

    assert judged.judgement is Judgement.STALE
    assert (judged.change.stage, judged.change.reason, judged.change.cause) == (
        Stage.ABANDONED,
        "stale",
        cause,
    )
    assert await snapshot(house.database, tables.plan_changes, tables.trail) == before
    change = await house.change(change_id)
    assert (change.accepted_proof, change.committed_at, change.closed_at) == (None, None, AT)
    assert (await house.trail(change_id))[-1]["data"] == {"reason": "stale", "cause": cause}
    assert (await house.confirm(change_id)).judgement is Judgement.MOOT


async def test_a_server_that_vanished_makes_the_change_stale(house: House) -> None:
    rented = await house.rent(servers=3)
    change_id = await house.awaiting(rented, rented.wants(24, 3))
    for table, column in ((tables.addresses, "server_id"), (tables.servers, "id")):
        gone = delete(table).where(table.c[column] == rented.servers[1])
        await house.database.write(lambda connection, it=gone: connection.execute(it))  # type: ignore[misc]
    judged = await house.confirm(change_id)
    assert judged.change.cause == "servers-changed"


async def test_one_pass_and_two_services_one_commits_the_other_is_stale(house: House) -> None:
    account_id = await add_account(house.database, passes=1)
    both = [await house.rent(account_id, last_committed_at=T0 - DAY) for _ in range(2)]
    ids = [await house.awaiting(rented, rented.wants(24)) for rented in both]
    answers = await asyncio.gather(*(house.confirm(change_id) for change_id in ids))
    assert sorted(judged.judgement for judged in answers) == [Judgement.ACCEPTED, Judgement.STALE]
    stale = next(judged for judged in answers if judged.judgement is Judgement.STALE)
    assert stale.change.cause == "pass-gone"
    (spent,) = await rows_of(house.database, tables.passes)
    (committed,) = await rows_of(house.database, tables.plan_changes, stage="committed")
    assert spent["spent_by"] == committed["id"]


async def test_six_services_and_three_passes_spend_each_once(house: House) -> None:
    account_id = await add_account(house.database, passes=3)
    services = [await house.rent(account_id, last_committed_at=T0 - DAY) for _ in range(6)]
    ids = [await house.awaiting(rented, rented.wants(24)) for rented in services]
    answers = await asyncio.gather(*(house.confirm(change_id) for change_id in ids))
    assert [judged.judgement for judged in answers].count(Judgement.ACCEPTED) == 3
    spent = [row["spent_by"] for row in await rows_of(house.database, tables.passes)]
    assert len(set(spent)) == 3
    assert None not in spent


async def test_too_few_addresses_for_two_services_go_to_one_of_them(house: House) -> None:
    both = [await house.rent(name=name) for name in ("alice", "bruno")]
    await add_free_addresses(house.database, 3)
    ids = [await house.awaiting(rented, rented.wants(20, 5)) for rented in both]
    answers = await asyncio.gather(*(house.confirm(change_id) for change_id in ids))
    assert sorted(judged.judgement for judged in answers) == [Judgement.ACCEPTED, Judgement.STALE]
    stale = next(judged for judged in answers if judged.judgement is Judgement.STALE)
    assert stale.change.cause == "no-capacity"
    given = await rows_of(house.database, tables.servers, state="creating")
    assert len({row["address"] for row in given}) == len(given) == 2
    assert len(await rows_of(house.database, tables.addresses, server_id=None)) == 1


async def test_services_that_create_at_once_never_share_an_address(house: House) -> None:
    rented = [await house.rent(name=f"customer-{number}") for number in range(6)]
    await add_free_addresses(house.database, 18)
    ids = [await house.awaiting(each, each.wants(20, 6)) for each in rented]
    answers = await asyncio.gather(*(house.confirm(change_id) for change_id in ids))
    assert {judged.judgement for judged in answers} == {Judgement.ACCEPTED}
    created = await rows_of(house.database, tables.servers, state="creating")
    assert len({row["address"] for row in created}) == len(created) == 18
