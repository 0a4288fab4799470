"""A PostgreSQL that no longer answers, and a session that holds its locks for ever: nobody waits for long."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage import database as module
from changeover.storage.database import Database
from changeover.storage.tables import accounts
from tests.storage.rows import add_account
from tests.support.proxy import proxy_to

HUNG = 40.0
"""Seconds after which a test takes what it waits for to hang."""


def _url(database: Database, port: int | None = None) -> str:
    url = database.url
    return (url if port is None else url.set(port=port)).render_as_string(hide_password=False)


async def _touch(connection: AsyncConnection, account_id: str) -> None:
    now = datetime.now(UTC)
    await connection.execute(update(accounts).where(accounts.c.id == account_id).values(created_at=now))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds instead of tens of them."""
    monkeypatch.setattr(module, "_CONNECT_SECONDS", 2)
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 5)
    monkeypatch.setattr(module, "_LOCK_SECONDS", 1)
    monkeypatch.setattr(module, "_STILL_SECONDS", 2)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_is_silent_is_away_and_its_connections_are_not_used_again(
    postgres_database: Database,
) -> None:
    account_id = await add_account(postgres_database)
    port = make_url(_url(postgres_database)).port
    assert port is not None
    async with proxy_to(port) as way:
        database = Database(_url(postgres_database, way.port))

        async def touch() -> None:
            await database.write(lambda connection: _touch(connection, account_id))

        await asyncio.gather(*(touch() for _ in range(4)))  # four connections are in the pool
        way.fall_silent()
        async with asyncio.timeout(HUNG):
            with pytest.raises(OperationalError):
                await touch()
            with pytest.raises(OperationalError):
                async with database.read() as connection:
                    await connection.execute(select(accounts))
        way.heal()
        began = time.monotonic()
        async with asyncio.timeout(HUNG):
            await touch()
        assert time.monotonic() - began < 5, "no other silent connection was tried; to drop one takes 2 s"
        await asyncio.wait_for(database.close(), HUNG)


@pytest.mark.usefixtures("impatient")
async def test_silence_within_a_transaction_ends_it(postgres_database: Database) -> None:
    account_id = await add_account(postgres_database)
    port = make_url(_url(postgres_database)).port
    assert port is not None
    async with proxy_to(port) as way:
        database = Database(_url(postgres_database, way.port))

        async def silenced(connection: AsyncConnection) -> None:
            await _touch(connection, account_id)
            way.fall_silent()
            await _touch(connection, account_id)

        async with asyncio.timeout(HUNG):
            with pytest.raises(OperationalError):
                await database.write(silenced)
        # The lock that the lost session still has is not for ever.
        async with asyncio.timeout(HUNG):
            await _until_written(Database(_url(postgres_database)), account_id)
        await asyncio.wait_for(database.close(), HUNG)


async def _until_written(database: Database, account_id: str) -> None:
    while True:
        try:
            await database.write(lambda connection: _touch(connection, account_id))
        except OperationalError:
            continue
        await database.close()
        return


@pytest.mark.usefixtures("impatient")
async def test_nobody_waits_for_a_lock_for_long(postgres_database: Database) -> None:
    account_id = await add_account(postgres_database)
    database = Database(_url(postgres_database))
    locked, done = asyncio.Event(), asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        await _touch(connection, account_id)
        locked.set()
        while not done.is_set():
            await connection.execute(text("SELECT 1"))
            await asyncio.sleep(0.1)

    holding = asyncio.create_task(postgres_database.write(hold))
    await locked.wait()
    async with asyncio.timeout(HUNG):
        with pytest.raises(OperationalError):
            await database.write(lambda connection: _touch(connection, account_id))
    done.set()
    await holding
    await database.close()


@pytest.mark.usefixtures("impatient")
async def test_who_stands_still_within_a_transaction_loses_its_locks(postgres_database: Database) -> None:
    """A worker whose machine was frozen must not keep its service's row from everybody."""
    account_id = await add_account(postgres_database)
    frozen, other = Database(_url(postgres_database)), Database(_url(postgres_database))
    locked, thawed = asyncio.Event(), asyncio.Event()

    async def freeze(connection: AsyncConnection) -> None:
        await _touch(connection, account_id)
        locked.set()
        await thawed.wait()
        await _touch(connection, account_id)

    freezing = asyncio.create_task(frozen.write(freeze))
    await locked.wait()
    async with asyncio.timeout(HUNG):
        await _until_written(other, account_id)
    thawed.set()
    with pytest.raises(DBAPIError):
        await freezing
    await frozen.write(lambda connection: _touch(connection, account_id))
    await frozen.close()
