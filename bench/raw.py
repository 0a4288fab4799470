"""The statements of a recorded transaction, run again for other changes by the plain driver."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import make_url

from changeover.storage.changes import Change
from changeover.storage.sqlite import PRAGMAS

Statement = tuple[str, Any, bool]
"""The text, its parameters, and whether it is run for each of a list of them."""


@dataclass
class Recorded:
    """What one commit executed, and the ids that stand in its parameters."""

    change_id: str
    proof: str
    service_id: str = ""
    account_id: str = ""
    statements: list[Statement] = field(default_factory=list)

    def add(self, statement: str, parameters: Any, *, many: bool) -> None:
        if not statement.startswith("BEGIN"):
            self.statements.append((statement, parameters, many))

    def for_change(self, change: Change, proof: str) -> list[Statement]:
        """Return the same statements for another change."""
        others = {
            self.change_id: change.id,
            self.service_id: change.service_id,
            self.account_id: change.account_id,
            self.proof: proof,
        }

        def exchanged(value: Any) -> Any:
            if isinstance(value, (tuple, list)):
                return tuple(exchanged(part) for part in value)
            return others.get(value, value) if isinstance(value, str) else value

        return [(statement, exchanged(given), many) for statement, given, many in self.statements]


class RawConnection(Protocol):
    async def transaction(self, statements: Sequence[Statement]) -> None:
        """Run the statements in one transaction, and read what they return."""
        ...

    async def close(self) -> None: ...


class RawSqlite:
    """`sqlite3` alone: a transaction in one go, in a thread of its own, as ours."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    @classmethod
    async def open(cls, file: str) -> "RawSqlite":
        connection = sqlite3.connect(file, isolation_level=None, timeout=10, check_same_thread=False)
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return cls(connection, ThreadPoolExecutor(max_workers=1))

    async def transaction(self, statements: Sequence[Statement]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._run, statements)

    def _run(self, statements: Sequence[Statement]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for statement, parameters, many in statements:
            if many:
                self._connection.executemany(statement, parameters)
            else:
                self._connection.execute(statement, parameters).fetchall()
        self._connection.execute("COMMIT")

    async def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()


class RawPostgres:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> "RawPostgres":
        return cls(await asyncpg.connect(url))

    async def transaction(self, statements: Sequence[Statement]) -> None:
        async with self._connection.transaction():
            for statement, parameters, many in statements:
                if many:
                    await self._connection.executemany(statement, parameters)
                else:
                    await self._connection.fetch(statement, *parameters)

    async def close(self) -> None:
        await self._connection.close()


async def open_raw(url: str) -> RawConnection:
    """Connect by the driver alone, with the settings of `changeover.storage.database`."""
    if make_url(url).get_backend_name() == "sqlite":
        return await RawSqlite.open(str(make_url(url).database))
    return await RawPostgres.open(url.replace("+asyncpg", ""))
