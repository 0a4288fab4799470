"""A database that comes, goes or can't write is away, not a defect: callers are told to try again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.database import Database, condition
from changeover.storage.tables import passes, services
from tests.storage.rows import T0, add_account, rows_of

_REFUSES_TLS = b"N"
_TLS_ASKED = (80877103).to_bytes(4, "big")


@asynccontextmanager
async def refusing(sqlstate: str) -> AsyncIterator[str]:
    """Run a server that speaks just enough of PostgreSQL's protocol to refuse with `sqlstate`."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(8)
        if asked[4:] == _TLS_ASKED:
            writer.write(_REFUSES_TLS)
            await reader.readexactly(8)
        fields = b"".join(
            kind + value + b"\0"
            for kind, value in ((b"S", b"FATAL"), (b"V", b"FATAL"), (b"C", sqlstate.encode()), (b"M", b"no"))
        )
        writer.write(b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield f"postgresql+asyncpg://changeover@127.0.0.1:{server.sockets[0].getsockname()[1]}/changeover"
    finally:
        server.close()


@pytest.mark.parametrize(
    "sqlstate", ["57P01", "57P02", "57P03", "53300", "08003", "08006", "28P01", "28000", "3D000"]
)
async def test_a_server_that_starts_stops_is_full_or_lets_nobody_in_is_away(sqlstate: str) -> None:
    async with refusing(sqlstate) as url:
        database = Database(url)
        with pytest.raises(OperationalError):
            async with database.read() as connection:
                await connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError):
            await database.write(lambda connection: connection.execute(text("SELECT 1")))
        await database.close()


def raising(sqlstate: str) -> Callable[[AsyncConnection], Awaitable[None]]:
    """Return a transaction that PostgreSQL refuses, while it runs, with `sqlstate`."""

    async def work(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(
            f"DO $$ BEGIN RAISE EXCEPTION 'as ordered' USING ERRCODE = '{sqlstate}'; END $$"
        )

    return work


@pytest.mark.parametrize(
    ("sqlstate", "name"),
    [
        ("53100", "DiskFullError"),
        ("53200", "OutOfMemoryError"),
        ("58030", "PostgresIOError"),
        ("57014", "QueryCanceledError"),
    ],
)
async def test_a_server_that_lacks_something_is_away_and_says_what(
    postgres_database: Database, sqlstate: str, name: str
) -> None:
    with pytest.raises(OperationalError) as caught:
        await postgres_database.write(raising(sqlstate))
    assert condition(caught.value) == f"{name} {sqlstate}"
    assert await rows_of(postgres_database, services) == [], "the next transaction is served"


async def test_a_server_that_became_read_only_is_away_and_left(postgres_database: Database) -> None:
    """As the former primary is after a failover: its name leads elsewhere, old connections still to it."""
    account_id = await add_account(postgres_database)
    database = Database(str(postgres_database.url), pool_size=1)

    async def session(connection: AsyncConnection) -> int:
        return int((await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one())

    async def become_read_only(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    before = await database.write(session)
    await database.write(become_read_only)
    granted = insert(passes).values(id="p", account_id=account_id, granted_at=T0)
    with pytest.raises(OperationalError) as caught:
        await database.write(lambda connection: connection.execute(granted))
    assert condition(caught.value) == "ReadOnlySQLTransactionError 25006"
    assert await database.write(session) != before
    await database.write(lambda connection: connection.execute(granted))
    await database.close()


async def test_sqlite_says_what_is_wrong_by_its_name(sqlite_database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        await connection.exec_driver_sql("CREATE TABLE more (text TEXT)")
        await connection.exec_driver_sql("INSERT INTO more VALUES (zeroblob(1000000))")

    with pytest.raises(OperationalError) as caught:
        await sqlite_database.write(work)
    assert condition(caught.value) == "SQLITE_FULL"


def test_what_is_no_answer_of_a_database_is_told_by_its_kind() -> None:
    assert condition(ConnectionRefusedError("127.0.0.1:5432")) == "ConnectionRefusedError"
    assert condition(OperationalError(None, None, TimeoutError("secret"))) == "TimeoutError"
