"""A database of one's own for each test, on SQLite and on PostgreSQL: a copy of one migrated before."""

import itertools
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from changeover.storage import schema
from changeover.storage.database import Database
from tests.support.postgres import Postgres

_numbers = itertools.count(1)
_migrated: dict[str, Path | str] = {}  # the databases that are copied, by where they are


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
    if str(postgres.folder) not in _migrated:
        url = await empty_postgres(postgres)
        await schema.upgrade(url)
        _migrated[str(postgres.folder)] = url.rpartition("/")[2]
    return await empty_postgres(postgres, str(_migrated[str(postgres.folder)]))


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
) -> str:
    """A migrated database without any row."""
    if server is not None:
        return await _copy_of_postgres(server)
    return await _copy_of_sqlite(tmp_path_factory.getbasetemp(), tmp_path / "changeover.db")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_database(postgres: Postgres) -> AsyncIterator[Database]:
    """For what only PostgreSQL does."""
    opened = Database(await _copy_of_postgres(postgres))
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
