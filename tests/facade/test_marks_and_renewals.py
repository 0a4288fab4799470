"""What the customer alters without a worker: marks, and renewals once per key."""

import asyncio
from datetime import timedelta

import pytest

from changeover.domain import problems
from changeover.storage import tables
from changeover.storage.database import Database
from starter import writes
from starter.customer_services import moment
from starter.plan_changes import PlanChanges
from tests.activities.house import House
from tests.storage.rows import (
    DAY,
    SECOND,
    T0,
    add_free_addresses,
    load_catalogue,
    rent,
    row_of,
    rows_of,
    set_values,
    snapshot,
)


async def state_of(database: Database, server_id: str) -> tuple[str, bool]:
    row = await row_of(database, tables.servers, id=server_id)
    return row["state"], row["marked_at"] is not None


async def test_a_mark_is_set_and_taken_back_also_the_second_time(
    database: Database, facade: PlanChanges
) -> None:
    rented = await rent(database)
    mine = (rented.account_id, rented.service_id, rented.servers[1])
    await facade.mark(*mine)
    first = await row_of(database, tables.servers, id=rented.servers[1])
    await facade.mark(*mine)
    assert await row_of(database, tables.servers, id=rented.servers[1]) == first
    assert await state_of(database, rented.servers[1]) == ("marked", True)
    for _ in range(2):
        await facade.unmark(*mine)
        assert await state_of(database, rented.servers[1]) == ("active", False)
    assert await state_of(database, rented.servers[0]) == ("active", False)


async def test_after_the_commit_a_mark_is_closed(house: House, facade: PlanChanges) -> None:
    rented = await house.rent(marked=1)
    await house.put_on_host(rented)
    await add_free_addresses(house.database, 1)
    change_id = await house.committed(rented, rented.wants(24, 2))
    gone = (rented.account_id, rented.service_id, rented.servers[2])
    for call in (facade.mark, facade.unmark):
        with pytest.raises(problems.ChangeClosed) as caught:
            await call(*gone)
        assert caught.value == problems.ChangeClosed(outcome="committed", reason=None)
    await house.tear_down(change_id, rented.servers[2])
    await house.create(change_id)
    for server_id in rented.servers[:2]:
        await set_values(house.database, tables.tasks, change_id, state="done")
        assert await state_of(house.database, server_id) == ("active", False)
    await house.complete(change_id)
    with pytest.raises(problems.ChangeClosed) as caught:
        await facade.unmark(*gone)
    assert caught.value == problems.ChangeClosed(outcome="completed", reason=None)


async def test_a_server_that_is_being_created_cannot_be_marked(house: House, facade: PlanChanges) -> None:
    rented = await house.rent()
    await add_free_addresses(house.database, 1)
    change_id = await house.committed(rented, rented.wants(20, 4))
    new = await row_of(house.database, tables.servers, created_by=change_id)
    with pytest.raises(problems.ChangeInProgress) as caught:
        await facade.mark(rented.account_id, rented.service_id, new["id"])
    assert caught.value.figures == {"plan_change_id": change_id}


async def test_days_are_added_to_what_is_left(database: Database, facade: PlanChanges) -> None:
    expires_at = moment() + 5 * DAY
    rented = await rent(database, expires_at=expires_at)
    renewed = await facade.renew(rented.account_id, rented.service_id, 30, idempotency_key="k")
    assert renewed.expires_at == expires_at + 30 * DAY
    assert (await row_of(database, tables.services))["expires_at"] == renewed.expires_at


async def test_after_the_expiry_days_are_added_to_now(database: Database, facade: PlanChanges) -> None:
    rented = await rent(database, expires_at=moment() - 5 * DAY)
    before = moment() - SECOND
    renewed = await facade.renew(rented.account_id, rented.service_id, 3, idempotency_key="k")
    assert before <= renewed.expires_at - 3 * DAY <= moment()
    assert renewed.expires_at.microsecond == 0


async def test_the_same_key_adds_once_and_another_key_again(database: Database, facade: PlanChanges) -> None:
    rented = await rent(database, expires_at=moment() + DAY)
    mine = (rented.account_id, rented.service_id)
    first = await facade.renew(*mine, 10, idempotency_key="k")
    assert await facade.renew(*mine, 10, idempotency_key="k") == first
    second = await facade.renew(*mine, 10, idempotency_key="other")
    assert second.expires_at == first.expires_at + 10 * DAY
    assert await facade.renew(*mine, 10, idempotency_key="k") == first


