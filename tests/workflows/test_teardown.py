"""The destruction of a server as a run of its own."""

import asyncio
from uuid import uuid4

import pytest

from changeover.domain.teardown import STEPS
from changeover.hosts import HostUnavailable
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.faults import Fault
from tests.workflows.test_attention import LOCKED
from tests.workflows.world import World, send
from workflows import ids, search_attributes
from workflows.messages import Retry, TeardownOrder, TeardownResult
from workflows.server_teardown import ServerTeardown

AWAY = HostUnavailable("host-away", "the host is away")


async def committed(world: World, held: str) -> str:
    """Confirm a change that destroys the third server, hold the host at a call; return the change's id."""
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=20)
    world.host.hold(held)
    await world.confirm(asked.id)
    await world.host.reached(held)
    return asked.id


async def order_teardown(world: World, change_id: str, index: int) -> TeardownResult:
    server_id = world.me.server_ids[index]
    return await world.temporal.client.execute_workflow(
        ServerTeardown.run,
        TeardownOrder(change_id=change_id, server_id=server_id),
        id=ids.teardown_workflow_id(server_id),
        task_queue=world.settings.task_queue,
    )


async def test_a_forged_order_destroys_nothing(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    await world.mailed(asked.id)
    before = await snapshot(world)
    for change_id in (asked.id, str(uuid4())):  # not committed; unknown
        result = await order_teardown(world, change_id, 2)
        assert result == TeardownResult(server_id=world.me.server_ids[2], outcome="refused")
    await assert_untouched(world, before)


async def test_a_committed_change_destroys_no_server_that_it_does_not_name(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=20)
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    before, world.host.calls = await snapshot(world), []
    assert (await order_teardown(world, asked.id, 0)).outcome == "refused"
    await assert_untouched(world, before)


async def test_an_order_that_was_done_already_touches_nothing(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=20)
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    before, world.host.calls = await snapshot(world), []
    assert (await order_teardown(world, asked.id, 2)).outcome == "destroyed"
    await assert_untouched(world, before)


@pytest.mark.parametrize("call", ["stop", "delete_backup", "delete_data", "release_address"])
async def test_a_host_that_fails_for_a_while_is_tried_again(world: World, call: str) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=20)
    world.host.faults = [Fault(call=call, error=AWAY, times=1)]
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    assert "needs_attention" not in await world.events(asked.id)
    assert [it["step"] for it in sorted(await world.table("receipts"), key=lambda it: it["at"])] == list(
        STEPS
    )


async def test_a_terminated_teardown_is_started_again_by_its_change(world: World) -> None:
    change_id = await committed(world, "delete_data")
    await world.teardown(2).terminate("an operator's mistake")
    world.host.release()
    await world.ends(change_id, "completed")
    assert await world.server_states() == ["active", "active", "destroyed"]
    assert (await world.events(change_id)).count("server_destroyed") == 1


async def test_a_teardown_terminated_while_it_waits_leaves_no_trouble_behind(world: World) -> None:
    change_id = await committed(world, "stop")
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    world.host.release()
    await world.waits_for_an_operator(world.run_of_service())
    world.host.faults = []
    await world.teardown(2).terminate("an operator's mistake")
    await world.ends(change_id, "completed")
    assert await world.shown(world.run_of_service(), search_attributes.NEEDS_ATTENTION) is False
    assert "**needs attention**" not in await world.details(world.run_of_service())


async def test_a_teardown_cancelled_in_the_temporal_ui_is_still_done(world: World) -> None:
    change_id = await committed(world, "stop")
    await world.teardown(2).cancel()
    world.host.release()
    row = await world.reaches(change_id, "completed", "needs_attention")
    if row.stage == "needs_attention":
        await world.waits_for_an_operator(world.teardown(2))
        await send(world.teardown(2), ServerTeardown.retry, Retry())
    await world.ends(change_id, "completed")
    assert world.files(2) == []


async def test_a_teardown_whose_change_run_is_gone_goes_on(world: World) -> None:
    change_id = await committed(world, "stop")
    await world.run_of_service().terminate("an operator's mistake")
    world.host.release()
    assert (await world.teardown(2).result()).outcome == "destroyed"
    assert (await world.row(change_id)).stage == "applying"


async def test_a_teardown_whose_change_run_is_gone_waits_for_an_operator_alone(world: World) -> None:
    change_id = await committed(world, "stop")
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    await world.run_of_service().terminate("an operator's mistake")
    world.host.release()
    await world.reaches(change_id, "needs_attention")
    await world.waits_for_an_operator(world.teardown(2))
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry())
    assert (await world.teardown(2).result()).outcome == "destroyed"


async def test_an_operators_own_order_of_a_teardown_tells_nobody(world: World) -> None:
    change_id = await committed(world, "stop")
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    await world.run_of_service().terminate("an operator's mistake")
    await world.teardown(2).terminate("another")
    world.host.release()
    ordered = asyncio.create_task(order_teardown(world, change_id, 2))
    await world.reaches(change_id, "needs_attention")
    await world.waits_for_an_operator(world.teardown(2))
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry())
    assert (await ordered).outcome == "destroyed"
