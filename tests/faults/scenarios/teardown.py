"""Faults while servers are destroyed."""

import asyncio
import resource
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import update

from changeover.settings import Settings
from changeover.storage import tables
from starter.operations import Operations
from tests.faults.matrix import scenario
from tests.faults.scenarios.common import asked, completes, events, freezes, in_its_teardown, with_a_pass
from tests.faults.story import Customer, Story
from tests.faults.system import SQLITE, eventually, is_frozen, kill, thaw
from tests.storage.rows import add_free_addresses, rows_of
from tests.support.proxy import Proxy, proxy_to


@asynccontextmanager
async def operators(story: Story) -> AsyncIterator[Operations]:
    settings = Settings(database_url=story.system.database_url, proof_key=story.system.proof_key.decode())
    opened = Operations(settings, await story.system.client())
    try:
        yield opened
    finally:
        await opened.close()


def _hide_backups(story: Story, server_id: str) -> Path:
    """Put a link in the place of a server's backups, which the host refuses to follow."""
    backups = story.system.host_dir / server_id / "backups"
    moved = backups.with_name("moved-away")
    backups.rename(moved)
    backups.symlink_to(moved)
    return backups


def _bring_back(backups: Path) -> None:
    backups.unlink()
    backups.with_name("moved-away").rename(backups)


async def _events(story: Story, change_id: str, event: str) -> int:
    return len(await rows_of(story.system.database, tables.trail, change_id=change_id, event=event))


@scenario(27)
async def host_down_for_six_hours(story: Story) -> None:
    """Six hours are ten seconds to this worker: what comes after them is the same."""
    alice, change_id, code = await asked(story)
    await story.system.restart_worker(wrapper=("tests.faults.impatient", "10"))
    away = story.system.host_dir.with_name("hosts-away")
    story.system.host_dir.rename(away)
    try:
        assert (await alice.typed(change_id, code)).status_code == 200
        await story.reaches(change_id, "needs_attention")

        async def both_wait() -> bool:
            waiting = await rows_of(story.system.database, tables.tasks, change_id=change_id)
            return {row["state"] for row in waiting} == {"attention"}

        await eventually(both_wait, "teardown and limits to wait for an operator")
        rows = await rows_of(story.system.database, tables.addresses, server_id=alice.server_ids[2])
        assert len(rows) == 1, "its address is still its own"
    finally:
        away.rename(story.system.host_dir)
    async with operators(story) as ops:
        await ops.retry(change_id, actor="olga")
    await story.reaches(change_id, "completed")


@scenario(27)
async def host_down_for_a_while(story: Story) -> None:
    alice, change_id, code = await asked(story)
    away = story.system.host_dir.with_name("hosts-away")
    story.system.host_dir.rename(away)
    try:
        assert (await alice.typed(change_id, code)).status_code == 200
        await asyncio.sleep(5)
    finally:
        away.rename(story.system.host_dir)
    await story.reaches(change_id, "completed")
    assert await _events(story, change_id, "needs_attention") == 0


@scenario(28, touches=("I4",), sample=SQLITE)
async def one_of_three_fails_for_ever(story: Story) -> None:
    alice = await story.arrives(servers=4, marked=3)
    backups = _hide_backups(story, alice.server_ids[2])
    change_id = await alice.confirmed(server_count=1)
    assert (await alice.typed(change_id, await alice.code(change_id))).status_code == 200

    async def others_done() -> bool:
        return await _events(story, change_id, "server_destroyed") == 2

    await eventually(others_done, "the two others to be destroyed")
    await story.reaches(change_id, "needs_attention")
    assert (backups.with_name("data")).is_dir(), "nothing of it was touched"
    _bring_back(backups)
    async with operators(story) as ops:
        await ops.retry(change_id, actor="olga")
    await story.reaches(change_id, "completed")


@scenario(28)
async def one_of_three_is_never_mended(story: Story) -> None:
    alice = await story.arrives(servers=4, marked=3)
    _hide_backups(story, alice.server_ids[2])
    change_id = await alice.confirmed(server_count=1)
    assert (await alice.typed(change_id, await alice.code(change_id))).status_code == 200

    async def others_done() -> bool:
        return await _events(story, change_id, "server_destroyed") == 2

    await eventually(others_done, "the two others to be destroyed")
    await story.reaches(change_id, "needs_attention")


