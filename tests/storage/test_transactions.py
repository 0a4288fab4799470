"""Transactions: nothing is lost, what the database wants again is run again, and errors keep secrets."""

import asyncio
import gc
import threading
import time
import traceback
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import column, insert, select, table, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.database import IDLE_SECONDS, MOST_ATTEMPTS, Database
from changeover.storage.sqlite import elsewhere
from changeover.storage.tables import accounts, idempotency_keys, passes, services
from tests.storage.rows import T0, add_account, add_rows, rent, row_of, rows_of, set_values

WRITERS = 30
Work = Callable[[AsyncConnection], Awaitable[None]]


def one_more(service_id: str, *, lock: bool) -> Work:
    """Read, think, write: what loses updates when two do it at once."""

    async def work(connection: AsyncConnection) -> None:
        query = select(services.c.slots).where(services.c.id == service_id)
        slots = (await connection.execute(query.with_for_update() if lock else query)).scalar_one()
        await connection.execute(update(services).where(services.c.id == service_id).values(slots=slots + 1))

    return work


async def test_no_increment_of_parallel_writers_is_lost(database: Database, database_url: str) -> None:
    rented = await rent(database, slots=0)
    another_process = Database(database_url)
    work = one_more(rented.service_id, lock=True)
    await asyncio.gather(*((database, another_process)[it % 2].write(work) for it in range(WRITERS)))
    await another_process.close()
    assert (await row_of(database, services))["slots"] == WRITERS


async def test_on_sqlite_a_write_is_alone_from_its_first_word(sqlite_database: Database) -> None:
    rented = await rent(sqlite_database, slots=0)
    work = one_more(rented.service_id, lock=False)
    await asyncio.gather(*(sqlite_database.write(work) for _ in range(WRITERS)))
    assert (await row_of(sqlite_database, services))["slots"] == WRITERS


async def test_closing_databases_ends_no_thread(sqlite_database: Database) -> None:
    """Threads that end may hang a traced process: decision 19."""
    rented = await rent(sqlite_database, slots=0)
    work = one_more(rented.service_id, lock=False)
    threads: set[threading.Thread] = set()
    for _ in range(5):
        another = Database(str(sqlite_database.url))
        await asyncio.gather(*(another.write(work) for _ in range(5)))
        await asyncio.gather(*(row_of(another, services) for _ in range(5)))
        threads.update(threading.enumerate())
        await another.close()
        del another
        gc.collect()
    assert threads <= set(threading.enumerate())


async def test_on_sqlite_nobody_writes_while_a_transaction_that_was_given_up_goes_on(
    sqlite_database: Database,
) -> None:
    rented = await rent(sqlite_database, slots=0)
    begun, may_end = threading.Event(), threading.Event()

    async def slow(connection: AsyncConnection) -> None:
        await one_more(rented.service_id, lock=False)(connection)
        begun.set()
        may_end.wait(10)

    given_up = asyncio.create_task(sqlite_database.write(slow))
    await asyncio.to_thread(begun.wait, 10)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    another = asyncio.create_task(sqlite_database.write(one_more(rented.service_id, lock=False)))
    await asyncio.sleep(0.1)
    assert not another.done()
    may_end.set()
    await another
    assert (await row_of(sqlite_database, services))["slots"] == 2


async def test_on_sqlite_a_reading_that_was_given_up_gives_its_connection_back_and_holds_up_nobody(
    sqlite_database: Database,
) -> None:
    await rent(sqlite_database, slots=20)
    for _ in range(5):  # one more than there are connections to read on
        begun, may_end = threading.Event(), threading.Event()

        def slow(_: object, begun: threading.Event = begun, may_end: threading.Event = may_end) -> None:
            begun.set()
            may_end.wait(10)

        async def look(slow: Callable[[object], None] = slow) -> None:
            async with sqlite_database.read() as connection:
                await connection.run_sync(slow)

        given_up = asyncio.create_task(look())
        await asyncio.to_thread(begun.wait, 10)
        given_up.cancel()
        async with asyncio.timeout(5):
            assert (await row_of(sqlite_database, services))["slots"] == 20
        assert not given_up.done(), "its statement goes on"
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await given_up


