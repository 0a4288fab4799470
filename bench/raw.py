"""The statements of a recorded transaction, run again for other changes by the plain driver."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiosqlite
import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import make_url

from changeover.storage.changes import Change

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
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, file: str) -> "RawSqlite":
        connection = await aiosqlite.connect(file, isolation_level=None, timeout=10)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            await connection.execute(f"PRAGMA {pragma}")
        return cls(connection)

    async def transaction(self, statements: Sequence[Statement]) -> None:
        await self._connection.execute("BEGIN IMMEDIATE")
        for statement, parameters, many in statements:
            if many:
                await self._connection.executemany(statement, parameters)
            else:
                cursor = await self._connection.execute(statement, parameters)
                await cursor.fetchall()
        await self._connection.execute("COMMIT")

    async def close(self) -> None:
        await self._connection.close()


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