async def _repeated(story: Story, failpoint: str, *, dies: bool) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker(failpoint)
    assert (await alice.typed(change_id, code)).status_code == 200
    if dies:
        await story.system.worker_died()
        await story.system.restart_worker()
    await story.reaches(change_id, "completed")
    receipts = await rows_of(story.system.database, tables.receipts, change_id=change_id)
    assert len(receipts) == 6, "one receipt a step"


@scenario(29)
async def data_deleted_and_the_answer_lost(story: Story) -> None:
    await _repeated(story, "teardown.delete_data=raise@1", dies=False)


@scenario(29)
async def killed_after_the_backups_were_deleted(story: Story) -> None:
    await _repeated(story, "teardown.delete_backups=kill@1", dies=True)


@scenario(29)
async def killed_after_the_data_was_deleted(story: Story) -> None:
    await _repeated(story, "teardown.delete_data=kill@1", dies=True)


@scenario(29)
async def killed_after_the_host_released_the_address(story: Story) -> None:
    await _repeated(story, "teardown.release_address=kill@1", dies=True)


async def _frozen_at(story: Story, failpoint: str) -> None:
    """The machine of a worker stands still, its connections break; another does its work meanwhile."""
    async with proxy_to(story.system.temporal_port) as way:
        await _freeze(story, failpoint, way)


async def _freeze(story: Story, failpoint: str, way: Proxy) -> None:
    alice, change_id, code = await asked(story)
    quarantine: dict[str, Any] = {"CHANGEOVER_QUARANTINE_DAYS": "0", "FAULTY": "quarantine"}
    temporal = {"TEMPORAL_ADDRESS": f"127.0.0.1:{way.port}"}
    frozen = await story.system.restart_worker(f"{failpoint}=freeze@1", **quarantine | temporal)
    typing = asyncio.create_task(alice.typed(change_id, code))
    await freezes(frozen)
    way.closed = True
    way.reset()
    other = await story.system.start_worker(**quarantine)
    assert (await typing).status_code == 200
    await story.reaches(change_id, "completed")
    assert is_frozen(frozen)

    others = tables.addresses.c.server_id.is_(None) & (tables.addresses.c.address != alice.addresses[2])
    kept_back = update(tables.addresses).where(others).values(held=True)
    await story.system.database.write(lambda connection: connection.execute(kept_back))
    await asyncio.sleep(1)  # an address is free from a moment on, and a quote is of a whole second
    bruno = await story.arrives(servers=1)
    second = await bruno.confirmed(server_count=2)
    await completes(story, bruno, second, await bruno.code(second))
    (new,) = await rows_of(story.system.database, tables.servers, created_by=second)
    assert new["address"] == alice.addresses[2], "it was given on"
    folder = story.system.host_dir / new["id"]
    assert folder.is_dir()

    await kill(other)
    way.heal()
    thaw(frozen)
    await asyncio.sleep(5)  # what it still had in hand happens now, or never
    (owner,) = await rows_of(story.system.database, tables.addresses, address=new["address"])
    assert owner["server_id"] == new["id"]
    assert folder.is_dir()


@scenario(30)
async def a_frozen_worker_has_released_the_address(story: Story) -> None:
    await _frozen_at(story, "teardown.release_address")


@scenario(30)
async def a_frozen_worker_is_about_to_delete_data(story: Story) -> None:
    await _frozen_at(story, "host.delete_data")


