"""The schema's version: bring a database up to it, or say how far it is off.

Revisions are four digits, the first of which is the series. Within a series migrations only add, so that a
release runs on any later revision of its series; one that takes something away opens the next series.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import create_async_engine


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def expected_revision() -> str:
    """Return the newest revision that this release knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def suits(present: str | None, expected: str) -> bool:
    """Say whether a release that knows the revisions up to `expected` can work with the one that is there."""
    return present is not None and present >= expected and present[0] == expected[0]


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at `url` up to `revision`, all of it or nothing; others who try meanwhile wait.

    A database that a later release of the same series has brought further is left as it is.
    """

    def run(connection: Connection) -> None:
        present = MigrationContext.configure(connection).get_current_revision()
        if revision == "head" and suits(present, expected_revision()):
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    engine = create_async_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        # Python's driver commits before each CREATE TABLE, unless the transaction is begun by ourselves.
        event.listen(engine.sync_engine, "begin", _begin_alone)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


def _begin_alone(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def present_revision(url: str) -> str | None:
    """Return the revision that the database at `url` has; None when it is empty."""
    engine = create_async_engine(url, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(
                lambda plain: MigrationContext.configure(plain).get_current_revision()
            )
    finally:
        await engine.dispose()
