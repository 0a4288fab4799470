"""SQLite: safe connections, a few readers, and one writer at a time.

SQLite answers at once, so a transaction that writes needs no event loop: it is run in one go. What costs is
not the statement but each trip to a thread and back, of which `aiosqlite` makes four for one.
"""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, Result, create_engine, event
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=250")
"""Of every connection. By default, concurrent updates are lost without an error. The log is copied into the
database at 250 pages, not at 1,000: whose commit it falls to waits less, the others no longer (measured:
docs/benchmarks.md)."""

_BUSY_SECONDS = 10
_READERS = 4

_threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="sqlite")
"""Of all databases, for as long as the process lives: no thread ends with a database. Where code is traced,
Python 3.11 can hang for ever when several end at once (docs/decisions/0019-threads-that-stay.md)."""


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
        self.sync_engine = _engine(url, pool_size=1, begin="BEGIN IMMEDIATE")
        self._turn = asyncio.Lock()

    async def transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction, and commit it.

        A caller that gives up while its turn has not come is taken out of the queue; later, the transaction
        ends as if its answer had been lost.
        """

        def run() -> T:
            with self.sync_engine.begin() as connection:
                return _at_once(work(cast("AsyncConnection", Answering(connection))))

        context = contextvars.copy_context()
        context.run(_callers_loop.set, asyncio.get_running_loop())
        return await self._in_turn(partial(context.run, run))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """Do the work in a thread. The turn ends with the work, also if nobody waits for it any more."""
        await self._turn.acquire()
        working = asyncio.get_running_loop().run_in_executor(_threads, work)
        working.add_done_callback(lambda _: self._turn.release())
        return await asyncio.shield(working)

    async def dispose(self) -> None:
        """Close the connection when what is queued is done; a later use opens another."""
        await self._in_turn(self.sync_engine.dispose)


class Looking:
    """A connection as readers know it (`AsyncConnection`): each statement, with its rows, is one trip."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._closed = False
        self._one_at_a_time = threading.Lock()  # who gave up left the thread at its work

    async def execute(self, *asked: Any) -> Any:
        return await self._trip(lambda connection: _rows(connection.execute(*asked)))

    async def exec_driver_sql(self, *asked: Any) -> Any:
        return await self._trip(lambda connection: _rows(connection.exec_driver_sql(*asked)))

    async def run_sync(self, work: Callable[..., Any], *given: Any) -> Any:
        return await self._trip(lambda connection: work(connection, *given))

    async def close(self) -> None:
        """Give the connection back, behind whatever was asked last and given up.

        Here when nothing is being asked: to end what has only read waits for nothing.
        """
        if not self._one_at_a_time.acquire(blocking=False):
            await asyncio.get_running_loop().run_in_executor(_threads, self._one_at_a_time.acquire)
        try:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
        finally:
            self._one_at_a_time.release()

    async def _trip(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._one_at_a_time:
                if self._connection is None:
                    assert not self._closed, "who asked has gone"
                    self._connection = self._engine.connect()
                return work(self._connection)

        return await asyncio.get_running_loop().run_in_executor(_threads, run)


class SqliteReader:
    """Readers, a few at a time, each of which sees one state and can change nothing."""

    def __init__(self, url: URL) -> None:
        self.sync_engine = _engine(url, "query_only=ON", pool_size=_READERS, begin="BEGIN")
        self._places = asyncio.Semaphore(_READERS)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        async with self._places:
            looking = Looking(self.sync_engine)
            try:
                yield cast("AsyncConnection", looking)
            finally:
                await asyncio.shield(looking.close())

    async def dispose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(_threads, self.sync_engine.dispose)


def _rows(result: Result[Any]) -> Result[Any]:
    """Fetch all that there is, since who asked must not need the thread again."""
    return result.freeze()() if result.returns_rows else result  # type: ignore[attr-defined]


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


def _engine(url: URL, *more_pragmas: str, pool_size: int, begin: str) -> Engine:
    """Make an engine, each of whose connections has its settings."""
    engine = create_engine(
        url.set(drivername="sqlite"),
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in (*PRAGMAS, *more_pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin_transaction(connection: Any) -> None:
        connection.execute(begin)

    # Not by an event of the engine: with one, SQLAlchemy looks for listeners before and after each statement.
    engine.dialect.do_begin = begin_transaction  # type: ignore[assignment]
    return engine
