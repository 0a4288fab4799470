from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from changeover.mail.catcher import catching
from changeover.storage.database import Database
from tests.activities.house import House
from tests.storage.databases import (
    database,
    database_url,
    empty_url,
    postgres_database,
    server,
    sqlite_database,
)

__all__ = ["database", "database_url", "empty_url", "postgres_database", "server", "sqlite_database"]


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    root = tmp_path / "host"
    root.mkdir()
    return House(database, root)


@pytest.fixture
def house_on(tmp_path: Path) -> Callable[[Database], House]:
    """For tests that bring a database of their own; all houses have the same host."""
    root = tmp_path / "host"
    root.mkdir(exist_ok=True)
    return lambda database: House(database, root)


@pytest.fixture
async def inbox(house: House, tmp_path: Path) -> AsyncIterator[Path]:
    """The folder in which the mails of `house` arrive."""
    folder = tmp_path / "inbox"
    async with catching(folder) as (_, port):
        house.mails = house.mails_to(port)
        yield folder
