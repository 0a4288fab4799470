"""Mails that are refused, deferred, never handed over: none of it confirms anything or holds up anything."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import RetryPolicy

from changeover.domain.confirmation import CodePolicy
from changeover.mail import MailDeferred, MailMisconfigured, MailRejected, OutgoingMail
from changeover.settings import Settings
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.faults import FOR_EVER
from tests.workflows.world import World
from workflows import ids, policies
from workflows.messages import SendCode, SendOutcome
from workflows.outcome_mail import OutcomeMail

RELEASED_AT_ONCE = policies.OUTCOME_MAIL_AT_ONCE
"""As it is shipped: tests shorten it."""
SERVER = "mail.example:25"
REJECTED = MailRejected(server=SERVER, stage="recipient", code=550)
DEFERRED = MailDeferred(server=SERVER, stage="recipient", code=450)
MISCONFIGURED = MailMisconfigured(server=SERVER, stage="auth", code=535)


def outcome_mail(world: World, change_id: str) -> WorkflowHandle[Any, bool]:
    workflow_id = ids.outcome_mail_workflow_id(change_id)
    return world.temporal.client.get_workflow_handle_for(OutcomeMail.run, workflow_id)


async def test_a_refused_address_ends_the_change_without_another_mail(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    before = await snapshot(world)
    world.post.faults = [REJECTED]
    asked = await world.ask(servers=2)
    await world.ends(asked.id, "abandoned", "mail-refused")
    assert (world.post.attempts, world.post.sent) == (1, [])
    await assert_untouched(world, before)


async def test_a_refused_second_mail_ends_the_change_too(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.forward(seconds=61)
    world.post.faults = [REJECTED]
    await world.starter.resend_code(world.me.account_id, asked.id)
    await world.ends(asked.id, "abandoned", "mail-refused")
    assert len(world.post.sent) == 1


async def test_a_deferred_mail_is_sent_once_and_its_code_is_valid_from_then(world: World) -> None:
    await world.arrives()
    world.post.faults = [DEFERRED]
    asked = await world.ask()
    assert asked.code_expires_at is None
    view = await world.confirm(asked.id)
    assert len(world.mailed_codes(asked.id)) == 1
    assert view.code_number == 1
    await world.ends(asked.id, "completed")


async def test_a_mail_whose_answer_is_lost_is_sent_again_with_the_same_code(world: World) -> None:
    await world.arrives()
    world.post.lost = [DEFERRED]
    asked = await world.ask()
    await world.mailed(asked.id)
    first, second = world.post.sent
    assert first.message_id == second.message_id
    assert len(set(world.mailed_codes(asked.id))) == 1
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")


@pytest.mark.parametrize("trouble", [DEFERRED, MISCONFIGURED], ids=["deferred", "misconfigured"])
async def test_a_mail_never_handed_over_ends_the_change_with_its_window(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: MailDeferred | MailMisconfigured
) -> None:
    short = CodePolicy(window=timedelta(seconds=2))
    monkeypatch.setattr(Settings, "code_policy", property(lambda _: short))
    await world.restart_workers()
    await world.arrives()
    before = await snapshot(world)
    world.post.broken = trouble
    asked = await world.ask()
    row = await world.ends(asked.id, "abandoned", "window-over")
    assert row.code_handed_over_at is None
    assert world.post.sent == []
    await assert_untouched(world, before)


async def test_a_code_that_is_not_the_current_one_any_more_is_not_mailed(world: World) -> None:
    """The order of an activity that was frozen, run when another code is the current one."""
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.forward(seconds=61)
    await world.starter.resend_code(world.me.account_id, asked.id)
    await world.mailed(asked.id, 2)
    mailed = await world.temporal.client.execute_activity(
        "send_code",
        SendCode(change_id=asked.id, number=1),
        id=f"late-{asked.id}",
        task_queue=ids.mail_queue(world.settings.task_queue),
        start_to_close_timeout=timedelta(seconds=20),
    )
    assert mailed == {"handover": "moot", "at": None}
    assert len(world.post.sent) == 2


async def test_a_failing_outcome_mail_leaves_the_run_and_is_sent_later(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.broken = DEFERRED
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    assert len(world.post.sent) == 1
    world.post.broken = None
    assert await outcome_mail(world, asked.id).result() is True
    assert len(world.post.sent) == 2
    assert (await world.events(asked.id))[-1] == "outcome_mailed"


def lose_the_database_after_each_mail(world: World, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let so many writes fail once a mail was taken; reads go on, as on a full disk."""
    send = world.post.send

    async def send_and_lose(mail: OutgoingMail) -> None:
        await send(mail)
        world.database.away = writes

    monkeypatch.setattr(world.post, "send", send_and_lose)


