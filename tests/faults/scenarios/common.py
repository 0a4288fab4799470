"""What several scenarios begin with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from tests.faults.story import Customer, Story
from tests.faults.system import FaultySystem

SMALLER: dict[str, Any] = {"slots": 24, "server_count": 2}
"""Two servers of the three are kept, with other slots: limits for two, one teardown."""


def yesterday() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


async def with_a_pass(story: Story, **situation: Any) -> Customer:
    """A customer who changed yesterday: three servers, one of them marked, and a pass to change again."""
    usual: dict[str, Any] = {"marked": 1, "passes": 1, "last_committed_at": yesterday()}
    return await story.arrives(**usual | situation)


async def asked(story: Story, **situation: Any) -> tuple[Customer, str, str]:
    """A customer with a pass has asked for a smaller plan; return them, the change and its code."""
    alice = await with_a_pass(story, **situation)
    change_id = await alice.confirmed(**SMALLER)
    return alice, change_id, await alice.code(change_id)


async def completes(story: Story, customer: Customer, change_id: str, code: str) -> None:
    """Type the code, patiently, and see the change completed."""
    answer = await customer.typed(change_id, code)
    assert answer.status_code == 200, answer.text
    await story.reaches(change_id, "completed")


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
