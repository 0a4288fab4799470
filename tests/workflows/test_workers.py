"""Workers that stop and start, and runs that operators reset: nothing is lost, nothing is repeated."""

import asyncio
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.worker import PollerBehaviorAutoscaling

from changeover.domain import problems
from changeover.domain.teardown import STEPS
from tests.workflows.world import WRONG, World


async def awaiting_code(world: World) -> tuple[str, str]:
    await world.arrives(changed_days_ago=7, passes=2)
    await world.mark(2)
    asked = await world.ask(servers=2)
    return asked.id, await world.mailed(asked.id)


async def reset(world: World, *, task: int) -> None:
    """Reset the service's run to behind a workflow task (0: the first), as the Temporal UI does."""
    handle = world.run_of_service()
    history = await handle.fetch_history()
    completed = [
        event.event_id
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    await world.temporal.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=world.temporal.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=history.run_id),
            reason="an operator's wish",
            request_id=str(uuid4()),
            workflow_task_finish_event_id=completed[task],
        )
    )


async def assert_done_once(world: World, change_id: str) -> None:
    events = await world.events(change_id)
    for once in ("requested", "accepted", "code_mailed", "committed", "server_destroyed", "completed"):
        assert events.count(once) == 1, once
    assert len([it for it in await world.table("passes") if it["spent_at"]]) == 1
    assert len(await world.table("receipts")) == len(STEPS)
    row, service = await world.row(change_id), await world.service()
    assert service.expires_at == row.new_expires_at
    assert len(world.post.sent) == 2


async def test_both_queues_pollers_scale_and_are_never_fewer_than_five(world: World) -> None:
    """With the SDK's five of mails, 3,000 deadlines at once took 116 s until the last mail, not 73.

    From one, who came after a quiet second waited up to a second for the next call.
    """
    changes, mail = (worker.config() for worker in world.workers)
    for how in (
        changes["workflow_task_poller_behavior"],
        changes["activity_task_poller_behavior"],
        mail["activity_task_poller_behavior"],
    ):
        assert isinstance(how, PollerBehaviorAutoscaling)
        assert how.minimum == 5


async def test_a_deploy_between_request_and_code_loses_nothing(world: World) -> None:
    change_id, code = await awaiting_code(world)
    with pytest.raises(problems.CodeWrong):
        await world.type_code(change_id, WRONG)
    await world.restart_workers()
    with pytest.raises(problems.CodeWrong) as wrong:
        await world.type_code(change_id, "CCCC-CCCC")
    assert wrong.value.tries_left == 3
    await world.restart_workers()
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")
    await assert_done_once(world, change_id)


async def test_a_deploy_in_the_middle_of_a_teardown_goes_on_from_there(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("delete_data")
    await world.type_code(change_id, code)
    await world.host.reached("delete_data")
    stopping = asyncio.create_task(world.stop_workers())
    await asyncio.sleep(0.1)
    world.host.release()
    await stopping
    await world.start_workers()
    await world.ends(change_id, "completed")
    await assert_done_once(world, change_id)


async def test_a_request_with_no_worker_is_answered_when_one_is_back(world: World) -> None:
    await world.arrives()
    await world.stop_workers()
    asking = asyncio.create_task(world.ask())
    await asyncio.sleep(0.2)
    await world.start_workers()
    asked = await asking
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")


async def test_a_request_that_no_worker_answers_is_found_again_by_its_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.arrives()
    digest = await world.digest()
    await world.stop_workers()
    world.be_impatient(monkeypatch)
    with pytest.raises(problems.EngineUnavailable):
        await world.ask(key="one click", digest=digest)
    monkeypatch.undo()
    await world.start_workers()
    asked = await world.ask(key="one click", digest=digest)
    assert len(await world.table("plan_changes")) == 1
    assert asked.stage == "awaiting_code"


@pytest.mark.parametrize("task", [0, 1, -1])
async def test_a_reset_before_the_commit_repeats_nothing(world: World, task: int) -> None:
    change_id, code = await awaiting_code(world)
    with pytest.raises(problems.CodeWrong):
        await world.type_code(change_id, WRONG)
    await reset(world, task=task)
    with pytest.raises(problems.CodeWrong) as wrong:
        await world.type_code(change_id, "CCCC-CCCC")
    assert wrong.value.tries_left == 3
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")
    await assert_done_once(world, change_id)


@pytest.mark.parametrize("task", [0, 1, -1])
async def test_a_reset_after_the_commit_repeats_nothing(world: World, task: int) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("delete_data")
    await world.type_code(change_id, code)
    await world.host.reached("delete_data")
    await reset(world, task=task)
    world.host.release()
    await world.ends(change_id, "completed")
    await assert_done_once(world, change_id)


@pytest.mark.parametrize("task", [0, 1, -1])
async def test_a_reset_after_the_end_repeats_nothing(world: World, task: int) -> None:
    change_id, code = await awaiting_code(world)
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")
    await reset(world, task=task)
    await world.ends(change_id, "completed")
    await assert_done_once(world, change_id)
