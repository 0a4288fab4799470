"""Requests that a rule refuses: the run completes as `rejected`, and nothing changes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import update
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from changeover.domain import problems
from changeover.domain.catalogue import Configuration
from changeover.domain.lifecycle import Stage
from changeover.domain.problems import Problem
from changeover.storage.tables import addresses
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.world import World
from workflows import search_attributes
from workflows.messages import ChangeRequest, ChangeResult
from workflows.plan_change import PlanChange


async def _as_it_is(world: World) -> None:
    pass


async def _mark_one(world: World) -> None:
    await world.mark(0)


async def _give_everything_away(world: World) -> None:
    await world.load_catalogue(
        lambda offers: offers.update({"cs2-eco": replace(offers["cs2-eco"], per_slot=0)})
    )


async def _empty_the_pool(world: World) -> None:
    await world.execute(update(addresses).values(held=True))


@dataclass(frozen=True, kw_only=True)
class Case:
    refusal: type[Problem]
    figures: dict[str, Any] = field(default_factory=dict)
    situation: dict[str, Any] = field(default_factory=dict)
    before: Callable[[World], Awaitable[None]] = _as_it_is
    asked: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case(refusal=problems.ServiceExpired, situation={"days": -3}),
    Case(refusal=problems.RecurringPaymentActive, situation={"paypal": True}),
    Case(refusal=problems.ConfigurationInvalid, figures={"field": "slots"}, asked={"slots": 11}),
    Case(refusal=problems.ConfigurationInvalid, figures={"field": "offer"}, asked={"offer": "rust-survival"}),
    Case(refusal=problems.NothingChanges, asked={"slots": 20}),
    Case(refusal=problems.ServersNotMarked, figures={"to_mark": 1}, asked={"servers": 2}),
    Case(refusal=problems.ServersMarkedMismatch, figures={"kept": 2}, before=_mark_one),
    Case(refusal=problems.ChangeTooSoon, situation={"changed_days_ago": 7}),
    Case(
        refusal=problems.NotConvertible, before=_give_everything_away, asked={"offer": "cs2-eco", "slots": 24}
    ),
    Case(
        refusal=problems.InsufficientDays,
        figures={"required": 2, "remaining": 1},
        situation={"days": 1.05},
        asked={"slots": 24},
    ),
    Case(refusal=problems.TooManyDays, figures={"most": 3650}, situation={"days": 3000}, asked={"slots": 10}),
    Case(
        refusal=problems.NoCapacity,
        figures={"free": 0, "needed": 1},
        before=_empty_the_pool,
        asked={"servers": 4},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.refusal.code)
async def test_a_rule_refuses_and_nothing_changes(world: World, case: Case) -> None:
    await world.arrives(**case.situation)
    await case.before(world)
    before = await snapshot(world)
    with pytest.raises(case.refusal) as refused:
        await world.ask(**case.asked)
    assert refused.value.figures.items() >= case.figures.items()
    assert refused.value in refused.value.blockers
    await assert_untouched(world, before)
    (row,) = await world.table("plan_changes")
    assert (row["stage"], row["reason"]) == ("rejected", case.refusal.code)
    handle = world.run_of_service()
    assert await handle.result() == ChangeResult(
        change_id=row["id"], outcome=Stage.REJECTED, reason=case.refusal.code
    )
    assert await world.shown(handle, search_attributes.OUTCOME) == case.refusal.code
    assert world.post.attempts == 0


async def test_every_blocker_is_named_the_first_one_first(world: World) -> None:
    await world.arrives(paypal=True, changed_days_ago=7)
    with pytest.raises(problems.RecurringPaymentActive) as refused:
        await world.ask(servers=2)
    assert [blocker.code for blocker in refused.value.blockers] == [
        "recurring-payment-active",
        "servers-not-marked",
        "change-too-soon",
    ]


async def test_an_open_change_refuses_another_without_a_row(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    before = await snapshot(world)
    with pytest.raises(problems.ChangeInProgress) as refused:
        await world.ask()
    assert refused.value.plan_change_id == asked.id
    await assert_untouched(world, before)
    assert [row["id"] for row in await world.table("plan_changes")] == [asked.id]


async def test_an_old_quote_is_refused_with_the_fresh_one(world: World) -> None:
    await world.arrives()
    me = world.me
    wanted = Configuration.of("cs2-public", 24, [], 3)
    quote = await world.starter.quote(me.account_id, me.service_id, wanted)
    await world.starter.renew(me.account_id, me.service_id, 30, idempotency_key="r")
    before = await snapshot(world)
    with pytest.raises(problems.QuoteStale) as refused:
        await world.ask(digest=quote.digest)
    fresh = await world.starter.quote(me.account_id, me.service_id, wanted)
    assert refused.value.quote["digest"] == fresh.digest != quote.digest
    assert refused.value.quote["days_before"] == quote.days_before + 30
    await assert_untouched(world, before)


async def test_that_nothing_is_refunded_must_be_acknowledged(world: World) -> None:
    await world.arrives()
    before = await snapshot(world)
    with pytest.raises(problems.AcknowledgementMissing) as refused:
        await world.ask(no_refund=False)
    assert refused.value.no_refund is False
    await assert_untouched(world, before)


@pytest.mark.parametrize("named", [(), (0,), (1, 2), (2, 2)], ids=["none", "another", "one-more", "twice"])
async def test_exactly_the_servers_to_be_destroyed_must_be_acknowledged(
    world: World, named: tuple[int, ...]
) -> None:
    await world.arrives()
    await world.mark(2)
    before = await snapshot(world)
    destroys = tuple(world.me.server_ids[index] for index in named)
    with pytest.raises(problems.AcknowledgementMissing) as refused:
        await world.ask(servers=2, destroys=destroys)
    assert refused.value.destroys == [world.me.server_ids[2]]
    await assert_untouched(world, before)


async def test_the_same_key_gets_the_same_refusal_though_the_cause_is_gone(world: World) -> None:
    await world.arrives(paypal=True)
    for _ in range(2):
        with pytest.raises(problems.RecurringPaymentActive):
            await world.ask(key="one click", digest="blocked")
        await world.alter_service(recurring_payment_active=False)
    assert len(await world.table("plan_changes")) == 1


async def test_a_refused_request_leaves_the_service_free_for_the_next(world: World) -> None:
    await world.arrives()
    with pytest.raises(problems.NothingChanges):
        await world.ask(slots=20)
    asked = await world.ask()
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")


async def test_a_request_for_anothers_service_fails_and_changes_nothing(world: World) -> None:
    """The facade never sends one: it would be a defect, and says so in the Temporal UI."""
    mine, theirs = await world.arrives(), await world.arrives()
    before = await snapshot(world)
    request = ChangeRequest(
        change_id="5a5a5a5a-0000-4000-8000-000000000000",
        account_id=theirs.account_id,
        service_id=mine.service_id,
        fingerprint="f",
        configuration=Configuration.of("cs2-public", 24, [], 3),
        digest="d",
        no_refund=True,
        destroys=(),
    )
    handle = await world.temporal.client.start_workflow(
        PlanChange.run, request, id=world.run_of_service().id, task_queue=world.settings.task_queue
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "Unauthorised"
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    await assert_untouched(world, before)
    assert await world.table("plan_changes") == []
