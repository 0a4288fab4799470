"""What comes at an unlucky moment: before the run has opened, or while another answer is worked out."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from temporalio.client import WorkflowUpdateFailedError

from changeover.domain import problems
from changeover.domain.lifecycle import AbandonReason
from tests.workflows.system import no_patience_with_the_database
from tests.workflows.world import World, send
from workflows.messages import Abandon, CancelChange, HostOrder, Judgement, ResendCode, TeardownNews
from workflows.plan_change import PlanChange
from workflows.refusals import as_failure, problem_in

T = TypeVar("T")


async def before_it_opens(world: World, update: object, order: object) -> BaseException | None:
    """Send an update to a run that hasn't opened its change yet; return what it was refused with."""
    await world.stop_workers()
    sending = asyncio.create_task(send(world.run_of_service(), update, order))
    await asyncio.sleep(0.2)
    await world.start_workers()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await sending
    return refused.value.cause


async def test_asking_for_a_code_before_the_run_has_opened_is_refused_when_it_has(world: World) -> None:
    await world.arrives()
    await world.stop_workers()
    request = await world.start_run("early")
    cause = await before_it_opens(world, PlanChange.resend_code, ResendCode(change_id=request.change_id))
    assert problem_in(cause) == problems.ResendTooSoon(retry_after=60)


async def test_an_update_for_another_change_before_the_run_has_opened_is_refused_when_it_has(
    world: World,
) -> None:
    await world.arrives()
    await world.stop_workers()
    await world.start_run("early")
    cause = await before_it_opens(world, PlanChange.cancel, CancelChange(change_id="another"))
    assert problem_in(cause) == problems.NotFound(what="plan change")


async def test_news_of_a_teardown_before_the_run_has_opened_are_kept(world: World) -> None:
    await world.arrives()
    await world.stop_workers()
    await world.start_run("early")
    news = TeardownNews(server_id="s", problem="the host is away")
    await world.run_of_service().signal(PlanChange.teardown_news, news)
    await world.start_workers()

    async def opened() -> bool:
        return bool(await world.table("plan_changes"))

    await world.until(opened, "the change")
    status = await world.run_of_service().query(PlanChange.status)
    assert status.troubles == {"teardown of s": "the host is away"}


async def while_it_is_given_up(world: World, change_id: str, call: Coroutine[Any, Any, T]) -> T:
    """Make the call while a cancellation of the change holds its lock, and return its answer."""
    world.database.hangs = True
    cancelling = asyncio.create_task(
        send(world.run_of_service(), PlanChange.cancel, CancelChange(change_id=change_id))
    )
    await world.began("abandon_change")  # it holds the lock
    calling = asyncio.create_task(call)
    await asyncio.sleep(0.3)
    world.database.hangs = False
    assert (await cancelling).reason == "cancelled"
    return await calling


async def test_asking_for_a_code_while_the_change_is_given_up_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_the_database(monkeypatch)
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.forward(seconds=61)
    resend = send(world.run_of_service(), PlanChange.resend_code, ResendCode(change_id=asked.id))
    assert await while_it_is_given_up(world, asked.id, resend) == 1
    await world.ends(asked.id, "abandoned", "cancelled")
    assert len(world.post.sent) == 1


async def test_a_code_typed_while_the_change_is_given_up_is_not_judged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_the_database(monkeypatch)
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    answer = await while_it_is_given_up(world, asked.id, world.submit(asked.id, code))
    assert (answer.judgement, answer.reason) == (Judgement.MOOT, "cancelled")
    await world.ends(asked.id, "abandoned", "cancelled")


async def test_a_change_closed_behind_the_runs_back_ends_with_the_recorded_outcome(world: World) -> None:
    await world.arrives()
    world.post.hold_mails()
    asked = await world.ask()
    await world.post.reached()
    order = Abandon(change_id=asked.id, reason=AbandonReason.CANCELLED, actor="olga", at=datetime.now(UTC))
    await world.temporal.client.execute_activity(
        "abandon_change",
        order,
        id=f"repair-{asked.id}",
        task_queue=world.settings.task_queue,
        start_to_close_timeout=timedelta(seconds=20),
    )
    world.post.release()
    await world.settled()
    await world.forward(minutes=61)
    await world.ends(asked.id, "abandoned", "cancelled")
    assert len(world.post.sent) == 1  # the mail that was on its way; no outcome mail


@pytest.mark.parametrize("activity", ["create_servers", "apply_limits"])
async def test_host_work_of_a_change_that_is_not_committed_touches_nothing(
    world: World, activity: str
) -> None:
    await world.arrives()
    asked = await world.ask(servers=4)
    await world.mailed(asked.id)
    with pytest.raises(Exception, match="failed"):
        await world.temporal.client.execute_activity(
            activity,
            HostOrder(change_id=asked.id),
            id=f"forged-{asked.id}",
            task_queue=world.settings.task_queue,
            start_to_close_timeout=timedelta(seconds=20),
        )
    assert world.host.calls == []


def test_a_refusal_travels_through_a_failure_and_another_failure_is_none() -> None:
    refusal = problems.ResendTooSoon(retry_after=5)
    assert problem_in(as_failure(refusal)) == refusal
    assert problem_in(ValueError("no problem of ours")) is None
    assert problem_in(None) is None