async def test_a_code_whose_hand_over_could_not_be_recorded_is_mailed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.arrives()
    lose_the_database_after_each_mail(world, monkeypatch, writes=2)
    asked = await world.ask()
    await world.type_code(asked.id, await world.mailed(asked.id))
    await world.ends(asked.id, "completed")
    assert len(world.post.sent) == 2, "the code and the outcome, each once"


@pytest.mark.parametrize("pause", [0.05, 1.0], ids=["time-for-another-attempt", "no-time-for-another"])
async def test_an_outcome_that_could_not_be_recorded_is_mailed_once_by_whichever_run(
    world: World, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    monkeypatch.setattr(policies, "MAIL_RETRY", RetryPolicy(initial_interval=timedelta(seconds=pause)))
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    lose_the_database_after_each_mail(world, monkeypatch, writes=FOR_EVER)
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    world.database.away = 0
    assert await outcome_mail(world, asked.id).result() is True
    assert len(world.post.sent) == 2, "the code and the outcome, each once"
    (noted,) = [it for it in await world.table("trail") if it["event"] == "outcome_mailed"]
    assert noted["data"] == {"kind": "completed", "taken": True}


async def test_an_outcome_that_a_run_of_its_own_is_at_already_is_left_to_it(world: World) -> None:
    """The reconciler started it, and then the change's own run was reset."""
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    began = (await world.run_of_service().describe()).start_time
    order = SendOutcome(change_id=asked.id, after=began + timedelta(hours=1))
    workflow_id = ids.outcome_mail_workflow_id(asked.id)
    await world.temporal.client.start_workflow(
        OutcomeMail.run, order, id=workflow_id, task_queue=world.settings.task_queue
    )
    world.post.broken = DEFERRED
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    assert (await world.run_of_service().describe()).status is WorkflowExecutionStatus.COMPLETED
    world.post.broken = None
    own_run = outcome_mail(world, asked.id)
    await world.temporal.fast_forward(own_run, timedelta(hours=1))
    assert await own_run.result() is True
    assert len(world.post.sent) == 2


async def test_an_outcome_mail_that_takes_long_leaves_the_run_and_is_sent_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "OUTCOME_MAIL_UNDER_WAY", timedelta(seconds=2))
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.hold_mails()
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    world.post.release()
    assert await outcome_mail(world, asked.id).result() is True
    assert (world.post.attempts, len(world.post.sent)) == (2, 2), "the code and the outcome, each once"


async def test_an_outcome_mail_that_nobody_takes_up_leaves_the_run_and_is_sent_as_soon_as_somebody_does(
    world: World,
) -> None:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    await world.stop_workers()
    await world.start_workers(mails=False)
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    world.start_mails()
    own_run = outcome_mail(world, asked.id)
    assert await own_run.result() is True
    events = {event.event_type for event in (await own_run.fetch_history()).events}
    assert EventType.EVENT_TYPE_TIMER_STARTED not in events, "no attempt was under way"
    assert len(world.post.sent) == 2


async def test_a_new_change_works_while_the_last_ones_outcome_mail_fails(world: World) -> None:
    await world.arrives(options=("flexi_plus",))
    asked = await world.ask(options=["flexi_plus"])
    code = await world.mailed(asked.id)
    world.post.broken = DEFERRED
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    following = await world.ask(slots=22, options=["flexi_plus"])
    world.post.broken = None
    await world.confirm(following.id)
    await world.ends(following.id, "completed")
    assert await outcome_mail(world, asked.id).result() is True
    assert len([mail for mail in world.post.sent if asked.id[:8].upper() in mail.text]) == 2


async def test_an_outcome_mail_is_given_up_after_its_patience_and_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "OUTCOME_MAIL_PATIENCE", timedelta(seconds=0.5))
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.broken = DEFERRED
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    assert await outcome_mail(world, asked.id).result() is False
    assert "outcome_mailed" not in await world.events(asked.id)


async def test_a_refused_outcome_mail_is_noted_and_not_tried_again(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.post.faults = [REJECTED]
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    (noted,) = [it for it in await world.table("trail") if it["event"] == "outcome_mailed"]
    assert noted["data"] == {"kind": "completed", "taken": False}
    assert world.post.attempts == 2


def test_the_next_request_outwaits_the_last_ones_outcome_mail() -> None:
    waits = Settings.model_fields["engine_timeout_seconds"].default
    assert RELEASED_AT_ONCE.total_seconds() <= waits / 2
