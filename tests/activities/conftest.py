from collections.abc import Callable
from pathlib import Path

import pytest

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