async def test_work_that_raises_leaves_nothing(database: Database) -> None:
    rented = await rent(database, slots=20)

    async def work(connection: AsyncConnection) -> None:
        await one_more(rented.service_id, lock=True)(connection)
        raise LookupError("after the write")

    with pytest.raises(LookupError):
        await database.write(work)
    assert (await row_of(database, services))["slots"] == 20


async def test_a_reader_sees_one_state_however_long_it_looks(database: Database) -> None:
    rented = await rent(database, slots=20)
    query = select(services.c.slots)
    async with database.read() as connection:
        before = (await connection.execute(query)).scalar_one()
        await database.write(one_more(rented.service_id, lock=True))
        assert (await connection.execute(query)).scalar_one() == before == 20
    async with database.read() as connection:
        assert (await connection.execute(query)).scalar_one() == 21


async def test_a_reader_can_change_nothing(database: Database) -> None:
    await rent(database, slots=20)
    with pytest.raises(DBAPIError):
        async with database.read() as connection:
            await connection.execute(update(services).values(slots=1))
    await set_values(database, services, (await row_of(database, services))["id"], slots=22)
    assert (await row_of(database, services))["slots"] == 22


def failing_with(sqlstate: str, attempts: list[int], succeed_at: int = 99) -> Work:
    async def work(connection: AsyncConnection) -> None:
        attempts.append(len(attempts) + 1)
        await connection.execute(text("SELECT 1"))
        if len(attempts) < succeed_at:
            fail = f"DO $$ BEGIN RAISE EXCEPTION 'as ordered' USING ERRCODE = '{sqlstate}'; END $$"
            await connection.exec_driver_sql(fail)

    return work


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_transaction_is_run_five_times_at_most(postgres_database: Database, sqlstate: str) -> None:
    attempts: list[int] = []
    with pytest.raises(DBAPIError) as caught:
        await postgres_database.write(failing_with(sqlstate, attempts))
    assert getattr(caught.value.orig, "sqlstate", None) == sqlstate
    assert len(attempts) == MOST_ATTEMPTS == 5


async def test_the_fifth_attempt_may_still_succeed(postgres_database: Database) -> None:
    attempts: list[int] = []
    await postgres_database.write(failing_with("40001", attempts, succeed_at=5))
    assert len(attempts) == 5


@pytest.mark.parametrize("sqlstate", ["23505", "55P03", "57014", "22012"])
async def test_other_errors_are_not_tried_again(postgres_database: Database, sqlstate: str) -> None:
    attempts: list[int] = []
    with pytest.raises(DBAPIError):
        await postgres_database.write(failing_with(sqlstate, attempts))
    assert len(attempts) == 1


async def test_a_broken_constraint_is_not_tried_again(database: Database) -> None:
    attempts = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute(insert(passes).values(id="p", account_id="nobody", granted_at=T0))

    with pytest.raises(IntegrityError):
        await database.write(work)
    assert attempts == 1


async def test_a_real_serialization_failure_is_run_again(postgres_database: Database) -> None:
    rented = await rent(postgres_database, slots=0)
    attempts = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        slots = (await connection.execute(select(services.c.slots))).scalar_one()
        if attempts == 1:
            await postgres_database.write(one_more(rented.service_id, lock=True))
        await connection.execute(update(services).values(slots=slots + 1))

    await postgres_database.write(work)
    assert attempts == 2
    assert (await row_of(postgres_database, services))["slots"] == 2


async def test_a_real_deadlock_is_run_again_and_both_get_through(postgres_database: Database) -> None:
    one, two = await rent(postgres_database, slots=0), await rent(postgres_database, slots=0)
    attempts = 0
    both_hold_one = asyncio.Barrier(2)

    def crossing(first: str, second: str) -> Work:
        begun = False

        async def work(connection: AsyncConnection) -> None:
            nonlocal attempts, begun
            attempts += 1
            await connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")
            await one_more(first, lock=True)(connection)
            if not begun:
                begun = True
                await both_hold_one.wait()
            await one_more(second, lock=True)(connection)

        return work

    await asyncio.gather(
        postgres_database.write(crossing(one.service_id, two.service_id)),
        postgres_database.write(crossing(two.service_id, one.service_id)),
    )
    assert attempts == 3  # one of the two was the victim, once
    assert [row["slots"] for row in await rows_of(postgres_database, services)] == [2, 2]


