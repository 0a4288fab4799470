"""What a change costs Temporal, to the event: see docs/decisions, "What a change costs Temporal".

Each scenario waits where a race would decide how many workflow tasks share their news, so that the figures
are exact. An event more is a decision: change the figure and the page together.
"""

import pytest

from changeover.domain import problems
from changeover.domain.problems import RequestInvalid
from tests.workflows.costs import (
    EXPIRED,
    PER_SERVER,
    REFUSED,
    TEARDOWN,
    WHOLE_CHANGE,
    WRONG_CODE,
    Cost,
    cost_of,
    cost_of_run,
    kinds_of,
)
from tests.workflows.world import World, wrong_code


def within(cost: Cost, budget: Cost) -> None:
    """Events, tasks and actions are exact; bytes are at most the budget's: ids and dates vary in length."""
    assert (cost.events, cost.tasks, cost.actions) == (budget.events, budget.tasks, budget.actions)
    assert cost.size <= budget.size


async def requested(world: World, servers: int = 3) -> str:
    """Request a change, and wait until its run has heard that the code was mailed."""
    asked = await world.ask(servers=servers)
    await world.mailed(asked.id)
    await world.run_heard("activity_task_completed")
    return asked.id


async def test_a_whole_change_costs_what_it_may(world: World) -> None:
    await world.arrives()
    change_id = await requested(world)
    await world.confirm(change_id)
    await world.ends(change_id, "completed")
    within(await cost_of_run(world.run_of_service()), WHOLE_CHANGE)


async def test_a_server_torn_down_costs_what_it_may(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    change_id = await requested(world, servers=2)
    world.host.hold("apply_limits")
    world.host.hold("stop")
    await world.confirm(change_id)
    await world.run_heard("child_workflow_execution_started")
    world.host.release("apply_limits")
    await world.run_heard("activity_task_completed", times=2)
    world.host.release()
    await world.ends(change_id, "completed")
    cost = await cost_of_run(world.run_of_service())
    both = Cost(
        events=WHOLE_CHANGE.events + PER_SERVER.events,
        tasks=WHOLE_CHANGE.tasks + PER_SERVER.tasks,
        actions=WHOLE_CHANGE.actions,  # the child's start is counted with the child
        size=WHOLE_CHANGE.size + PER_SERVER.size,
    )
    within(cost, both)
    within(await cost_of_run(world.teardown(2)), TEARDOWN)


async def test_many_servers_cost_what_one_does_each(world: World) -> None:
    await world.arrives(servers=5)
    await world.mark(1, 2, 3)
    change_id = await requested(world, servers=2)
    await world.confirm(change_id)
    await world.ends(change_id, "completed")
    cost = await cost_of_run(world.run_of_service())
    assert cost.decided == WHOLE_CHANGE.decided + 3 * PER_SERVER.decided
    assert cost.tasks <= WHOLE_CHANGE.tasks + 3 * PER_SERVER.tasks  # fewer when news come together


async def test_a_refusal_costs_what_it_may(world: World) -> None:
    await world.arrives()
    with pytest.raises(problems.NothingChanges):
        await world.ask(slots=20)
    await world.run_of_service().result()
    within(await cost_of_run(world.run_of_service()), REFUSED)


async def test_a_window_that_ends_costs_what_it_may(world: World) -> None:
    await world.arrives()
    change_id = await requested(world)
    await world.forward(minutes=61)
    await world.ends(change_id, "abandoned", "window-over")
    within(await cost_of_run(world.run_of_service()), EXPIRED)


async def test_a_wrong_code_adds_what_it_may_and_a_malformed_one_nothing(world: World) -> None:
    await world.arrives()
    change_id = await requested(world)
    before = await world.run_of_service().fetch_history()
    with pytest.raises(RequestInvalid):
        await world.type_code(change_id, "AEIOU")
    assert kinds_of(await world.run_of_service().fetch_history()) == kinds_of(before)
    with pytest.raises(problems.CodeWrong):
        await world.type_code(change_id, wrong_code(0))
    earlier, later = cost_of(before), await cost_of_run(world.run_of_service())
    added = Cost(
        events=later.events - earlier.events,
        tasks=later.tasks - earlier.tasks,
        actions=later.actions - earlier.actions,
        size=later.size - earlier.size,
    )
    within(added, WRONG_CODE)
