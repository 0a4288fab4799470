"""Connections and transactions, on SQLite and on PostgreSQL.

SQLite by default loses concurrent updates without an error under SQLAlchemy; here a write begins with
`BEGIN IMMEDIATE`, and one writer at a time waits in our own queue, not in SQLite's busy handler.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from changeover.failpoints import reach
from changeover.storage.sqlite import SqliteReader, SqliteWriter

T = TypeVar("T")

MOST_ATTEMPTS = 5
"""How often a transaction is run at most when the database asks for it to be run again."""

WRITTEN = "changeover-written"
"""Where a transaction collects, in its connection's `info`, what is to be told when it is committed."""

IDLE_SECONDS = 1.0
"""How long a connection to PostgreSQL may have been idle to be taken for alive without asking."""

_USED_AT = "changeover-used-at"
_RUN_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock detected
_READ_ONLY = "25006"
_AWAY = ("08", _READ_ONLY, "25P03", "28", "3D000", "53", "55P03", "57", "58")
"""How states begin that say: connection lost, server takes no writes, has ended a transaction that stood
still, doesn't let us in, has no such database, lacks disk, memory or connections, has a lock that somebody
else holds for too long, stops, starts or was told to break off, can't use its files. Whoever minds the
database mends these; callers come again."""

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 20
"""After so long without an answer PostgreSQL, or the way to it, is gone: a machine that lost its power tells
nobody. It is less than an activity of one transaction may take (30 s), so that it fails and is repeated."""
_LOCK_SECONDS = 5
"""Longer than any transaction of ours holds a lock."""
_STILL_SECONDS = 15
"""After so long PostgreSQL ends a transaction that stands still: the worker that began it is frozen or gone,
and must not keep what it locked from everybody."""


class Database:
    """The database at `url`; `pool_size` connections at most on PostgreSQL.

    `committed` hears, after its commit, what a transaction wrote to the trail; it must not fail.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, committed: Callable[[list[Any]], None] | None = None
    ) -> None:
        self.url = make_url(url)
        self._committed = committed
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer: SqliteWriter | PostgresWriter
        self._reader: SqliteReader | AsyncEngine
        if self.is_sqlite:
            self._writer = SqliteWriter(self.url)
            self._reader = SqliteReader(self.url)
        else:
            self._writer = PostgresWriter(self.url, pool_size)
            # The same pool: one state for all that a reader looks at, and no write by mistake.
            self._reader = self._writer.engine.execution_options(
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

        async def whole(connection: AsyncConnection) -> tuple[T, list[Any]]:
            written = connection.info[WRITTEN] = []
            result = await work(connection)
            reach("transaction.before")
            return result, written

        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                result, written = await self._writer.transaction(whole)
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


class PostgresWriter:
    """Transactions side by side, on the connections of one pool."""

    def __init__(self, url: URL, pool_size: int) -> None:
        self.engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            connect_args={
                "timeout": _CONNECT_SECONDS,
                "command_timeout": _ANSWER_SECONDS,
                "server_settings": {
                    "lock_timeout": f"{_LOCK_SECONDS}s",
                    "idle_in_transaction_session_timeout": f"{_STILL_SECONDS}s",
                },
            },
        )
        self.sync_engine = self.engine.sync_engine
        event.listen(self.sync_engine, "handle_error", _tell_as_away)
        event.listen(self.sync_engine, "do_connect", _connect)
        event.listen(self.sync_engine, "checkout", self._ask_whether_alive)
        event.listen(self.sync_engine, "checkin", self._note_use)

    async def transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction, and commit it."""
        async with self.engine.begin() as connection:
            return await work(connection)

    async def dispose(self) -> None:
        await self.engine.dispose()

    # SQLAlchemy's own `pool_pre_ping` says three more words to the server before every transaction.

    def _note_use(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    def _ask_whether_alive(
        self, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        """Have a connection that was idle, and whose server has gone since, replaced by a new one."""
        used_at = record.info.get(_USED_AT)
        if used_at is not None and time.monotonic() - used_at > IDLE_SECONDS:
            try:
                self.sync_engine.dialect.do_ping(connection)
            except (self.sync_engine.dialect.loaded_dbapi.Error, TimeoutError):
                raise InvalidatePoolError from None


def condition(error: BaseException) -> str:
    """Return what a database calls what went wrong (`SQLITE_FULL`, `DiskFullError 53100`), for operators.

    The error's own text may hold what was to be written; this never does.
    """
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return f"{type(original.__cause__ or original).__name__} {state}"
    return getattr(original, "sqlite_errorname", None) or type(original).__name__


def _asks_to_run_again(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _RUN_AGAIN


def _connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
    """Connect, and tell a silent server as the driver tells one that refuses."""
    try:
        return dialect.connect(*arguments, **options)
    except TimeoutError as silent:
        raise dialect.loaded_dbapi.OperationalError("no answer", silent) from None


def _tell_as_away(context: ExceptionContext) -> None:
    """Make an operational error of a server that comes or goes; asyncpg has no class for it, only a state.

    One that is silent is as good as a lost connection, and so are all others that the pool has to it.
    """
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    # A read-only server is one that lost a failover: its connections would stay with it.
    if isinstance(error, TimeoutError) or state == _READ_ONLY:
        context.is_disconnect = True
        raise OperationalError(None, None, error) from None
    if state.startswith(_AWAY):
        raise OperationalError(None, None, error) from None
