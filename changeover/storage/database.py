"""Connections and transactions, on SQLite and on PostgreSQL.

SQLite by default loses concurrent updates without an error under SQLAlchemy; here a write begins with
`BEGIN IMMEDIATE`, and one writer at a time waits in our own pool, not in SQLite's busy handler.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from changeover.failpoints import reach

T = TypeVar("T")

MOST_ATTEMPTS = 5
"""How often a transaction is run at most when the database asks for it to be run again."""

WRITTEN = "changeover-written"
"""Where a transaction collects, in its connection's `info`, what is to be told when it is committed."""

_RUN_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock detected
_AWAY = ("08", "57P01", "57P02", "57P03", "53300")
"""How states begin that say: connection lost, server stops, crashed, starts, has no connection left."""
_BUSY_SECONDS = 10


class Database:
    """The database at `url`; `pool_size` connections at most on PostgreSQL.

    `committed` hears, after its commit, what a transaction wrote to the trail; it must not fail.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, committed: Callable[[list[Any]], None] | None = None
    ) -> None:
        self._committed = committed
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = _sqlite_engine(url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite_engine(url, begin="BEGIN", pool_size=4, more_pragmas=("query_only=ON",))
        else:
            self._writer = create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=0,
                pool_pre_ping=True,
                hide_parameters=True,
                isolation_level="READ COMMITTED",
            )
            event.listen(self._writer.sync_engine, "handle_error", _tell_as_away)
            # The same pool: one state for all that a reader looks at, and no write by mistake.
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one state and changes nothing."""
        async with self._reader.connect() as connection:
            yield connection

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in one transaction and commit it.

        The whole of it is run again, at most five times, when the database reports a serialization failure or
        a deadlock; `work` must therefore do nothing but write to the database.
        """
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                written: list[Any] = []
                async with self._writer.begin() as connection:
                    connection.info[WRITTEN] = written
                    result = await work(connection)
                    reach("transaction.before")
                reach("transaction.after")
                if self._committed is not None:
                    self._committed(written)
                return result
            except DBAPIError as error:
                if attempt == MOST_ATTEMPTS or not _asks_to_run_again(error):
                    raise
            await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()


def _asks_to_run_again(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _RUN_AGAIN


def _tell_as_away(context: ExceptionContext) -> None:
    """Make an operational error of a server that comes or goes; asyncpg has no class for it, only a state."""
    if (getattr(context.original_exception, "sqlstate", None) or "").startswith(_AWAY):
        raise OperationalError(None, None, context.original_exception) from None


def _sqlite_engine(
    url: str, *, begin: str, pool_size: int, more_pragmas: tuple[str, ...] = ()
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", *more_pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