async def test_a_key_stands_for_one_body(database: Database, facade: PlanChanges) -> None:
    rented = await rent(database, expires_at=moment() + DAY)
    await facade.renew(rented.account_id, rented.service_id, 10, idempotency_key="k")
    before = await snapshot(database)
    with pytest.raises(problems.IdempotencyKeyReused):
        await facade.renew(rented.account_id, rented.service_id, 11, idempotency_key="k")
    assert await snapshot(database) == before


async def test_a_key_belongs_to_one_service(database: Database, facade: PlanChanges) -> None:
    one = await rent(database, expires_at=moment() + DAY)
    two = await rent(database, one.account_id, expires_at=moment() + 2 * DAY)
    first = await facade.renew(one.account_id, one.service_id, 10, idempotency_key="k")
    second = await facade.renew(two.account_id, two.service_id, 10, idempotency_key="k")
    assert first != second


async def test_a_key_is_remembered_for_a_day(database: Database) -> None:
    rented = await rent(database, expires_at=T0 + DAY)
    mine = (database, rented.account_id, rented.service_id, 1)
    first = await writes.renew(*mine, key="k", now=T0)
    assert await writes.renew(*mine, key="k", now=T0 + DAY - SECOND) == first
    again = await writes.renew(*mine, key="k", now=T0 + DAY)
    assert again.expires_at == first.expires_at + DAY
    assert len(await rows_of(database, tables.idempotency_keys)) == 1


@pytest.mark.parametrize("days", [-1, 0, 3651])
async def test_days_have_limits(database: Database, facade: PlanChanges, days: int) -> None:
    rented = await rent(database)
    before = await snapshot(database)
    with pytest.raises(problems.RequestInvalid) as caught:
        await facade.renew(rented.account_id, rented.service_id, days, idempotency_key="k")
    assert caught.value.figures["field"] == "days"
    assert await snapshot(database) == before


@pytest.mark.parametrize("days", [1, 3650])
async def test_the_limits_are_inclusive(database: Database, facade: PlanChanges, days: int) -> None:
    expires_at = moment() + DAY
    rented = await rent(database, expires_at=expires_at)
    renewed = await facade.renew(rented.account_id, rented.service_id, days, idempotency_key="k")
    assert renewed.expires_at == expires_at + timedelta(days=days)


async def test_no_renewal_leaves_the_calendar(database: Database, facade: PlanChanges) -> None:
    rented = await rent(database, expires_at=T0.replace(year=9000))
    with pytest.raises(problems.RequestInvalid):
        await facade.renew(rented.account_id, rented.service_id, 1, idempotency_key="k")


@pytest.mark.parametrize("key", ["", "k" * 256, "a\0b", "\ud800"])
async def test_a_key_that_can_not_be_kept_is_refused(
    database: Database, facade: PlanChanges, key: str
) -> None:
    await load_catalogue(database)
    rented = await rent(database)
    before = await snapshot(database)
    with pytest.raises(problems.RequestInvalid) as caught:
        await facade.renew(rented.account_id, rented.service_id, 1, idempotency_key=key)
    assert caught.value.figures["field"] == "idempotency_key"
    assert await snapshot(database) == before


async def test_a_key_of_255_characters_is_kept(database: Database, facade: PlanChanges) -> None:
    rented = await rent(database)
    key = "\N{SNOWMAN}" * 255
    first = await facade.renew(rented.account_id, rented.service_id, 1, idempotency_key=key)
    assert await facade.renew(rented.account_id, rented.service_id, 1, idempotency_key=key) == first


async def test_the_same_key_twenty_times_at_once_adds_once(database: Database, facade: PlanChanges) -> None:
    expires_at = moment() + DAY
    rented = await rent(database, expires_at=expires_at)
    answers = await asyncio.gather(
        *(facade.renew(rented.account_id, rented.service_id, 10, idempotency_key="k") for _ in range(20))
    )
    assert {renewed.expires_at for renewed in answers} == {expires_at + 10 * DAY}
    assert (await row_of(database, tables.services))["expires_at"] == expires_at + 10 * DAY


async def test_twenty_keys_at_once_add_twenty_times(database: Database, facade: PlanChanges) -> None:
    expires_at = moment() + DAY
    rented = await rent(database, expires_at=expires_at)
    await asyncio.gather(
        *(
            facade.renew(rented.account_id, rented.service_id, 1, idempotency_key=f"k{number}")
            for number in range(20)
        )
    )
    assert (await row_of(database, tables.services))["expires_at"] == expires_at + 20 * DAY