async def test_no_error_shows_what_was_written(database: Database) -> None:
    secret = "canary.player@players.example"
    account_id = await add_account(database)
    row = {"id": account_id, "email": secret, "language": "fr", "created_at": T0}
    with pytest.raises(IntegrityError) as caught:
        await add_rows(database, accounts, row)
    assert "hidden" in str(caught.value)
    assert secret not in "".join(traceback.format_exception(caught.value))


async def test_no_error_of_a_reader_shows_what_was_looked_for(database: Database) -> None:
    secret = "canary.player@players.example"
    missing = table("missing", column("email"))
    with pytest.raises(DBAPIError) as caught:
        async with database.read() as connection:
            await connection.execute(select(missing).where(missing.c.email == secret))
    assert secret not in "".join(traceback.format_exception(caught.value))


async def test_sqlite_is_safe_on_every_connection(sqlite_database: Database) -> None:
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
        "wal_autocheckpoint": 250,
    }

    async def pragmas(connection: AsyncConnection) -> dict[str, object]:
        return {name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in expected}

    everybody_reads = asyncio.Barrier(4)

    async def reader() -> dict[str, object]:
        async with sqlite_database.read() as connection:
            await everybody_reads.wait()  # all four connections of the pool are out at once
            return await pragmas(connection)

    assert await asyncio.gather(*(reader() for _ in range(4))) == [expected] * 4
    assert await sqlite_database.write(pragmas) == expected


async def test_a_second_writer_waits_for_the_first_of_another_process(
    sqlite_database: Database, tmp_path: object
) -> None:
    rented = await rent(sqlite_database, slots=0)
    other = Database(str(sqlite_database.url))
    order: list[str] = []

    async def slow(connection: AsyncConnection) -> None:
        await one_more(rented.service_id, lock=True)(connection)
        time.sleep(0.2)  # noqa: ASYNC251 - it has a thread of its own
        order.append("slow")

    async def quick(connection: AsyncConnection) -> None:
        await one_more(rented.service_id, lock=True)(connection)
        order.append("quick")

    first = asyncio.create_task(other.write(slow))
    await asyncio.sleep(0.05)
    await sqlite_database.write(quick)
    await first
    await other.close()
    assert order == ["slow", "quick"]
    assert (await row_of(sqlite_database, services))["slots"] == 2


async def test_on_sqlite_a_transaction_that_waits_for_something_else_is_undone(
    sqlite_database: Database,
) -> None:
    rented = await rent(sqlite_database, slots=20)

    async def work(connection: AsyncConnection) -> None:
        await one_more(rented.service_id, lock=True)(connection)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits for nothing but its database"):
        await sqlite_database.write(work)
    assert (await row_of(sqlite_database, services))["slots"] == 20


async def test_a_transaction_can_ask_elsewhere_and_keeps_its_lock(database: Database) -> None:
    rented = await rent(database, slots=20)
    others: list[asyncio.Task[None]] = []

    async def answer() -> str:
        others.append(asyncio.create_task(database.write(one_more(rented.service_id, lock=True))))
        await asyncio.sleep(0.2)
        return "waits" if not others[0].done() else "was not kept out"

    async def work(connection: AsyncConnection) -> str:
        await one_more(rented.service_id, lock=True)(connection)
        return await elsewhere(answer)

    assert await database.write(work) == "waits"
    await others[0]
    assert (await row_of(database, services))["slots"] == 22


async def test_on_sqlite_a_write_whose_caller_gave_up_in_the_queue_is_not_done(
    sqlite_database: Database,
) -> None:
    rented = await rent(sqlite_database, slots=20)

    async def slow(_connection: AsyncConnection) -> None:
        time.sleep(0.2)  # noqa: ASYNC251 - it has a thread of its own

    first = asyncio.create_task(sqlite_database.write(slow))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sqlite_database.write(one_more(rented.service_id, lock=True))
    await first
    await sqlite_database.write(one_more(rented.service_id, lock=True))
    assert (await row_of(sqlite_database, services))["slots"] == 21


async def test_on_postgresql_an_idle_connection_that_died_is_replaced(postgres_database: Database) -> None:
    async with postgres_database.read() as connection:
        mine = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    other = Database(postgres_database.url.render_as_string(hide_password=False))
    async with other.read() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend({mine})"))
    await other.close()
    await asyncio.sleep(IDLE_SECONDS + 0.1)
    assert await rows_of(postgres_database, idempotency_keys) == []
