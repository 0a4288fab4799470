"""The gauges of the database's state."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, text
from sqlalchemy.dialects import sqlite

from changeover.storage import census as census_module
from changeover.storage import tables
from changeover.storage.census import Census, take_census
from changeover.storage.database import Database
from changeover.telemetry.census import CensusFigures
from tests.activities.house import House
from tests.activities.test_tear_down import condemned
from tests.activities.troubled import raise_it
from tests.storage.rows import DAY, MINUTE, T0, add_free_addresses


async def census(house: House, now: datetime) -> Census:
    async with house.database.read() as connection:
        return await take_census(connection, now)


async def test_nothing_is_counted_as_nothing(house: House) -> None:
    found = await census(house, T0)
    assert set(found.open_changes) == {"awaiting_code", "committed", "applying", "needs_attention"}
    assert not any(found.open_changes.values())
    assert (found.overdue, found.attention_since, found.unfinished_teardowns) == (0, None, 0)
    assert found.teardown_step_since is None
    assert not any(found.addresses.values())


async def test_open_changes_are_counted_by_stage_and_closed_ones_are_not(house: House) -> None:
    for _ in range(2):
        rented = await house.rent(servers=3)
        await house.awaiting(rented, rented.wants(24, 3))
    rented = await house.rent(servers=3)
    closed = await house.awaiting(rented, rented.wants(24, 3))
    await house.set_stage(closed, "abandoned")
    found = await census(house, T0 + 5 * MINUTE)
    assert found.open_changes["awaiting_code"] == 2
    assert found.overdue == 0
    assert (await census(house, T0 + DAY)).overdue == 2


async def test_a_teardown_step_has_waited_since_its_last_receipt(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    begun = await census(house, T0 + DAY)
    assert begun.unfinished_teardowns == 1
    assert begun.teardown_step_since == (await house.change(change_id)).committed_at
    await raise_it(house, change_id, server_id)
    raised = await census(house, T0 + DAY)
    assert raised.open_changes["needs_attention"] == 1
    assert raised.attention_since == T0 + 30 * MINUTE
    assert raised.unfinished_teardowns == 1
    await house.tear_down(change_id, server_id)
    done = await census(house, T0 + DAY)
    assert (done.unfinished_teardowns, done.teardown_step_since) == (0, None)


async def test_an_address_that_was_given_back_is_free_when_its_quarantine_is_over(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    await add_free_addresses(house.database, 2)
    await house.tear_down(change_id, server_id)
    now = datetime.now(UTC)
    assert (await census(house, now)).addresses == {"free": 2, "quarantined": 1, "held": 0, "assigned": 2}
    later = await census(house, now + 8 * DAY)
    assert (later.addresses["free"], later.addresses["quarantined"]) == (3, 0)


async def test_only_open_changes_are_read(sqlite_database: Database) -> None:
    """The index of open changes is used: what is closed may be millions. PostgreSQL plans by size."""
    plans = []
    async with sqlite_database.read() as connection:
        for query in census_queries():
            rows = await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))
            plans.append(" ".join(row.detail for row in rows))
    assert all("uq_plan_changes_open" in plan for plan in plans), plans


def census_queries() -> list[str]:
    compiled = {"dialect": sqlite.dialect(), "compile_kwargs": {"literal_binds": True}}
    return [str(query.compile(**compiled)) for query in (census_module._stages(T0), census_module._work())]  # type: ignore[arg-type]


async def test_the_figures_are_counted_anew_at_most_every_five_seconds(
    house: House, monkeypatch: pytest.MonkeyPatch, house_on: Callable[[Database], House]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("changeover.telemetry.census.time.monotonic", lambda: clock[0])
    registry = CollectorRegistry()
    figures = CensusFigures(house.database, registry)

    def awaiting() -> float | None:
        return registry.get_sample_value("changeover_open_changes", {"stage": "awaiting_code"})

    await figures.look()
    assert awaiting() == 0
    rented = await house.rent(servers=3)
    await house.awaiting(rented, rented.wants(24, 3))
    await figures.look()
    assert awaiting() == 0
    clock[0] += 5
    await figures.look()
    assert awaiting() == 1


async def test_figures_stay_and_their_time_says_so_when_the_database_is_away(tmp_path: object) -> None:
    registry = CollectorRegistry()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/empty.db")
    await CensusFigures(database, registry).look()
    await database.close()
    assert registry.get_sample_value("changeover_census_timestamp_seconds") == 0


async def test_findings_are_counted_by_kind_until_they_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("changeover.telemetry.census.time.monotonic", lambda: clock[0])
    registry = CollectorRegistry()
    figures = CensusFigures(house.database, registry)
    row = {"detail": "x", "first_seen": T0, "last_seen": T0, "kind": "unknown-server"}
    rows = [row | {"subject": subject} for subject in ("a", "b")]
    await house.database.write(lambda it: it.execute(insert(tables.findings), rows))

    def found() -> float | None:
        return registry.get_sample_value("changeover_findings", {"kind": "unknown-server"})

    await figures.look()
    assert found() == 2
    await house.database.write(lambda it: it.execute(tables.findings.delete()))
    clock[0] += 5
    await figures.look()
    assert found() is None
