"""Fault 32: the longest path of a change, and the worker killed at each event of its histories."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from temporalio.service import RPCError

from tests.faults.lane import Lane
from tests.faults.matrix import scenario
from tests.faults.scenarios.common import with_a_pass
from tests.faults.story import WRONG, Customer, Story, problem
from tests.faults.system import SQLITE, eventually
from tests.faults.watch import Watch
from workflows import ids

LANES = 4
"""Walks side by side of which each has a worker of its own."""

Moment = tuple[str, int]
"""`change` or `teardown`, and the number of an event in its history."""


async def _walk(alice: Customer) -> str:
    """Three servers to one with other slots: wrong code, another code, the right one, two teardowns."""
    story = alice.story
    change_id = await alice.confirmed(slots=24, server_count=1)
    await alice.code(change_id)
    assert problem(await alice.typed(change_id, WRONG[0])) == "422 code-wrong"
    resent = await alice.resend(change_id)
    while problem(resent) == "429 resend-too-soon":  # the clock of a run without a worker stands still
        await story.forward(alice, timedelta(seconds=61))
        resent = await alice.resend(change_id)
    assert problem(resent) == "202", resent.text
    code = await alice.code(change_id, 2)
    answer = await alice.typed(change_id, code)
    assert answer.status_code == 200, answer.text
    await story.reaches(change_id, "completed")
    return change_id


def _run_of(alice: Customer, which: str) -> str:
    return alice.run if which == "change" else ids.teardown_workflow_id(alice.server_ids[1])


async def _happened(story: Story, workflow_id: str, number: int) -> None:
    """Return at once when event `number` stands in the history; there may be no such run yet."""
    while True:
        handle = await story.handle(workflow_id)
        try:
            async for event in handle.fetch_history_events(wait_new_event=True):
                if event.event_id >= number:
                    return
            return  # it ended before
        except RPCError:
            await asyncio.sleep(0.02)


async def _killed_at(story: Story, moments: list[Moment]) -> None:
    """Let as many customers walk side by side, and kill the worker at each one's moment."""
    one_at_a_time = asyncio.Lock()
    customers = [await with_a_pass(story, marked=2) for _ in moments]

    async def strike(alice: Customer, moment: Moment) -> None:
        await _happened(story, _run_of(alice, moment[0]), moment[1])
        await story.system.kill_workers()
        async with one_at_a_time:
            if not story.system.workers:
                await story.system.start_worker()

    strikes = [asyncio.create_task(strike(*it)) for it in zip(customers, moments, strict=True)]
    try:
        await asyncio.gather(*(_walk(alice) for alice in customers))
        await asyncio.wait_for(asyncio.gather(*strikes), 30)
    finally:
        for task in strikes:
            task.cancel()


async def _moments(story: Story) -> list[Moment]:
    """Walk once without a fault, and return every event that there was."""
    alice = await with_a_pass(story, marked=2)
    await _walk(alice)
    found: list[Moment] = []
    for which in ("change", "teardown"):
        history = await (await story.handle(_run_of(alice, which))).fetch_history()
        found += [(which, event.event_id) for event in history.events]
    return found


@scenario(32, sample=SQLITE)
async def at_three_events_of_a_golden_history(story: Story) -> None:
    """Three customers of one worker: each one's event kills it for all."""
    await _killed_at(story, [("change", 12), ("change", 36), ("teardown", 6)])


async def _struck(story: Story, lane: Lane, which: str, number: int) -> None:
    """A walk of its own for this event: the worker is killed as soon as it stands in the history, once."""
    alice = await with_a_pass(story, marked=2)
    alice.api_url = lane.api_url
    async with asyncio.TaskGroup() as side_by_side:
        side_by_side.create_task(_walk(alice))
        await _happened(story, _run_of(alice, which), number)
        await lane.restart_worker()

    async def ended() -> bool:
        return not await story.is_running(alice.run)

    await eventually(ended, f"the run to end that was struck at event {number} of the {which}")
    alice.api_url = story.system.api_url  # the lane's ends before all is judged


@scenario(32)
async def at_each_event_of_a_golden_history(story: Story) -> None:
    """One walk and one kill for each event, some side by side, each with a worker that is its own."""
    story.watch = Watch(story.system, every_seconds=1)
    left = await _moments(story)
    failed = []

    async def walk(lane: Lane) -> None:
        while left:
            which, number = left.pop()
            try:
                await _struck(story, lane, which, number)
            except* (AssertionError, TimeoutError, RuntimeError) as errors:
                failed.append(f"event {number} of the {which}: {errors.exceptions}")

    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(Lane(story.system, it)) for it in range(LANES)]
        async with asyncio.TaskGroup() as side_by_side:
            for lane in lanes:
                side_by_side.create_task(walk(lane))
    assert not failed, "; ".join(failed)
