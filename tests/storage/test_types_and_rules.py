"""What the database itself holds to: instants in UTC, append-only tables, one open change per service."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Table, delete, insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from changeover.domain.lifecycle import CLOSED, OPEN, Stage
from changeover.storage import changes
from changeover.storage.changes import Change, Event
from changeover.storage.database import Database
from changeover.storage.tables import accounts, plan_changes, receipts, services, tasks, trail
from tests.storage.rows import T0, Rented, add_rows, rent, row_of, rows_of, set_values

CONFIGURATION: dict[str, Any] = {"offer": "blocks", "slots": 20, "options": [], "server_count": 3}


def a_change(rented: Rented, stage: Stage = Stage.AWAITING_CODE) -> Change:
    return Change(
        id=str(uuid4()),
        service_id=rented.service_id,
        account_id=rented.account_id,
        fingerprint="f" * 64,
        stage=stage,
        before=CONFIGURATION,
        after=CONFIGURATION,
        destroys=[],
        creates=0,
        spends_pass=False,
        as_of=T0,
    )


async def add_change(database: Database, change: Change) -> None:
    entry = Event(event="requested", stage=change.stage, at=T0)
    await database.write(lambda connection: changes.add(connection, change, entry))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 0, 0, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 10, 25, 2, 30, 0, tzinfo=timezone(timedelta(hours=-11, minutes=-30))),
        datetime(9000, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
async def test_an_instant_comes_back_in_utc(database: Database, moment: datetime) -> None:
    await rent(database, expires_at=moment)
    back = (await row_of(database, services))["expires_at"]
    assert back == moment
    assert back.utcoffset() == timedelta(0)


async def test_an_instant_without_a_zone_is_refused(database: Database) -> None:
    rented = await rent(database)
    with pytest.raises(StatementError, match="an instant needs a time zone"):
        await set_values(database, services, rented.service_id, expires_at=datetime(2026, 3, 10))  # noqa: DTZ001
    assert (await row_of(database, services))["expires_at"] > T0


async def test_no_instant_stays_none(database: Database) -> None:
    await rent(database)
    assert (await row_of(database, services))["last_committed_at"] is None


async def test_instants_compare_as_instants_whatever_their_zone(database: Database) -> None:
    await rent(database, expires_at=T0)
    later_in_words = (T0 - timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9)))
    async with database.read() as connection:
        query = services.select().where(services.c.expires_at > later_in_words)
        assert len((await connection.execute(query)).all()) == 1


async def fill_append_only(database: Database) -> None:
    rented = await rent(database)
    change = a_change(rented)
    await add_change(database, change)
    receipt = {"change_id": change.id, "server_id": rented.servers[0], "step": "stop", "at": T0}
    await add_rows(database, receipts, receipt | {"evidence": {"stopped": True}})


@pytest.mark.parametrize("table", [trail, receipts], ids=lambda table: table.name)
async def test_the_database_refuses_to_rewrite_what_happened(database: Database, table: Table) -> None:
    await fill_append_only(database)
    before = await rows_of(database, table)
    assert before
    for statement in (update(table).values(at=T0 + timedelta(days=1)), delete(table)):
        with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
            await database.write(lambda connection, it=statement: connection.execute(it))  # type: ignore[misc]
    assert await rows_of(database, table) == before


@pytest.mark.parametrize("table", ["trail", "receipts", "plan_changes"])
async def test_postgresql_refuses_to_empty_them_at_once(postgres_database: Database, table: str) -> None:
    await fill_append_only(postgres_database)
    with pytest.raises(DBAPIError, match="is append-only"):
        await postgres_database.write(lambda it: it.execute(text(f"TRUNCATE {table} CASCADE")))
    assert await rows_of(postgres_database, trail)


async def test_a_change_with_a_trail_cannot_be_deleted(database: Database) -> None:
    await fill_append_only(database)
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: connection.execute(delete(plan_changes)))


@pytest.mark.parametrize("stage", sorted(OPEN))
async def test_a_second_open_change_of_a_service_is_refused(database: Database, stage: Stage) -> None:
    rented, other = await rent(database), await rent(database)
    await add_change(database, a_change(rented))
    with pytest.raises(IntegrityError):
        await add_change(database, a_change(rented, stage))
    await add_change(database, a_change(other, stage))
    assert len(await rows_of(database, plan_changes)) == 2


@pytest.mark.parametrize("stage", sorted(CLOSED))
async def test_closed_changes_stand_beside_an_open_one(database: Database, stage: Stage) -> None:
    rented = await rent(database)
    for change in (a_change(rented), a_change(rented, stage), a_change(rented, stage)):
        await add_change(database, change)
    assert len(await rows_of(database, plan_changes)) == 3


async def test_the_trail_keeps_its_order_and_can_be_read_from_behind_an_entry(database: Database) -> None:
    change = a_change(await rent(database))
    await add_change(database, change)
    more = [Event(event=f"event-{number}", stage=change.stage, at=T0) for number in range(5)]
    await database.write(lambda connection: changes.alter(connection, change, more))
    async with database.read() as connection:
        entries = await changes.trail_of(connection, change.id)
        rest = await changes.trail_of(connection, change.id, after=entries[3].seq)
        assert await changes.has_event(connection, change.id, "event-4")
        assert not await changes.has_event(connection, change.id, "event-5")
    assert [entry.event for entry in entries] == ["requested", *(f"event-{number}" for number in range(5))]
    assert [entry.event for entry in rest] == ["event-3", "event-4"]
    assert [entry.actor for entry in entries] == ["system"] * 6


async def test_asking_for_a_change_that_no_row_knows_is_an_error(database: Database) -> None:
    async with database.read() as connection:
        assert await changes.find(connection, "nothing") is None
        with pytest.raises(LookupError, match="no plan change nothing"):
            await changes.get(connection, "nothing")


@pytest.mark.parametrize(("column", "value"), [("kind", "party"), ("state", "asleep")])
async def test_a_task_of_an_unknown_sort_is_refused(database: Database, column: str, value: str) -> None:
    rented = await rent(database)
    change = a_change(rented)
    await add_change(database, change)
    row = {
        "change_id": change.id,
        "kind": "limits",
        "server_id": rented.servers[0],
        "address": rented.addresses[0],
        "state": "pending",
        "address_held": False,
    }
    with pytest.raises(IntegrityError):
        await add_rows(database, tasks, row | {column: value})
    await add_rows(database, tasks, row)


async def test_a_service_needs_an_account_that_exists(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await rent(database, account_id=str(uuid4()))
    assert await rows_of(database, accounts) == []
    with pytest.raises(IntegrityError):
        await database.write(
            lambda connection: connection.execute(
                insert(receipts).values(change_id="no", server_id="no", step="no", at=T0, evidence={})
            )
        )
