"""The main paths, each driven the same way for the stored histories and for the comparison with them."""

import shutil
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowHistory

from changeover.domain import problems
from changeover.hosts import HostRefused
from changeover.mail import MailDeferred
from starter.operations import Operations
from tests.workflows.faults import Fault
from tests.workflows.reconciling import begin
from tests.workflows.system import no_patience_with_hosts
from tests.workflows.world import World, send, wrong_code
from workflows import ids, policies
from workflows.messages import EvidenceOutcome, Retry, Skip
from workflows.server_teardown import ServerTeardown

Scenario = Callable[[World], Awaitable[WorkflowHandle[Any, Any]]]


async def completed(world: World) -> WorkflowHandle[Any, Any]:
    """A teardown and new limits."""
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=24)
    await world.mailed(asked.id)
    await world.run_heard("activity_task_completed")
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    return world.run_of_service()


async def teardown(world: World) -> WorkflowHandle[Any, Any]:
    await completed(world)
    return world.teardown(2)


async def refused(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    with pytest.raises(problems.NothingChanges):
        await world.ask(slots=20)
    return world.run_of_service()


async def expired(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.forward(minutes=61)
    await world.ends(asked.id, "abandoned", "window-over")
    return world.run_of_service()


async def wrong_codes_and_resend(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    for number in range(5):
        with pytest.raises(problems.CodeWrong):
            await world.type_code(asked.id, wrong_code(number))
    await world.forward(seconds=61)
    await world.starter.resend_code(world.me.account_id, asked.id)
    await world.type_code(asked.id, await world.mailed(asked.id, 2))
    await world.ends(asked.id, "completed")
    return world.run_of_service()


async def cancelled(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.settled()
    await world.starter.cancel(world.me.account_id, asked.id)
    await world.ends(asked.id, "abandoned", "cancelled")
    return world.run_of_service()


async def stale(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    await world.alter_service(recurring_payment_active=True)
    with pytest.raises(problems.ChangeClosed):
        await world.type_code(asked.id, code)
    await world.ends(asked.id, "abandoned", "stale")
    return world.run_of_service()


async def needs_attention_and_retry(world: World) -> WorkflowHandle[Any, Any]:
    await _troubled(world)
    return world.run_of_service()


async def teardown_and_retry(world: World) -> WorkflowHandle[Any, Any]:
    await _troubled(world)
    return world.teardown(2)


async def _troubled(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=20)
    world.host.faults = [Fault(call="stop", error=HostRefused("locked", "the server is locked"))]
    await world.confirm(asked.id)
    await world.waits_for_an_operator(world.run_of_service())
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry(change_id=asked.id, actor="olga"))
    await world.ends(asked.id, "completed")


async def outcome_mail(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.broken = MailDeferred(server="mail.example:25", stage="data", code=450)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "OUTCOME_MAIL_AT_ONCE", timedelta(seconds=0.3))
        await world.type_code(asked.id, code)
        await world.ends(asked.id, "completed")
    world.post.broken = None
    handle = world.temporal.client.get_workflow_handle(ids.outcome_mail_workflow_id(asked.id))
    await handle.result()
    return handle


async def outcome_mail_under_way(world: World) -> WorkflowHandle[Any, Any]:
    """A mail that takes longer than its change's run waits for it."""
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.hold_mails()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "OUTCOME_MAIL_AT_ONCE", timedelta(seconds=0.3))
        patch.setattr(policies, "OUTCOME_MAIL_UNDER_WAY", timedelta(seconds=1))
        await world.type_code(asked.id, code)
        await world.ends(asked.id, "completed")
    world.post.release()
    handle = world.temporal.client.get_workflow_handle(ids.outcome_mail_workflow_id(asked.id))
    await handle.result()
    return handle


async def outcome_mail_leaves(world: World) -> WorkflowHandle[Any, Any]:
    await outcome_mail(world)
    return world.run_of_service()


async def forgotten(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives(days=-1)
    operations = Operations(world.settings, world.temporal.client)
    assert (await operations.forget(world.me.account_id, actor="olga")).at is not None
    await operations.close()
    return world.temporal.client.get_workflow_handle(ids.forget_workflow_id(world.me.account_id))


async def evidence(world: World) -> WorkflowHandle[Any, Any]:
    """A deletion that was skipped, and evidence of it later."""
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    world.host.faults = [Fault(call="delete_data", error=HostRefused("locked", "the data is locked"))]
    with pytest.MonkeyPatch.context() as patch:
        no_patience_with_hosts(patch)
        await world.confirm(asked.id)
        for times in (1, 2):  # the deletion, and then the look whether it is gone
            await world.happened(asked.id, "needs_attention", times)
            await world.waits_for_an_operator(world.teardown(2))
            await send(world.teardown(2), ServerTeardown.skip, Skip(reason="no time"))
        await world.ends(asked.id, "completed")
    server_id = world.me.server_ids[2]
    shutil.rmtree(world.host_dir / server_id)
    operations = Operations(world.settings, world.temporal.client)
    given = await operations.evidence(server_id, "shredded", actor="olga")
    await operations.close()
    assert given.outcome is EvidenceOutcome.RECORDED
    return world.temporal.client.get_workflow_handle(ids.evidence_workflow_id(server_id))


async def reconcile(world: World) -> WorkflowHandle[Any, Any]:
    """A look that finds something for people."""
    await world.arrives()
    (world.host_dir / "7c1d8a52-6e7e-4a55-9f0e-2f6a4f6f0001" / "data").mkdir(parents=True)
    look = await begin(world)
    assert (await look.result()).needs_attention
    return look


async def reconcile_in_order(world: World) -> WorkflowHandle[Any, Any]:
    await world.arrives()
    look = await begin(world)
    assert not (await look.result()).needs_attention
    return look


SCENARIOS: Mapping[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        completed,
        teardown,
        refused,
        expired,
        wrong_codes_and_resend,
        cancelled,
        stale,
        needs_attention_and_retry,
        teardown_and_retry,
        outcome_mail,
        outcome_mail_under_way,
        outcome_mail_leaves,
        forgotten,
        evidence,
        reconcile,
        reconcile_in_order,
    )
}


async def history_of(world: World, name: str) -> WorkflowHistory:
    """Drive the scenario, and return the history of the run that it is about."""
    return await (await SCENARIOS[name](world)).fetch_history()
