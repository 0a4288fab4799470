"""The stores fail: a PostgreSQL that answers and can't do what it is asked for, a Temporal that forgot."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from changeover.storage import tables
from tests.faults.matrix import scenario
from tests.faults.postgresql import beside, no_writes, refusing
from tests.faults.scenarios.common import (
    RESEND,
    SMALLER,
    asked,
    completes,
    events,
    in_its_teardown,
    outcome_recorded,
    with_a_pass,
)
from tests.faults.scenarios.teardown import operators
from tests.faults.story import WINDOW, Customer, Story, problem
from tests.faults.system import POSTGRESQL, eventually, freeze, thaw
from tests.storage.rows import rows_of
from tests.support.proxy import Proxy


@scenario(49, databases=(POSTGRESQL,))
async def read_only_as_a_code_is_typed_and_at_a_request(story: Story) -> None:
    alice, change_id, code = await asked(story)
    bruno = await with_a_pass(story)
    body = await bruno.quoted(**SMALLER)
    async with no_writes(story.system):
        assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
        assert problem(await bruno.confirm(body, "click")) == "503 engine-unavailable"
        assert problem(await bruno.mark(2)) == "503 engine-unavailable"
        assert (await alice.service())["id"] == alice.service_id, "what is there can be looked at"
    await completes(story, alice, change_id, code)
    answer = await bruno.patiently(lambda: bruno.confirm(body, "click"))
    assert answer.status_code == 201, answer.text
    other = answer.json()["id"]
    await completes(story, bruno, other, await bruno.code(other))


@scenario(49, databases=(POSTGRESQL,))
async def read_only_within_a_teardown(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await in_its_teardown(story, alice, change_id, code)
    async with no_writes(story.system):
        await asyncio.sleep(6)
        assert await events(story, change_id, "teardown_delete_backups") == 0
    await story.reaches(change_id, "completed")


@scenario(49, databases=(POSTGRESQL,))
async def nobody_is_let_in_as_a_code_is_typed(story: Story) -> None:
    """As between the two halves of a replaced password, or while the database is put back from a backup."""
    alice, change_id, code = await asked(story)
    name = story.system.database.url.database
    async with beside(story.system, "postgres") as connection:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        try:
            assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
            await connection.execute(f"ALTER DATABASE {name} RENAME TO elsewhere")
            assert problem(await alice.call("GET", "/v1/services")) == "503 engine-unavailable"
            await connection.execute(f"ALTER DATABASE elsewhere RENAME TO {name}")
        finally:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await completes(story, alice, change_id, code)


async def _mails(alice: Customer, *, code: bool) -> int:
    """Wait until the mail with the code, or the one with the outcome, is here; return how many are."""

    async def here() -> bool:
        return any((mail.code is not None) == code for mail in alice.mails)

    await eventually(here, "the mail to arrive")
    return len([mail for mail in alice.mails if (mail.code is not None) == code])


@scenario(49, databases=(POSTGRESQL,))
async def read_only_as_a_code_was_mailed(story: Story) -> None:
    """That it was taken can't be recorded; it isn't mailed again for that, and is valid once it is."""
    await story.system.restart_worker("mail.taken=sleep:3")
    alice = await with_a_pass(story)
    change_id = await alice.confirmed(**SMALLER)
    assert await _mails(alice, code=True) == 1
    async with no_writes(story.system):
        await asyncio.sleep(8)
        row = await story.row(change_id)
        assert row is not None
        assert row["code_handed_over_at"] is None
    await completes(story, alice, change_id, await alice.code(change_id))
    assert await _mails(alice, code=True) == 1


@scenario(50, databases=(POSTGRESQL,))
async def disk_full_as_the_outcome_was_mailed(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("mail.taken=sleep:3")
    await completes(story, alice, change_id, code)
    assert await _mails(alice, code=False) == 1
    async with refusing(story.system, "trail", "53100"):
        await asyncio.sleep(8)
        assert await events(story, change_id, "outcome_mailed") == 0, "it can't be recorded"
    await outcome_recorded(story, change_id)
    assert await _mails(alice, code=False) == 1, "mailed again"


@scenario(50, databases=(POSTGRESQL,))
async def disk_full_at_a_request_a_code_and_a_receipt(story: Story) -> None:
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    async with refusing(story.system, "plan_changes", "53100"):
        assert problem(await alice.confirm(body, "click")) == "503 engine-unavailable"
    answer = await alice.patiently(lambda: alice.confirm(body, "click"))
    assert answer.status_code == 201, answer.text
    change_id = answer.json()["id"]
    code = await alice.code(change_id)
    async with refusing(story.system, "services", "53100"):
        assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
    async with refusing(story.system, "receipts", "53100"):
        assert (await alice.typed(change_id, code)).status_code == 200
        await asyncio.sleep(3)
        assert await events(story, change_id, "teardown_record") == 0
    await story.reaches(change_id, "completed")


# 51: Temporal's own database is gone, or put back from a backup


def _forget_everything(story: Story) -> None:
    for file in story.system.folder.glob("temporal.db*"):
        file.unlink()


async def _loses_everything(story: Story) -> None:
    await story.system.kill_temporal()
    _forget_everything(story)
    await story.system.start_temporal()


def _copy(folder: Path, to: Path) -> None:
    for file in folder.glob("temporal.db*"):
        shutil.copy2(file, to)


async def _backs_up(story: Story) -> Path:
    """Keep what Temporal knows now, and return where."""
    backup = Path(tempfile.mkdtemp(prefix="backup-", dir=story.system.folder))
    await story.system.kill_temporal()
    _copy(story.system.folder, backup)
    await story.system.start_temporal()
    return backup


async def _is_put_back(story: Story, backup: Path) -> None:
    """As docs/operations/backup.md has it: no worker, which would know more than Temporal, runs meanwhile."""
    await story.system.kill_workers()
    await story.system.kill_temporal()
    _forget_everything(story)
    _copy(backup, story.system.folder)
    await story.system.start_temporal()
    await story.system.start_worker()


@scenario(51)
async def temporal_knows_nothing_as_a_code_is_typed(story: Story) -> None:
    """Its run is started again, from its row."""
    alice, change_id, code = await asked(story)
    await _loses_everything(story)
    await completes(story, alice, change_id, code)


@scenario(51)
async def temporal_knows_nothing_within_a_teardown(story: Story) -> None:
    """The reconciler takes up what was committed and gives up what was not, once both are a minute old."""
    _, waiting, _ = await asked(story)
    alice, change_id, code = await asked(story)
    await in_its_teardown(story, alice, change_id, code)
    await _loses_everything(story)
    await story.system.restart_worker()  # which makes the reconciler's schedule again
    async with operators(story) as ops:

        async def taken_up() -> bool:
            report = await ops.reconcile(dry_run=False)
            assert not report.failed, report.failed
            return await events(story, change_id, "resumed") == 1

        await eventually(taken_up, "the reconciler to take up what was committed")
    await story.reaches(change_id, "completed")
    await story.reaches(waiting, "abandoned")


async def _completed_since(story: Story, *, passes: int = 1) -> tuple[Customer, str, str]:
    """Complete a change, and put Temporal back to where its run waits for the code."""
    alice, change_id, code = await asked(story, passes=passes)
    backup = await _backs_up(story)
    await completes(story, alice, change_id, code)
    await _is_put_back(story, backup)
    return alice, change_id, code


async def _ends_at_once(story: Story, alice: Customer, change_id: str) -> None:
    await asyncio.wait_for((await story.handle(alice.run)).result(), 90)
    assert await events(story, change_id, "committed") == 1


@scenario(51)
async def temporal_is_put_back_to_before_a_code_was_typed(story: Story) -> None:
    """Its run waits for a code again, of a change that is completed: it ends as soon as somebody comes."""
    alice, change_id, code = await _completed_since(story, passes=2)
    answer = await alice.typed(change_id, code)
    assert (answer.status_code, answer.json()["stage"]) == (200, "completed")
    again = await alice.confirmed("second-click", slots=26, server_count=2)
    await completes(story, alice, again, await alice.code(again))
    assert await events(story, change_id, "committed") == 1


@scenario(51)
async def temporal_is_put_back_into_a_teardown(story: Story) -> None:
    """It destroys once more what is destroyed: each step finds its receipt."""
    alice, change_id, code = await asked(story)
    await in_its_teardown(story, alice, change_id, code)
    backup = await _backs_up(story)
    await story.reaches(change_id, "completed")
    await _is_put_back(story, backup)
    await asyncio.wait_for((await story.handle(alice.run)).result(), 90)
    assert len(await rows_of(story.system.database, tables.receipts, change_id=change_id)) == 6


@scenario(51)
async def temporal_is_put_back_from_a_teardown_to_before_its_code(story: Story) -> None:
    """Its run waits for the code again, and goes on when its customer sends it once more."""
    alice, change_id, code = await asked(story)
    backup = await _backs_up(story)
    await in_its_teardown(story, alice, change_id, code)
    await _is_put_back(story, backup)
    assert (await alice.typed(change_id, code)).status_code == 200
    await story.reaches(change_id, "completed")
    assert len(await rows_of(story.system.database, tables.receipts, change_id=change_id)) == 6


@scenario(51)
async def temporal_is_put_back_and_nobody_comes(story: Story) -> None:
    """Its run waits for the code of a completed change until its window ends, and ends then."""
    alice, change_id, _ = await _completed_since(story)
    await story.forward(alice, WINDOW)
    await _ends_at_once(story, alice, change_id)


@scenario(51)
async def temporal_is_put_back_and_the_reconciler_looks(story: Story) -> None:
    """It tells the run of a change that was completed a minute ago to look at its row."""
    alice, change_id, _ = await _completed_since(story)
    async with operators(story) as ops:

        async def told() -> bool:
            report = await ops.reconcile(dry_run=False)
            healed = [it for check in report.checks.values() for it in check.findings if it.healed]
            return ("end-unheard", change_id) in {(it.kind, it.subject) for it in healed}

        await eventually(told, "the reconciler to tell the run")
    await _ends_at_once(story, alice, change_id)


def _way(story: Story) -> Proxy:
    assert story.system.proxy is not None
    return story.system.proxy


@scenario(41, databases=(POSTGRESQL,))
async def cut_at_every_other_transaction(story: Story) -> None:
    """At the opening, the new code, a receipt; and of another change at its cancellation."""
    proxy = _way(story)
    cuts = proxy.cuts
    proxy.cut_at(b"COMMIT;", after=True)
    alice, change_id, _ = await asked(story)
    assert len(await story.changes(alice)) == 1
    await story.forward(alice, RESEND)
    proxy.cut_at(b"COMMIT;", after=True)
    assert (await alice.resend(change_id)).status_code == 202
    await in_its_teardown(story, alice, change_id, await alice.code(change_id, 2))
    proxy.cut_at(b"COMMIT;", after=True)
    await story.reaches(change_id, "completed")
    assert len(await rows_of(story.system.database, tables.receipts, change_id=change_id)) == 6
    bruno, other, _ = await asked(story)
    proxy.cut_at(b"COMMIT;", after=True)
    assert (await bruno.cancel(other)).status_code == 200
    assert await events(story, other, "abandoned") == 1
    assert proxy.cuts == cuts + 4


@scenario(42, databases=(POSTGRESQL,))
async def silent_as_a_code_is_typed(story: Story) -> None:
    alice, change_id, code = await asked(story)
    _way(story).fall_silent()
    typing = asyncio.create_task(alice.typed(change_id, code))
    await asyncio.sleep(6)
    _way(story).heal()
    assert (await typing).status_code == 200
    await completes(story, alice, change_id, code)


@scenario(42, databases=(POSTGRESQL,))
async def silent_within_a_teardown(story: Story) -> None:
    """The activity still has heartbeats to send: nothing but its own impatience ends it."""
    alice, change_id, code = await asked(story)
    await in_its_teardown(story, alice, change_id, code)
    _way(story).fall_silent()
    await asyncio.sleep(6)
    _way(story).heal()
    await story.reaches(change_id, "completed")


@scenario(42, databases=(POSTGRESQL,))
async def silent_to_the_api(story: Story) -> None:
    """Customers are told to come back, and are served when the way is there again."""
    url = story.system.environ(through_proxy=True)["CHANGEOVER_DATABASE_URL"]
    await story.system.restart_api(CHANGEOVER_DATABASE_URL=url, FAULTY="proxy")
    alice, change_id, code = await asked(story)
    _way(story).fall_silent()
    answers = await asyncio.gather(*(alice.call("GET", "/v1/services") for _ in range(12)))
    assert {problem(answer) for answer in answers} == {"503 engine-unavailable"}
    _way(story).heal()
    assert (await alice.service())["id"] == alice.service_id
    await completes(story, alice, change_id, code)


@scenario(44)
async def temporal_frozen_as_a_code_is_typed(story: Story) -> None:
    alice, change_id, code = await asked(story)
    assert story.system.temporal is not None
    freeze(story.system.temporal)
    try:
        assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
        assert (await alice.service())["id"] == alice.service_id, "the read side needs no engine"
        await asyncio.sleep(8)
    finally:
        thaw(story.system.temporal)
    await completes(story, alice, change_id, code)


@scenario(44)
async def temporal_frozen_during_a_teardown(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await in_its_teardown(story, alice, change_id, code)
    assert story.system.temporal is not None
    freeze(story.system.temporal)
    try:
        await asyncio.sleep(20)  # longer than heartbeats may stay away
    finally:
        thaw(story.system.temporal)
    await story.reaches(change_id, "completed")
