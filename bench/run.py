"""What a scenario gets: how large to measure, where to work, databases to work on."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]

from bench.system import System, running_system
from changeover.storage.database import Database
from tests.support.postgres import Postgres

T = TypeVar("T")


@dataclass
class Bench:
    """One run. `quick` measures little, to see that everything runs; its figures mean nothing."""

    quick: bool
    rounds: int
    say: Callable[[str], None]
    most_waiting: int = 20_000
    postgres: Postgres | None = None

    def size(self, usual: T, quick: T) -> T:
        return quick if self.quick else usual

    def rounds_with_warm_up(self) -> range:
        """Return the numbers of the rounds: 1 and up, before them 0, which warms up and doesn't count."""
        return range(1 if self.quick else 0, self.rounds + 1)

    def database_url(self, database: str, path: Path) -> str:
        """Return the URL of a new database, sqlite or postgresql; a file stands in `path`."""
        if database == "sqlite":
            return f"sqlite+aiosqlite:///{path / f'{uuid4().hex}.db'}"
        assert self.postgres is not None, "it was started for this"
        return self.postgres.create_database(f"bench_{uuid4().hex}")

    async def analyse(self, url: str) -> None:
        """Tell the planner what is in the tables, as autovacuum would after a while."""
        database = Database(url)
        try:
            await database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
        finally:
            await database.close()

    @asynccontextmanager
    async def system(self, database: str, **settings: str) -> AsyncIterator[System]:
        """Run a system of its own for the block, in a folder that is removed."""
        pid = None
        if database == "postgresql" and self.postgres is not None:
            first_line, *_ = (self.postgres.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            pid = int(first_line)
        with folder() as path:
            url = self.database_url(database, path)
            async with running_system(path / "system", url, database_pid=pid, **settings) as system:
                yield system


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder below the temporary one, and remove it."""
    path = Path(tempfile.mkdtemp(prefix="changeover-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def make_durable(postgres: Postgres) -> None:
    """Give the throwaway server a production server's promises: what it says is committed is on disk."""
    connection = await asyncpg.connect(postgres.url("postgres").replace("+asyncpg", ""))
    try:
        for setting in ("fsync", "full_page_writes"):
            await connection.execute(f"ALTER SYSTEM SET {setting} = on")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