@scenario(31)
async def backups_refuse_for_a_while(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("host.delete_backup=raise@1-2")
    assert (await alice.typed(change_id, code)).status_code == 200
    await story.reaches(change_id, "completed")


@scenario(31)
async def backups_refuse_and_are_skipped(story: Story) -> None:
    """Skipped without evidence: the address is kept back for good."""
    alice, change_id, code = await asked(story)
    impatient = ("tests.faults.impatient", "5")
    await story.system.restart_worker("host.delete_backup=raise", wrapper=impatient)
    backups = story.system.host_dir / alice.server_ids[2] / "backups"
    assert (await alice.typed(change_id, code)).status_code == 200
    await story.reaches(change_id, "needs_attention")
    async with operators(story) as ops:
        await ops.skip(change_id, "the disk is broken", actor="olga")

        async def at_the_data() -> bool:
            row = await story.row(change_id)
            assert row is not None
            return row["stage"] == "needs_attention" and await _events(story, change_id, "skipped") == 1

        await eventually(at_the_data, "the deletion of the data to fail, too")
        for backup in list(backups.iterdir()):
            await asyncio.to_thread(_remove, backup)
        await ops.retry(change_id, actor="olga")
    await story.reaches(change_id, "completed")
    (address,) = await rows_of(story.system.database, tables.addresses, address=alice.addresses[2])
    assert (address["held"], address["server_id"]) == (True, alice.server_ids[2])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@scenario(46, databases=(SQLITE,))
async def disk_full_between_two_receipts(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await in_its_teardown(story, alice, change_id, code)
    (worker,) = story.system.workers
    _, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        await asyncio.sleep(5)
        assert len(await rows_of(story.system.database, tables.receipts, change_id=change_id)) < 6
    finally:
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    await story.reaches(change_id, "completed")


MANY = 12
"""Servers whose calls hang at once: more than the threads that a process has for odd jobs."""


async def _deletions_hang(story: Story) -> tuple[Customer, str]:
    """Confirm to destroy many servers, and return when the deletion of each one's data hangs."""
    alice = await with_a_pass(story, servers=MANY + 1, marked=MANY)
    change_id = await alice.confirmed(server_count=1)
    code = await alice.code(change_id)
    await story.system.restart_worker("host.delete_data=hang")
    assert (await alice.typed(change_id, code)).status_code == 200

    async def all_hang() -> bool:
        return await events(story, change_id, "teardown_delete_backups") == MANY

    await eventually(all_hang, "all deletions to hang")
    return alice, change_id


@scenario(47)
async def deletions_that_hang_hold_nobody_else_up(story: Story) -> None:
    _, change_id = await _deletions_hang(story)
    await add_free_addresses(story.system.database, 1)
    bruno = await with_a_pass(story, marked=0)
    grown = await bruno.confirmed(server_count=4)
    await completes(story, bruno, grown, await bruno.code(grown))
    still = await rows_of(story.system.database, tables.servers, state="destroying", destroyed_by=change_id)
    assert len(still) == MANY
    await story.system.restart_worker()
    await story.reaches(change_id, "completed")


@scenario(47)
async def a_worker_ends_when_told_while_deletions_hang(story: Story) -> None:
    _, change_id = await _deletions_hang(story)
    (worker,) = story.system.workers
    worker.process.terminate()
    assert await asyncio.wait_for(worker.process.wait(), 60) == 0
    await story.system.restart_worker()
    await story.reaches(change_id, "completed")


@asynccontextmanager
async def _read_only(folder: Path) -> AsyncIterator[None]:
    """Make a folder read-only for the block, for root too."""

    async def mount(*arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(*arguments)
        assert await process.wait() == 0, f"{arguments}: only root may mount"

    await mount("mount", "--bind", str(folder), str(folder))
    try:
        await mount("mount", "-o", "remount,ro,bind", str(folder))
        yield
    finally:
        await mount("umount", "--lazy", str(folder))


@scenario(48)
async def the_hosts_folder_is_read_only_until_somebody_looks(story: Story) -> None:
    alice, change_id, code = await asked(story)
    async with _read_only(story.system.host_dir):
        assert (await alice.typed(change_id, code)).status_code == 200
        await story.reaches(change_id, "needs_attention")
        assert await events(story, change_id, "teardown_stop") == 0

        async def both_wait() -> bool:
            waiting = await rows_of(story.system.database, tables.tasks, change_id=change_id)
            return {row["state"] for row in waiting} == {"attention"}

        await eventually(both_wait, "teardown and limits to wait for an operator")
    async with operators(story) as ops:
        await ops.retry(change_id, actor="olga")
    await story.reaches(change_id, "completed")
