"""The pool of addresses: each belongs to one server, rests after it, or is held back for good."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage import addresses, services
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.database import Database
from changeover.storage.tables import addresses as table
from changeover.storage.tables import servers
from tests.storage.rows import (
    DAY,
    SECOND,
    T0,
    add_free_addresses,
    add_rows,
    load_catalogue,
    rent,
    row_of,
    set_values,
)

QUARANTINE = 7 * DAY


async def take(database: Database, count: int) -> list[str]:
    return await database.write(lambda connection: addresses.take(connection, count, T0))


async def free_as_quoted(database: Database, service_id: str) -> int:
    await load_catalogue(database)
    async with database.read() as connection:
        found = await services.facts_and_catalogue(connection, CatalogueReader(), service_id, T0)
    assert found is not None
    facts, _ = found
    return facts.free_addresses


async def test_only_free_addresses_are_taken_the_longest_free_first(database: Database) -> None:
    rented = await rent(database)
    free = await add_free_addresses(database, 5, free_from=T0 - DAY)
    await set_values(database, table, free[0], held=True)
    await set_values(database, table, free[1], free_from=T0 + SECOND)  # in quarantine
    await set_values(database, table, free[2], free_from=None)  # never set free
    await set_values(database, table, free[4], free_from=T0 - 2 * DAY)
    assert await take(database, 9) == [free[4], free[3]]
    assert await take(database, 1) == [free[4]]
    assert await free_as_quoted(database, rented.service_id) == 2


async def test_quarantine_ends_at_its_very_second(database: Database) -> None:
    (address,) = await add_free_addresses(database, 1, free_from=T0)
    assert await take(database, 1) == [address]
    await set_values(database, table, address, free_from=T0 + SECOND / 1_000_000)
    assert await take(database, 1) == []


async def test_an_address_is_given_back_by_its_owner_only(database: Database) -> None:
    rented, other = await rent(database, servers=1), await rent(database, servers=1)
    address = rented.addresses[0]

    async def give_back(connection: AsyncConnection, server_id: str) -> bool:
        return await addresses.give_back(connection, address, server_id, T0 + QUARANTINE)

    assert not await database.write(lambda connection: give_back(connection, other.servers[0]))
    assert (await row_of(database, table, address=address))["server_id"] == rented.servers[0]
    assert await database.write(lambda connection: give_back(connection, rented.servers[0]))
    row = await row_of(database, table, address=address)
    assert (row["server_id"], row["free_from"]) == (None, T0 + QUARANTINE)
    assert not await database.write(lambda connection: give_back(connection, rented.servers[0]))
    assert (await row_of(database, table, address=address))["server_id"] is None
    assert (await row_of(database, table, address=other.addresses[0]))["server_id"] == other.servers[0]


async def test_an_address_that_is_held_is_never_free_again(database: Database) -> None:
    rented = await rent(database, servers=1)
    address = rented.addresses[0]
    await database.write(lambda connection: addresses.hold(connection, address, rented.servers[0]))
    await database.write(
        lambda connection: addresses.give_back(connection, address, rented.servers[0], T0 - DAY)
    )
    assert await take(database, 1) == []
    assert await free_as_quoted(database, rented.service_id) == 0


async def test_only_the_owners_address_can_be_held(database: Database) -> None:
    rented = await rent(database, servers=2)
    await database.write(
        lambda connection: addresses.hold(connection, rented.addresses[0], rented.servers[1])
    )
    assert not (await row_of(database, table, address=rented.addresses[0]))["held"]


async def test_addresses_are_assigned_together(database: Database) -> None:
    rented = await rent(database, servers=0)
    free = await add_free_addresses(database, 2)
    server_rows = [
        {
            "id": f"new-{number}",
            "service_id": rented.service_id,
            "name": f"server-{number}",
            "address": free[number],
            "state": "creating",
            "backups": 0,
            "created_at": T0,
        }
        for number in range(2)
    ]
    await add_rows(database, servers, *server_rows)
    pairs = {"new-0": free[0], "new-1": free[1]}
    await database.write(lambda connection: addresses.assign(connection, pairs))
    for server_id, address in pairs.items():
        row = await row_of(database, table, address=address)
        assert (row["server_id"], row["free_from"]) == (server_id, None)
    assert await take(database, 2) == []


async def test_an_address_that_another_commit_has_locked_is_passed_over(postgres_database: Database) -> None:
    free = await add_free_addresses(postgres_database, 3)
    taken = asyncio.Event()
    done = asyncio.Event()

    async def holding(connection: AsyncConnection) -> list[str]:
        mine = await addresses.take(connection, 2, T0)
        taken.set()
        await done.wait()
        return mine

    first = asyncio.create_task(postgres_database.write(holding))
    await taken.wait()
    assert await asyncio.wait_for(take(postgres_database, 3), 5) == [free[2]]
    done.set()
    assert await first == free[:2]
