"""Faults around the one transaction that counts."""

import asyncio
import resource
import sqlite3
from contextlib import suppress

import asyncpg  # type: ignore[import-untyped]

from tests.faults.matrix import scenario
from tests.faults.postgresql import beside, refusing
from tests.faults.scenarios.common import asked, completes, events, freezes
from tests.faults.story import Story, problem
from tests.faults.system import POSTGRESQL, SQLITE, FaultySystem, eventually, kill, thaw


async def _killed_at(story: Story, failpoint: str) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker(f"{failpoint}=kill@1")
    confirming = asyncio.create_task(alice.typed(change_id, code))
    await story.system.worker_died()
    row = await story.row(change_id)
    assert row is not None
    assert (row["committed_at"] is not None) == (failpoint == "judged.accepted")
    await story.system.restart_worker()
    assert (await confirming).status_code == 200
    await completes(story, alice, change_id, code)


@scenario(22, sample=SQLITE)
async def killed_before_commit(story: Story) -> None:
    await _killed_at(story, "commit.before")


@scenario(22, sample=POSTGRESQL)
async def killed_after_commit(story: Story) -> None:
    await _killed_at(story, "judged.accepted")


@scenario(26, databases=(POSTGRESQL,), sample=POSTGRESQL)
async def postgresql_stopped_at_once_and_restarted(story: Story) -> None:
    postgres = story.system.postgres
    assert postgres is not None
    alice, change_id, code = await asked(story)
    await asyncio.to_thread(postgres.stop_immediately)
    away = await alice.type(change_id, code)
    assert away.status_code in {500, 503}, away.text
    await asyncio.to_thread(postgres.start)
    await completes(story, alice, change_id, code)


async def _cut_at_commit(story: Story, *, after: bool) -> None:
    proxy = story.system.proxy
    assert proxy is not None
    alice, change_id, code = await asked(story)
    cuts = proxy.cuts
    proxy.cut_at(b"COMMIT;", after=after)
    await completes(story, alice, change_id, code)
    assert proxy.cuts == cuts + 1


@scenario(23, databases=(POSTGRESQL,))
async def connection_cut_before_the_server_sees_commit(story: Story) -> None:
    await _cut_at_commit(story, after=False)


@scenario(23, databases=(POSTGRESQL,), sample=POSTGRESQL)
async def connection_cut_before_the_answer_to_commit(story: Story) -> None:
    await _cut_at_commit(story, after=True)


@scenario(24, databases=(POSTGRESQL,), sample=POSTGRESQL)
async def three_serialization_failures(story: Story) -> None:
    alice, change_id, code = await asked(story)
    async with refusing(story.system, "services", "40001", 3) as connection:
        assert (await alice.typed(change_id, code)).status_code == 200
        assert await connection.fetchval("SELECT last_value FROM faulty") == 4


@scenario(24, databases=(POSTGRESQL,))
async def serialization_failures_without_an_end(story: Story) -> None:
    alice, change_id, code = await asked(story)
    async with refusing(story.system, "services", "40001") as connection:
        assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
        tries = await connection.fetchval("SELECT last_value FROM faulty")
        assert 1 < tries <= 40, "five attempts of a transaction, of eight tries in eight seconds"
    await completes(story, alice, change_id, code)


@scenario(24, databases=(POSTGRESQL,), sample=POSTGRESQL)
async def deadlock(story: Story) -> None:
    """Lock the change first and its service then: the worker's order is the other one."""
    alice, change_id, code = await asked(story)
    async with beside(story.system) as ours:
        before = await ours.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = 'faults'")
        transaction = ours.transaction()
        await transaction.start()
        await ours.execute(f"SELECT 1 FROM plan_changes WHERE id = '{change_id}' FOR UPDATE")
        typing = asyncio.create_task(alice.typed(change_id, code))
        await eventually(lambda: _somebody_waits(story.system), "the worker to wait for our lock")
        with suppress(asyncpg.DeadlockDetectedError):  # we are the victim: the worker never noticed
            await ours.execute(f"SELECT 1 FROM services WHERE id = '{alice.service_id}' FOR UPDATE")
        await transaction.rollback()
        assert (await typing).status_code == 200

        async def counted() -> bool:
            after = await ours.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = 'faults'")
            return bool(after > before)

        await eventually(counted, "PostgreSQL to have counted the deadlock")


async def _somebody_waits(system: FaultySystem) -> bool:
    async with beside(system) as connection:
        return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


@scenario(25, databases=(SQLITE,))
async def sqlite_busy_for_longer_than_it_waits(story: Story) -> None:
    alice, change_id, code = await asked(story)
    other = sqlite3.connect(story.system.folder / "changeover.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        typing = asyncio.create_task(alice.typed(change_id, code))
        await asyncio.sleep(13)  # its own busy timeout is 10 s
        assert not typing.done() or (await typing).status_code == 200
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert (await typing).status_code == 200
    await completes(story, alice, change_id, code)


@scenario(25, databases=(SQLITE,), sample=SQLITE)
async def disk_full(story: Story) -> None:
    """The worker may write no file beyond its first kilobytes, as on a full disk."""
    alice, change_id, code = await asked(story)
    (worker,) = story.system.workers
    _, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
        row = await story.row(change_id)
        assert row is not None
        assert row["stage"] == "awaiting_code"
    finally:
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    await completes(story, alice, change_id, code)


@scenario(43)
async def frozen_before_its_commit(story: Story) -> None:
    """PostgreSQL takes the locks from it. SQLite can't: whoever minds the process has to end it."""
    alice, change_id, code = await asked(story)
    frozen = await story.system.restart_worker("commit.before=freeze@1")
    typing = asyncio.create_task(alice.typed(change_id, code))
    await freezes(frozen)
    async with asyncio.timeout(30):
        answer = await alice.mark(2)
    assert answer.status_code == 204 or problem(answer) == "503 engine-unavailable", answer.text
    await story.system.start_worker()
    if story.system.kind == SQLITE:
        await kill(frozen)
    assert (await typing).status_code == 200
    await story.reaches(change_id, "completed")
    if story.system.kind == POSTGRESQL:
        thaw(frozen)
        await asyncio.sleep(3)  # what it still had in hand happens now, or never
    assert await events(story, change_id, "committed") == 1


@scenario(45)
async def api_killed_after_the_commit_it_asked_for(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("judged.accepted=sleep:3")
    typing = asyncio.create_task(alice.typed(change_id, code))

    async def committed() -> bool:
        row = await story.row(change_id)
        return row is not None and row["committed_at"] is not None

    await eventually(committed, "the commit")
    await story.system.restart_api()
    assert (await typing).status_code == 200
    await story.reaches(change_id, "completed")
