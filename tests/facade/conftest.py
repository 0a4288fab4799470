from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from changeover.settings import Settings
from changeover.storage.database import Database
from starter.plan_changes import PlanChanges
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
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose Temporal is away: nothing listens on port 1."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("TEMPORAL_PROFILE", raising=False)
    return Settings(database_url=database_url, proof_key="p" * 32, engine_timeout_seconds=0.5)


@pytest.fixture
async def facade(settings: Settings) -> AsyncIterator[PlanChanges]:
    opened = await PlanChanges.connect(settings)
    yield opened
    await opened.close()


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    """A worker's activities on the same database, to make changes with."""
    root = tmp_path / "host"
    root.mkdir()
    return House(database, root)
