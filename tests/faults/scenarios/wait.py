"""Faults while a change waits for its code."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from changeover.storage.catalogue import store_catalogue
from tests.faults.matrix import scenario
from tests.faults.scenarios.common import (
    RESEND,
    SMALLER,
    asked,
    completes,
    events,
    outcome_recorded,
    with_a_pass,
    yesterday,
)
from tests.faults.story import WINDOW, WRONG, Customer, Story, problem
from tests.faults.system import POSTGRESQL, SQLITE, eventually
from tests.storage.rows import BLOCKS, CATALOGUE, SECOND

GUESSES = 50


async def _guess(story: Story, alice: Customer, change_id: str, guesses: list[str]) -> Counter[str]:
    answers = await asyncio.gather(*(alice.type(change_id, guess) for guess in guesses))
    told = Counter(problem(answer) for answer in answers)
    busy = "503 engine-unavailable"
    late = "409 change-closed"
    assert set(told) <= {"422 code-wrong", "429 code-locked", "410 code-expired", busy, late}, told
    assert told["422 code-wrong"] <= 5, told
    return told


@scenario(13, touches=("I16",), sample=POSTGRESQL)
async def fifty_guesses_at_each_code(story: Story) -> None:
    alice, change_id, _ = await asked(story)
    await _guess(story, alice, change_id, WRONG[:GUESSES])
    await story.forward(alice, RESEND)
    assert (await alice.resend(change_id)).status_code == 202
    await alice.code(change_id, 2)
    await _guess(story, alice, change_id, WRONG[GUESSES : 2 * GUESSES])
    row = await story.reaches(change_id, "abandoned", "awaiting_code")
    assert row["wrong_on_change"] <= 10
    if row["wrong_on_change"] == 10:
        row = await story.reaches(change_id, "abandoned")
        assert row["reason"] == "too-many-tries"


@scenario(14, sample=SQLITE)
async def the_right_code_twenty_times(story: Story) -> None:
    alice, change_id, code = await asked(story)
    answers = await asyncio.gather(*(alice.type(change_id, code) for _ in range(20)))
    told = Counter(problem(answer) for answer in answers)
    assert set(told) <= {"200", "503 engine-unavailable"}, told
    assert told["200"] >= 1, told
    assert len({it.json()["new_expires_at"] for it in answers if it.status_code == 200}) == 1
    await completes(story, alice, change_id, code)


@scenario(15)
async def the_old_code_and_that_of_another_change(story: Story) -> None:
    alice, change_id, old = await asked(story)
    bruno, other, others = await asked(story)
    await story.forward(alice, RESEND)
    assert (await alice.resend(change_id)).status_code == 202
    code = await alice.code(change_id, 2)
    assert code != old
    assert problem(await alice.typed(change_id, old)) == "422 code-wrong"
    assert problem(await alice.typed(change_id, others)) == "422 code-wrong"
    assert problem(await bruno.typed(change_id, code)) == "404 not-found"
    await completes(story, alice, change_id, code)
    await completes(story, bruno, other, others)


@scenario(16)
async def killed_after_a_guess_is_counted(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("judged.wrong=kill@1")
    typing = asyncio.create_task(alice.typed(change_id, WRONG[0]))
    await story.system.worker_died()
    await story.system.restart_worker()
    assert problem(await typing) == "422 code-wrong"
    row = await story.row(change_id)
    assert row is not None
    assert row["wrong_on_change"] == 1, "the same guess is not counted twice"
    assert problem(await alice.typed(change_id, WRONG[0])) == "422 code-wrong"
    row = await story.row(change_id)
    assert row is not None
    assert row["wrong_on_change"] == 1
    await completes(story, alice, change_id, code)


async def _close_to_the_deadline(story: Story, before: timedelta) -> tuple[Customer, str, str]:
    """A change with a code that is valid to the very end of its window, `before` that end."""
    alice, change_id, _ = await asked(story)
    row = await story.row(change_id)
    assert row is not None
    began = row["as_of"]
    await story.forward(alice, WINDOW - timedelta(minutes=5) - (datetime.now(UTC) - began))
    assert (await alice.resend(change_id)).status_code == 202
    code = await alice.code(change_id, 2)
    row = await story.row(change_id)
    assert row is not None
    assert row["code_expires_at"] == row["window_ends_at"]
    # The run's clock goes on with ours from here: it is ahead of it by what was skipped.
    handle = await story.handle(alice.run)
    info = (await handle.describe()).raw_description.workflow_extended_info.time_skipping_info
    now = info.current_time.ToDatetime().replace(tzinfo=UTC)
    await story.forward(alice, row["window_ends_at"] - before - now)
    return alice, change_id, code


@scenario(17)
async def just_before_the_deadline(story: Story) -> None:
    alice, change_id, code = await _close_to_the_deadline(story, timedelta(seconds=20))
    assert (await alice.typed(change_id, code)).status_code == 200
    bruno, other, _ = await asked(story)
    await bruno.cancel(other)
    await story.reaches(change_id, "completed")


@scenario(17)
async def just_after_the_deadline(story: Story) -> None:
    alice, change_id, code = await _close_to_the_deadline(story, timedelta(seconds=3))
    row = await story.reaches(change_id, "abandoned")
    assert row["reason"] == "window-over"
    assert problem(await alice.typed(change_id, code)) in {"409 change-closed", "410 code-expired"}


@scenario(17, sample=SQLITE)
async def at_the_deadline(story: Story) -> None:
    """Send the right code until the window is over: one of the two wins, and each answer says so."""
    bruno, other, _ = await asked(story)
    await bruno.cancel(other)
    alice, change_id, code = await _close_to_the_deadline(story, timedelta(seconds=2.5))
    handle = await story.handle(alice.run)
    info = (await handle.describe()).raw_description.workflow_extended_info.time_skipping_info
    row = await story.row(change_id)
    assert row is not None
    left = row["window_ends_at"] - info.current_time.ToDatetime().replace(tzinfo=UTC)
    await asyncio.sleep(max(0.0, left.total_seconds() - 0.03))
    answer = await alice.typed(change_id, code)
    row = await story.reaches(change_id, "abandoned", "completed")
    won = row["stage"] == "completed"
    assert (answer.status_code == 200) == won, answer.text


@scenario(18)
async def no_worker_across_the_deadline(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.idle(alice)
    await story.system.kill_workers()
    skipping = asyncio.create_task(story.forward(alice, WINDOW + timedelta(minutes=1)))
    await asyncio.sleep(3)
    assert problem(await alice.type(change_id, code)) == "503 engine-unavailable"
    await story.system.restart_worker()
    row = await story.reaches(change_id, "abandoned")
    assert row["reason"] == "window-over"
    skipping.cancel()
    assert problem(await alice.typed(change_id, code)) == "409 change-closed"


@scenario(19)
async def terminated_and_confirmed_all_the_same(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await (await story.handle(alice.run)).terminate("an operator was in a hurry")
    await completes(story, alice, change_id, code)


@scenario(19)
async def terminated_and_asked_anew(story: Story) -> None:
    alice, change_id, _ = await asked(story)
    await (await story.handle(alice.run)).terminate("an operator was in a hurry")
    second = await alice.call(
        "POST",
        f"/v1/services/{alice.service_id}/plan-changes",
        await alice.quoted(slots=22, server_count=2) | {"digest": "0" * 64},
        key="anew",
    )
    assert problem(second) in {"409 change-in-progress", "409 quote-stale"}, second.text
    await alice.cancel(change_id)
    await story.reaches(change_id, "abandoned")
    third = await alice.confirmed("third", **SMALLER)
    await completes(story, alice, third, await alice.code(third))


async def _reset(story: Story, alice: Customer) -> None:
    """Reset the run to the end of its first workflow task, as the Temporal UI does."""
    handle = await story.handle(alice.run)
    described = await handle.describe()
    events = (await handle.fetch_history()).events
    first = next(it for it in events if it.HasField("workflow_task_completed_event_attributes"))
    await (await story.system.client()).workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=described.run_id),
            workflow_task_finish_event_id=first.event_id,
            reason="an operator tried something",
            request_id=f"reset-{described.run_id}",
        )
    )


@scenario(19, sample=SQLITE)
async def reset_before_and_after_the_commit(story: Story) -> None:
    alice, change_id, code = await asked(story)
    assert problem(await alice.typed(change_id, WRONG[0])) == "422 code-wrong"
    await _reset(story, alice)
    await completes(story, alice, change_id, code)
    await _reset(story, alice)

    async def ended() -> bool:
        return not await story.is_running(alice.run)

    await eventually(ended, "the reset run to end again")


async def _is_stale(story: Story, alice: Customer, change_id: str, code: str, cause: str) -> None:
    answer = await alice.typed(change_id, code)
    assert problem(answer) in {"409 change-closed", "404 not-found"}, answer.text
    row = await story.row(change_id)
    assert row is not None
    assert (row["stage"], row["reason"], row["cause"]) == ("abandoned", "stale", cause)


@asynccontextmanager
async def _another_catalogue(story: Story, catalogue: Any) -> AsyncIterator[None]:
    """Put a catalogue in force, and the old one again."""
    now = datetime.now(UTC)
    database = story.system.database
    await database.write(lambda connection: store_catalogue(connection, catalogue, now))
    try:
        yield
    finally:
        await database.write(lambda connection: store_catalogue(connection, CATALOGUE, now))


@scenario(20, touches=("I8",))
async def prices_change(story: Story) -> None:
    alice, change_id, code = await asked(story)
    dearer = {**CATALOGUE, "blocks": replace(BLOCKS, per_slot=110)}
    async with _another_catalogue(story, dearer):
        await _is_stale(story, alice, change_id, code, "prices-changed")


@scenario(20, touches=("I8", "I1"))
async def another_server_is_marked(story: Story) -> None:
    alice, change_id, code = await asked(story)
    assert (await alice.mark(0)).status_code == 204
    await _is_stale(story, alice, change_id, code, "servers-changed")


@scenario(20, touches=("I8", "I1"))
async def the_mark_is_undone(story: Story) -> None:
    alice, change_id, code = await asked(story)
    assert (await alice.mark(2, undo=True)).status_code == 204
    await _is_stale(story, alice, change_id, code, "servers-changed")


@scenario(20, touches=("I8", "I1"), sample=SQLITE)
async def the_pass_is_spent_elsewhere(story: Story) -> None:
    alice, change_id, code = await asked(story)
    twin = await story.arrives(sharing=alice, marked=1, last_committed_at=yesterday())
    second = await twin.confirmed(**SMALLER)
    await completes(story, twin, second, await twin.code(second))
    await _is_stale(story, alice, change_id, code, "pass-gone")


@scenario(20, touches=("I8", "I11"), sample=SQLITE)
async def the_service_expires(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.host_writes(alice, expires_at=datetime.now(UTC).replace(microsecond=0) - SECOND)
    await _is_stale(story, alice, change_id, code, "service-expired")


@scenario(21, sample=SQLITE)
async def renewed_while_it_waits(story: Story) -> None:
    alice = await with_a_pass(story)
    change_id = await alice.confirmed(**SMALLER)
    code = await alice.code(change_id)
    assert (await alice.renew(10, "renewal")).status_code == 201
    assert (await alice.renew(10, "renewal")).status_code == 201, "the same click"
    await completes(story, alice, change_id, code)


@scenario(21)
async def renewed_while_the_code_is_typed(story: Story) -> None:
    alice, change_id, code = await asked(story)
    renewed, typed = await asyncio.gather(alice.renew(10), alice.typed(change_id, code))
    assert (renewed.status_code, typed.status_code) == (201, 200)
    await story.reaches(change_id, "completed")


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
    await outcome_recorded(story, change_id)
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
