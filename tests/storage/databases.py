"""A database of one's own for each test, on SQLite and on PostgreSQL: a copy of one migrated before.

A copy on PostgreSQL is 300 files: it is emptied after the test, and then the next test's.
"""

import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from changeover.storage import schema
from changeover.storage.database import Database
from changeover.storage.tables import metadata
from tests.support.postgres import Postgres

_numbers = itertools.count(1)
_migrated: dict[str, Path | str] = {}  # the databases that are copied, by where they are
_emptied: dict[str, list[str]] = {}  # the copies that can be used again, by server


async def on_server(postgres: Postgres, statement: str) -> Any:
    """Run a statement beside all databases of tests."""
    connection = await asyncpg.connect(postgres.url("postgres").replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def empty_postgres(postgres: Postgres, template: str = "template0") -> str:
    """Make a database of `template`, and return its URL."""
    name = f"storage_{next(_numbers)}"
    await on_server(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return postgres.url(name)


async def _copy_of_postgres(postgres: Postgres) -> str:
    where = str(postgres.folder)
    if where not in _migrated:
        url = await empty_postgres(postgres)
        await schema.upgrade(url)
        _migrated[where] = url.rpartition("/")[2]
    return await empty_postgres(postgres, str(_migrated[where]))


@asynccontextmanager
async def _on_postgres(postgres: Postgres) -> AsyncIterator[str]:
    free = _emptied.setdefault(str(postgres.folder), [])
    url = free.pop() if free else await _copy_of_postgres(postgres)
    yield url
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute("SET lock_timeout = '5s'")  # a test may have left a transaction open
        await connection.execute("SET session_replication_role = replica")  # no trigger keeps the trail
        await connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")
    finally:
        await connection.close()
    free.append(url)


async def _copy_of_sqlite(folder: Path, target: Path) -> str:
    if "sqlite" not in _migrated:
        original = folder / "migrated.db"
        await schema.upgrade(f"sqlite+aiosqlite:///{original}")
        _migrated["sqlite"] = original
    shutil.copyfile(_migrated["sqlite"], target)
    return f"sqlite+aiosqlite:///{target}"


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Postgres | None:
    """Where the test's database is: a PostgreSQL server, or None for SQLite."""
    if request.param == "sqlite":
        return None
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres


@pytest.fixture
async def empty_url(server: Postgres | None, tmp_path: Path) -> str:
    """A database without any table."""
    if server is not None:
        return await empty_postgres(server)
    return f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
async def database_url(
    server: Postgres | None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """A migrated database without any row."""
    if server is None:
        yield await _copy_of_sqlite(tmp_path_factory.getbasetemp(), tmp_path / "changeover.db")
        return
    async with _on_postgres(server) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_database(postgres: Postgres) -> AsyncIterator[Database]:
    """For what only PostgreSQL does."""
    async with _on_postgres(postgres) as url:
        opened = Database(url)
        yield opened
        await opened.close()


@pytest.fixture
async def sqlite_database(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Database]:
    """For what only SQLite does."""
    opened = Database(await _copy_of_sqlite(tmp_path_factory.getbasetemp(), tmp_path / "changeover.db"))
    yield opened
    await opened.close()
