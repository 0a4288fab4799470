"""Changes that are given up: by the customer, by an operator, in the Temporal UI."""

import pytest
from temporalio.client import WorkflowUpdateFailedError

from changeover.domain import problems
from changeover.domain.lifecycle import Stage
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.world import World, send
from workflows.messages import Answer, CancelChange
from workflows.plan_change import PlanChange
from workflows.refusals import problem_in


async def asked(world: World) -> str:
    await world.arrives()
    await world.mark(2)
    requested = await world.ask(servers=2)
    await world.mailed(requested.id)
    return requested.id


async def actor_of(world: World, change_id: str, event: str) -> str:
    (entry,) = [
        it for it in await world.table("trail") if (it["change_id"], it["event"]) == (change_id, event)
    ]
    return str(entry["actor"])


async def test_the_customer_gives_a_change_up_and_gets_no_mail(world: World) -> None:
    change_id = await asked(world)
    before = await snapshot(world)
    for _ in range(2):
        view = await world.starter.cancel(world.me.account_id, change_id)
        assert (view.stage, view.reason) == ("abandoned", "cancelled")
    await world.ends(change_id, "abandoned", "cancelled")
    assert await actor_of(world, change_id, "abandoned") == "customer"
    assert world.post.attempts == 1
    await assert_untouched(world, before)


async def test_an_operator_gives_a_change_up_by_name(world: World) -> None:
    change_id = await asked(world)
    before = await snapshot(world)
    order = CancelChange(change_id=change_id, actor="olga")
    answer = await send(world.run_of_service(), PlanChange.cancel, order)
    assert answer == Answer(stage=Stage.ABANDONED, reason="cancelled")
    await world.ends(change_id, "abandoned", "cancelled")
    assert await actor_of(world, change_id, "abandoned") == "olga"
    await assert_untouched(world, before)


async def test_a_code_after_the_cancellation_commits_nothing(world: World) -> None:
    change_id = await asked(world)
    await world.starter.cancel(world.me.account_id, change_id)
    before = await snapshot(world)
    with pytest.raises(problems.ChangeClosed) as closed:
        await world.confirm(change_id)
    assert (closed.value.outcome, closed.value.reason) == ("abandoned", "cancelled")
    await assert_untouched(world, before)


async def test_a_committed_change_cannot_be_given_up(world: World) -> None:
    change_id = await asked(world)
    await world.confirm(change_id)
    with pytest.raises(problems.ChangeClosed) as closed:
        await world.starter.cancel(world.me.account_id, change_id)
    assert closed.value.outcome in {"committed", "completed"}
    await world.ends(change_id, "completed")


async def test_an_operator_cannot_give_up_what_is_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_id = await asked(world)
    world.host.hold("apply_limits")
    await world.confirm(change_id)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await send(world.run_of_service(), PlanChange.cancel, CancelChange(change_id=change_id))
    assert problem_in(refused.value.cause) == problems.ChangeClosed(outcome="committed")
    world.host.release()
    await world.ends(change_id, "completed")


async def test_a_run_cancelled_in_the_temporal_ui_gives_the_change_up(world: World) -> None:
    change_id = await asked(world)
    before = await snapshot(world)
    await world.run_of_service().cancel()
    await world.ends(change_id, "abandoned", "cancelled")
    assert await actor_of(world, change_id, "abandoned") == "operator"
    await assert_untouched(world, before)


async def test_a_run_cancelled_after_the_commit_goes_on_to_its_end(world: World) -> None:
    change_id = await asked(world)
    world.host.hold("delete_data")
    await world.confirm(change_id)
    await world.host.reached("delete_data")
    for _ in range(2):
        await world.run_of_service().cancel()
    world.host.release()
    await world.ends(change_id, "completed")
    assert await world.server_states() == ["active", "active", "destroyed"]


async def test_a_run_cancelled_before_it_began_gives_the_change_up(world: World) -> None:
    await world.arrives()
    before = await snapshot(world)
    await world.stop_workers()
    await world.start_run("early")
    await world.run_of_service().cancel()
    await world.start_workers()
    (result,) = [await world.run_of_service().result()]
    assert (result.outcome, result.reason) == (Stage.ABANDONED, "cancelled")
    await assert_untouched(world, before)
    assert world.post.sent == []
