"""SQLite: safe connections, and one writer with a thread of its own.

SQLite answers at once, so a transaction that writes needs no event loop. Handing each of its statements to a
thread and waiting for it (what `aiosqlite` does, for readers here too) costs several times the statement.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

T = TypeVar("T")

_BUSY_SECONDS = 10
_CONNECT = {"timeout": _BUSY_SECONDS, "isolation_level": None}


_callers_loop: contextvars.ContextVar[asyncio.AbstractEventLoop] = contextvars.ContextVar("callers_loop")
"""In the writer's thread: the event loop of whoever waits for the transaction."""


async def elsewhere(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await inside a transaction what isn't its database's, on any database; its locks are held meanwhile."""
    loop = _callers_loop.get(None)
    return await call() if loop is None else asyncio.run_coroutine_threadsafe(call(), loop).result()


class Answering:
    """A connection as transactions know it (`AsyncConnection`), whose answers are there when it is asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.info = connection.info
        self.dialect = connection.dialect

    async def execute(self, *asked: Any) -> Any:
        return self._connection.execute(*asked)

    async def exec_driver_sql(self, *asked: Any) -> Any:
        return self._connection.exec_driver_sql(*asked)

    async def run_sync(self, work: Callable[..., Any], *given: Any) -> Any:
        return work(self._connection, *given)


class SqliteWriter:
    """The one writer of this process: transactions are run one after the other, each in one go."""

    def __init__(self, url: URL) -> None:
        self.sync_engine = create_engine(
            url.set(drivername="sqlite"),
            pool_size=1,
            max_overflow=0,
            hide_parameters=True,
            connect_args=_CONNECT,
        )
        _set_up(self.sync_engine, begin="BEGIN IMMEDIATE")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")

    async def transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction, and commit it.

        A caller that gives up while its turn has not come is taken out of the queue; later, the transaction
        ends as if its answer had been lost.
        """

        def run() -> T:
            with self.sync_engine.begin() as connection:
                return _at_once(work(cast("AsyncConnection", Answering(connection))))

        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        context.run(_callers_loop.set, loop)
        return await loop.run_in_executor(self._thread, context.run, run)

    async def dispose(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self.sync_engine.dispose()


def reading_engine(url: URL) -> AsyncEngine:
    """Return an engine whose connections can only read, each transaction one state."""
    engine = create_async_engine(
        url, pool_size=4, max_overflow=0, hide_parameters=True, connect_args=_CONNECT
    )
    _set_up(engine.sync_engine, "query_only=ON", begin="BEGIN")
    return engine


def _at_once(awaited: Awaitable[T]) -> T:
    """Return what is awaited. Raises `RuntimeError` when it waits for anything but its database."""

    async def whole() -> T:
        return await awaited

    coroutine = whole()
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    coroutine.close()
    raise RuntimeError("a transaction waits for nothing but its database")


def _set_up(engine: Engine, *more_pragmas: str, begin: str) -> None:
    """Make every connection safe: by default, concurrent updates are lost without an error."""

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", *more_pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
