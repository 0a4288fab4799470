"""Further faults, of the same kinds as those of the matrix; their numbers go on from there."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from changeover.storage import tables
from tests.faults.matrix import scenario
from tests.faults.scenarios.common import (
    SMALLER,
    asked,
    completes,
    events,
    in_its_teardown,
    with_a_pass,
)
from tests.faults.scenarios.teardown import operators
from tests.faults.story import WINDOW, Customer, Story, problem
from tests.faults.system import POSTGRESQL, SQLITE, eventually, freeze, is_frozen, kill, thaw
from tests.storage.rows import add_free_addresses, rows_of
from tests.support.proxy import Proxy

RESEND = timedelta(seconds=61)


async def _api_died(story: Story) -> None:
    assert story.system.api is not None
    await asyncio.wait_for(story.system.api.process.wait(), 60)


# 38: request


@scenario(38)
async def api_killed_after_a_mark_was_written(story: Story) -> None:
    alice = await with_a_pass(story, marked=0)
    await story.system.restart_api("transaction.after=kill@1")
    marking = asyncio.create_task(alice.patiently(lambda: alice.mark(2)))
    await _api_died(story)
    await story.system.restart_api()
    assert (await marking).status_code == 204
    change_id = await alice.confirmed(**SMALLER)
    await completes(story, alice, change_id, await alice.code(change_id))


@scenario(38)
async def api_clock_set_back_between_quote_and_confirm(story: Story) -> None:
    """By twenty minutes: what was quoted is what is accepted."""
    alice = await with_a_pass(story)
    await story.system.restart_api(wrapper=("tests.faults.clock", "600"))
    body = await alice.quoted(**SMALLER)
    await story.system.restart_api(wrapper=("tests.faults.clock", "-600"))
    answer = await alice.patiently(lambda: alice.confirm(body, "click"))
    assert answer.status_code == 201, answer.text
    change_id = answer.json()["id"]
    await completes(story, alice, change_id, await alice.code(change_id))


# 39: mail


@scenario(39)
async def the_outcome_is_greylisted(story: Story) -> None:
    """The mail gets a run of its own, so that the service's next change isn't held up; it arrives once."""
    alice, change_id, code = await asked(story, passes=2)
    story.system.post.answers["RCPT"] = ["450 4.7.1 greylisted, come back later"] * 4
    await completes(story, alice, change_id, code)

    async def ended() -> bool:
        return not await story.is_running(alice.run)

    await eventually(ended, "the change's run to end")

    async def told() -> bool:
        return await events(story, change_id, "outcome_mailed") == 1

    await eventually(told, "the outcome to be taken")
    assert len([mail for mail in alice.mails if mail.code is None]) == 1
    second = await alice.confirmed("second", slots=22, server_count=2)
    await completes(story, alice, second, await alice.code(second))


@scenario(39)
async def killed_after_the_outcome_was_taken(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("mail.taken=kill@1")
    await completes(story, alice, change_id, code)
    await story.system.worker_died()
    await story.system.restart_worker()

    async def told() -> bool:
        return await events(story, change_id, "outcome_mailed") == 1

    await eventually(told, "the outcome to be recorded as mailed")
    outcomes = [mail for mail in alice.mails if mail.code is None]
    assert len(outcomes) == 2
    assert len({mail.message_id for mail in outcomes}) == 1


@scenario(39)
async def frozen_as_it_mails_the_code(story: Story) -> None:
    frozen = await story.system.restart_worker("mail.before=freeze@1")
    alice = await with_a_pass(story)
    asking = asyncio.create_task(alice.confirmed(**SMALLER))

    async def stopped() -> bool:
        return is_frozen(frozen)

    await eventually(stopped, "the worker to freeze")
    await story.system.start_worker()
    change_id = await asking
    code = await alice.code(change_id)
    thaw(frozen)
    await asyncio.sleep(5)  # it sends what it had in hand, or hears first that this is no longer its own
    assert {mail.code for mail in alice.mails} == {code}
    assert len({mail.message_id for mail in alice.mails}) == 1
    await completes(story, alice, change_id, code)


# 40: wait


@scenario(40)
async def killed_after_a_cancellation_was_written(story: Story) -> None:
    alice, change_id, _ = await asked(story)
    await story.system.restart_worker("abandoned.recorded=kill@1")
    cancelling = asyncio.create_task(alice.cancel(change_id))
    await story.system.worker_died()
    await story.system.restart_worker()
    assert (await cancelling).status_code == 200
    row = await story.reaches(change_id, "abandoned")
    assert row["reason"] == "cancelled"
    assert await events(story, change_id, "abandoned") == 1
    second = await alice.confirmed("second", **SMALLER)
    await completes(story, alice, second, await alice.code(second))


@scenario(40, touches=("I16",))
async def killed_after_the_end_of_the_window_was_written(story: Story) -> None:
    alice, change_id, _ = await asked(story)
    await story.system.restart_worker("abandoned.recorded=kill@1")
    await story.idle(alice)
    skipping = asyncio.create_task(story.forward(alice, WINDOW + timedelta(minutes=1)))
    await story.system.worker_died()
    await story.system.restart_worker()
    row = await story.reaches(change_id, "abandoned")
    assert row["reason"] == "window-over"

    async def told() -> bool:
        return await events(story, change_id, "outcome_mailed") == 1

    await eventually(told, "the customer to be told")
    skipping.cancel()


@scenario(40)
async def killed_after_a_new_code_was_opened(story: Story) -> None:
    alice, change_id, _ = await asked(story)
    await story.forward(alice, RESEND)
    await story.system.restart_worker("code_requested.recorded=kill@1")
    resending = asyncio.create_task(alice.resend(change_id))
    await story.system.worker_died()
    await story.system.restart_worker()
    assert (await resending).status_code == 202
    code = await alice.code(change_id, 2)
    row = await story.row(change_id)
    assert row is not None
    assert row["code_number"] == 2, "one click, one code"
    await completes(story, alice, change_id, code)


# 41 and 42: the way to PostgreSQL


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


# 43: commit


@scenario(43)
async def frozen_before_its_commit(story: Story) -> None:
    """PostgreSQL takes the locks from it. SQLite can't: whoever minds the process has to end it."""
    alice, change_id, code = await asked(story)
    frozen = await story.system.restart_worker("commit.before=freeze@1")
    typing = asyncio.create_task(alice.typed(change_id, code))

    async def stopped() -> bool:
        return is_frozen(frozen)

    await eventually(stopped, "the worker to freeze")
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


# 44 and 45: at any time


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


# 46: teardown


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


# 47, 48: teardown

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
