"""`temporal workflow terminate` on any run, at any stage: the next look leaves nothing stuck."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import (
    Client,
    Interceptor,
    ListWorkflowsInput,
    OutboundInterceptor,
    WorkflowExecutionAsyncIterator,
)
from temporalio.common import RetryPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities import reconcile as reconcile_activities
from activities import reconcile_runs
from activities.reconcile_runs import Runs, Seen
from activities.state import abandon, locked_change
from changeover.domain import problems
from changeover.domain.lifecycle import AbandonReason
from changeover.mail import MailDeferred
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.faults import Fault
from tests.workflows.reconciling import begin, findings, healed, nothing_is_young, reconcile
from tests.workflows.test_attention import LOCKED
from tests.workflows.test_orphans import MISTAKE, awaiting_code
from tests.workflows.world import World, send
from workflows import ids, policies, search_attributes
from workflows.messages import Retry
from workflows.reconciler import CHECKS
from workflows.server_teardown import ServerTeardown


@pytest.fixture(autouse=True)
def _old(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_is_young(monkeypatch)


async def actors(world: World, change_id: str, event: str) -> list[str]:
    entries = await world.table("trail")
    return [it["actor"] for it in entries if (it["change_id"], it["event"]) == (change_id, event)]


async def close_behind_its_run(world: World, change_id: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        change = await locked_change(connection, change_id)
        await abandon(connection, change, AbandonReason.CANCELLED, datetime.now(UTC), actor="olga")

    await world.database.write(work)


async def test_a_system_in_order_has_no_findings(world: World) -> None:
    await awaiting_code(world)
    before = await snapshot(world)
    assert findings(await reconcile(world)) == []
    await assert_untouched(world, before)
    assert await world.table("findings") == []
    assert await world.is_running()


@pytest.mark.parametrize("mailed", [False, True], ids=["before the mail", "after the mail"])
async def test_what_awaited_its_code_is_abandoned(world: World, mailed: bool) -> None:
    await world.arrives()
    await world.mark(2)
    if not mailed:
        world.post.hold_mails()
    asked = await world.ask(servers=2)
    code = await world.mailed(asked.id) if mailed else "BBBB-BBBB"
    before = await snapshot(world)
    await world.run_of_service().terminate(MISTAKE)
    dry = await reconcile(world, dry_run=True)
    assert [(it.certain, it.healed) for it in findings(dry)] == [(True, False)]
    assert (await world.row(asked.id)).stage == "awaiting_code"
    assert await world.table("findings") == []
    assert healed(await reconcile(world)) == [("change-without-run", asked.id)]
    world.post.release()
    row = await world.row(asked.id)
    assert (row.stage, row.reason) == ("abandoned", "interrupted")
    assert await actors(world, asked.id, "abandoned") == ["reconciler"]
    await assert_untouched(world, before)
    with pytest.raises(problems.ChangeClosed):
        await world.type_code(asked.id, code)
    (noted,) = await world.table("findings")
    assert (noted["kind"], noted["healed_by"]) == ("change-without-run", "reconciler")
    assert findings(await reconcile(world)) == []
    following = await world.ask(servers=2, slots=22)
    await world.confirm(following.id)
    await world.ends(following.id, "completed")


async def test_what_is_young_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    change_id, code = await awaiting_code(world)
    await world.run_of_service().terminate(MISTAKE)
    assert findings(await reconcile(world)) == []
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")


async def test_what_was_committed_is_taken_up_again(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("apply_limits")
    world.host.hold("stop")
    await world.type_code(change_id, code)
    await world.host.reached("stop")
    await world.run_of_service().terminate(MISTAKE)
    await world.teardown(2).terminate(MISTAKE)
    assert healed(await reconcile(world)) == [("change-without-run", change_id)]
    world.host.release()
    await world.ends(change_id, "completed")
    assert await world.server_states() == ["active", "active", "destroyed"]
    assert await actors(world, change_id, "resumed") == ["reconciler"]
    events = await world.events(change_id)
    assert [events.count(it) for it in ("committed", "server_destroyed", "outcome_mailed")] == [1, 1, 1]


async def test_what_waits_for_an_operator_goes_on_waiting(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    await world.type_code(change_id, code)
    await world.reaches(change_id, "needs_attention")
    await world.waits_for_an_operator(world.teardown(2))
    await world.run_of_service().terminate(MISTAKE)
    await world.teardown(2).terminate(MISTAKE)
    assert healed(await reconcile(world)) == [("change-without-run", change_id)]
    await world.waits_for_an_operator(world.teardown(2))
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry(actor="olga"))
    await world.ends(change_id, "completed")


async def test_a_teardown_that_its_change_only_watches_is_started_again(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("stop")
    await world.type_code(change_id, code)
    await world.host.reached("stop")
    await world.run_of_service().terminate(MISTAKE)
    await reconcile(world)
    await world.looked_at_teardown()
    await world.teardown(2).terminate(MISTAKE)

    async def found() -> list[tuple[str, str]]:
        return healed(await reconcile(world))

    # The change's own run has a moment to restart a child of its own.
    assert await world.until(found, "the teardown") == [("teardown-without-run", world.me.server_ids[2])]
    world.host.release()
    await world.ends(change_id, "completed")
    assert (await world.events(change_id)).count("server_destroyed") == 1


async def test_a_teardown_that_was_terminated_alone_is_restarted_by_its_change(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("stop")
    await world.type_code(change_id, code)
    await world.host.reached("stop")
    await world.teardown(2).terminate(MISTAKE)
    await reconcile(world)
    world.host.release()
    await world.ends(change_id, "completed")
    assert (await world.events(change_id)).count("server_destroyed") == 1


async def test_an_outcome_mail_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "OUTCOME_MAIL_AT_ONCE", timedelta(seconds=0.3))
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.broken = MailDeferred(server="mail.example:25", stage="data", code=450)
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    mail = world.temporal.client.get_workflow_handle(ids.outcome_mail_workflow_id(asked.id))
    assert findings(await reconcile(world)) == []
    await mail.terminate(MISTAKE)
    world.post.broken = None
    assert healed(await reconcile(world)) == [("outcome-mail-without-run", asked.id)]
    await world.happened(asked.id, "outcome_mailed")
    assert findings(await reconcile(world)) == []
    assert len(world.post.sent) == 2


async def test_a_run_ended_between_its_commit_and_its_mail_still_tells_the_customer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "OUTCOME_MAIL_AT_ONCE", timedelta(seconds=30))
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.hold_mails()
    await world.type_code(asked.id, code)
    await world.reaches(asked.id, "completed")
    assert findings(await reconcile(world)) == []
    await world.run_of_service().terminate(MISTAKE)
    assert healed(await reconcile(world)) == [("outcome-mail-without-run", asked.id)]
    world.post.release()
    await world.happened(asked.id, "outcome_mailed")


async def test_an_outcome_mail_that_was_given_up_is_left_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("OUTCOME_MAIL_AT_ONCE", "OUTCOME_MAIL_PATIENCE"):
        monkeypatch.setattr(policies, patience, timedelta(seconds=0.3))
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.broken = MailDeferred(server="mail.example:25", stage="data", code=450)
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    mail = world.temporal.client.get_workflow_handle(ids.outcome_mail_workflow_id(asked.id))
    assert await mail.result() is False
    monkeypatch.undo()
    nothing_is_young(monkeypatch)
    assert findings(await reconcile(world)) == []


async def test_a_run_that_does_not_end_with_its_change_is_told_and_not_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_runs, "LATE", timedelta(0))
    monkeypatch.setattr(reconcile_runs, "YOUNG", timedelta(hours=1))  # it is not told to look
    change_id, _ = await awaiting_code(world)
    await close_behind_its_run(world, change_id)

    async def found() -> list[tuple[str, str, bool]]:
        return [(it.kind, it.subject, it.certain) for it in findings(await reconcile(world))]

    async def found_nothing() -> bool:
        return not await found()

    expected = [("run-without-open-change", world.me.service_id, False)]
    assert await world.until(found, "the list of runs") == expected
    assert await world.is_running()
    assert [it["healed_at"] for it in await world.table("findings")] == [None]
    await world.run_of_service().terminate("as the runbook says")
    await world.until(found_nothing, "the list of runs")
    assert [it["healed_by"] for it in await world.table("findings")] == ["others"]


async def test_running_changes_are_listed_a_batch_at_a_time(world: World) -> None:
    pages: list[int] = []

    class Listening(OutboundInterceptor):
        def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:  # noqa: A002
            pages.append(input.page_size)
            return super().list_workflows(input)

    class Listener(Interceptor):
        def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002
            return Listening(super().intercept_client(next))

    await awaiting_code(world)
    plain = world.temporal.client
    client = Client(plain.service_client, namespace=plain.namespace, interceptors=[Listener()])

    async def listed() -> bool:
        runs = Runs(client, world.settings.task_queue).listed("PlanChange")
        return ids.plan_change_workflow_id(world.me.service_id) in [
            it async for batch in runs for it in batch
        ]

    await world.until(listed, "the list of runs")
    assert set(pages) == {50}  # a larger page is memory that a worker never gives back


async def test_temporal_that_does_not_answer_is_not_taken_for_runs_that_are_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Runs):
        async def see(self, workflow_id: str) -> Seen:
            raise RPCError(f"no answer about {workflow_id}", RPCStatusCode.UNAVAILABLE, b"")

    monkeypatch.setattr(reconcile_activities, "Runs", Silent)
    monkeypatch.setattr(policies, "CHECK_RETRY", RetryPolicy(maximum_attempts=1))
    change_id, code = await awaiting_code(world)
    await world.run_of_service().terminate(MISTAKE)
    handle = await begin(world)
    report = await handle.result()
    assert report.needs_attention
    assert list(report.failed) == ["open changes"]
    assert "Temporal did not answer as it should (UNAVAILABLE)" in report.failed["open changes"]
    assert await world.shown(handle, search_attributes.NEEDS_ATTENTION) is True
    details = await world.details(handle)
    assert "could not be checked" in details
    assert "the page `reconciler.md`" in details
    assert set(report.checks) == set(CHECKS) - {"open changes"}
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")
