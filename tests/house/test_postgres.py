"""The throwaway PostgreSQL server that storage and fault tests stand on."""

import asyncpg  # type: ignore[import-untyped]
import pytest

from tests.support.postgres import Postgres, binaries_or_skip, running_postgres


async def fetch(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_database_made_again_is_empty(postgres: Postgres) -> None:
    url = postgres.create_database("house")
    await fetch(url, "CREATE TABLE kept (id int)")
    assert await fetch(url, "SELECT to_regclass('kept')") == "kept"

    assert postgres.create_database("house") == url
    assert await fetch(url, "SELECT to_regclass('kept')") is None


async def test_what_was_committed_outlives_an_immediate_stop() -> None:
    with running_postgres(binaries_or_skip()) as server:
        url = server.create_database("house")
        await fetch(url, "CREATE TABLE kept AS SELECT 7 AS figure")

        server.stop_immediately()
        with pytest.raises(OSError, match="Connect call failed"):
            await fetch(url, "SELECT 1")

        server.start()
        assert await fetch(url, "SELECT figure FROM kept") == 7
