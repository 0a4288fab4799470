"""Fault 32: the longest path of a change, and the worker killed at each event of its histories."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from temporalio.service import RPCError

from tests.faults.matrix import scenario
from tests.faults.scenarios.common import with_a_pass
from tests.faults.story import WRONG, Customer, Story, problem
from tests.faults.system import SQLITE
from workflows import ids

AT_ONCE = 5
"""Customers side by side, each of whose events kills the worker of all."""

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


def _in_turn(moments: list[Moment], size: int) -> Iterator[list[Moment]]:
    """Give batches whose moments lie far apart, so that each is a kill of its own."""
    stride = -(-len(moments) // size)
    for first in range(stride):
        yield moments[first::stride]


@scenario(32, sample=SQLITE)
async def at_three_events_of_a_golden_history(story: Story) -> None:
    await _killed_at(story, [("change", 12), ("change", 36), ("teardown", 6)])


@scenario(32)
async def at_each_event_of_a_golden_history(story: Story) -> None:
    for batch in _in_turn(await _moments(story), AT_ONCE):
        await _killed_at(story, batch)
