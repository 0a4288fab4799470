"""A PostgreSQL that answers, and refuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]

from tests.faults.system import FaultySystem


@asynccontextmanager
async def beside(system: FaultySystem, database: str | None = None) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of one's own to PostgreSQL; to the system's database if no other is named."""
    connection = await asyncpg.connect(system.database_url.replace("+asyncpg", ""), database=database)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def refusing(
    system: FaultySystem, table: str, sqlstate: str, times: int = 1_000_000
) -> AsyncIterator[asyncpg.Connection]:
    """Have PostgreSQL answer the first `times` writes to a table with an error of this state."""
    async with beside(system) as connection:
        await connection.execute(
            f"""
            CREATE SEQUENCE faulty;
            CREATE FUNCTION faulty() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('faulty') <= {times} THEN
                    RAISE EXCEPTION 'as ordered' USING ERRCODE = '{sqlstate}';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER faulty BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION faulty();
            """
        )
        try:
            yield connection
        finally:
            await connection.execute(f"DROP TRIGGER faulty ON {table}")
            await connection.execute("DROP FUNCTION faulty")
            await connection.execute("DROP SEQUENCE faulty")


@asynccontextmanager
async def no_writes(system: FaultySystem) -> AsyncIterator[None]:
    """Make PostgreSQL read-only for the block, for its sessions as well, as after a lost failover."""
    async with beside(system) as connection:
        await connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await connection.execute("SELECT pg_reload_conf()")
