"""The migrations make the schema that tables.py says, on both databases, and take it away again."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from changeover.storage import schema
from changeover.storage.tables import metadata
from tests.support.postgres import Postgres


async def on(url: str, work: object) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)  # type: ignore[arg-type]
    finally:
        await engine.dispose()


def tables_there(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


async def downgrade(url: str) -> None:
    def run(connection: Connection) -> None:
        config = schema._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    await on(url, run)


async def test_up_gives_every_table_and_down_leaves_none(empty_url: str) -> None:
    assert await schema.present_revision(empty_url) is None

    await schema.upgrade(empty_url)
    assert await on(empty_url, tables_there) == set(metadata.tables)
    assert await schema.present_revision(empty_url) == schema.expected_revision()

    await downgrade(empty_url)
    assert await on(empty_url, tables_there) == set()
    assert await schema.present_revision(empty_url) is None

    await schema.upgrade(empty_url)
    assert await on(empty_url, tables_there) == set(metadata.tables)


async def test_up_again_changes_nothing(database_url: str) -> None:
    await schema.upgrade(database_url)
    assert await schema.present_revision(database_url) == schema.expected_revision()


async def test_the_live_schema_is_the_one_of_the_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    assert await on(database_url, differences) == []


async def test_check_constraints_are_there(database_url: str) -> None:
    def names(connection: Connection) -> set[str | None]:
        there = inspect(connection)
        return {
            constraint["name"]
            for table in metadata.tables
            for constraint in there.get_check_constraints(table)
        }

    assert await on(database_url, names) >= {"ck_servers_state", "ck_tasks_kind", "ck_tasks_state"}  # type: ignore[operator]


async def test_the_index_of_open_changes_is_unique_and_partial(
    database_url: str, server: Postgres | None
) -> None:
    definitions = {
        True: "SELECT indexdef FROM pg_indexes WHERE indexname = 'uq_plan_changes_open'",
        False: "SELECT sql FROM sqlite_master WHERE name = 'uq_plan_changes_open'",
    }
    query = text(definitions[server is not None])
    definition = str(await on(database_url, lambda connection: connection.execute(query).scalar_one()))
    assert "UNIQUE INDEX" in definition
    for stage in ("applying", "awaiting_code", "committed", "needs_attention", "requested"):
        assert f"'{stage}'" in definition
    for stage in ("rejected", "abandoned", "completed"):
        assert f"'{stage}'" not in definition


async def test_the_triggers_are_there(database_url: str, server: Postgres | None) -> None:
    queries = {
        True: "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        False: "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    }
    query = text(queries[server is not None])
    there = await on(database_url, lambda connection: set(connection.execute(query).scalars()))
    expected = {
        True: {
            *("trail_append_only", "trail_no_truncate"),
            *("receipts_append_only", "receipts_no_truncate"),
        },
        False: {"trail_no_update", "trail_no_delete", "receipts_no_update", "receipts_no_delete"},
    }
    assert there == expected[server is not None]


async def test_a_migration_that_breaks_off_leaves_nothing_and_can_be_run_again(
    empty_url: str, server: Postgres | None
) -> None:
    breaks = "CREATE VIEW trail AS SELECT 1"  # stands where the migration makes a table, late in its course
    await on(empty_url, lambda connection: connection.execute(text(breaks)))

    with pytest.raises(DBAPIError):
        await schema.upgrade(empty_url)

    assert await on(empty_url, tables_there) == set()
    await on(empty_url, lambda connection: connection.execute(text("DROP VIEW trail")))
    await schema.upgrade(empty_url)
    assert await on(empty_url, tables_there) == set(metadata.tables)


async def test_two_processes_that_migrate_at_once_leave_one_whole_schema(empty_url: str) -> None:
    program = "import asyncio, sys; from changeover.storage import schema; "
    program += "asyncio.run(schema.upgrade(sys.argv[1]))"
    both = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, empty_url) for _ in range(2)]
    assert [await process.wait() for process in both] == [0, 0]
    assert await on(empty_url, tables_there) == set(metadata.tables)


@pytest.mark.parametrize(
    ("present", "expected", "well"),
    [
        (None, "0002", False),
        ("0001", "0002", False),
        ("0002", "0002", True),
        ("0007", "0002", True),
        ("1000", "0002", False),
        ("0009", "1000", False),
    ],
)
def test_a_release_runs_on_later_schemas_of_its_series(
    present: str | None, expected: str, well: bool
) -> None:
    assert schema.suits(present, expected) is well


async def test_an_older_release_leaves_a_later_schema_of_its_series_alone(database_url: str) -> None:
    later = f"{schema.expected_revision()[0]}999"

    def mark(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = :later"), {"later": later})

    await on(database_url, mark)
    await schema.upgrade(database_url)
    assert await schema.present_revision(database_url) == later


_TAKES_AWAY = re.compile(r"\b(drop_\w+|rename_table|alter_column)\b|\bnullable=False(?!.*server_default)")


def test_migrations_within_a_series_only_add() -> None:
    """What old workers need stays until the next series: they run on while the schema grows."""
    for file in sorted((Path(schema.__file__).parent / "migrations/versions").glob("[0-9]*.py")):
        number, source = file.name[:4], file.read_text(encoding="utf-8")
        assert re.search(rf"^revision = ['\"]{number}['\"]$", source, re.MULTILINE), file.name
        if number == "0001" or number.endswith("000"):
            continue
        upgrade = source[source.index("def upgrade") : source.index("def downgrade")]
        outside_of_new_tables = re.sub(r"op\.create_table\(.*?\n    \)\n", "", upgrade, flags=re.DOTALL)
        assert not _TAKES_AWAY.findall(outside_of_new_tables), f"{file.name} can break older workers"
