"""Operators' orders: meant for this change, signed, and fit for the trail; or they are not taken."""

from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from changeover.hosts import HostRefused
from tests.workflows.faults import Fault
from tests.workflows.world import World, send
from workflows.messages import CancelChange, Retry, Skip
from workflows.plan_change import PlanChange
from workflows.server_teardown import ServerTeardown

LOCKED = HostRefused("locked", "the server is locked")


async def both_wait(world: World) -> str:
    """Have limits and a teardown fail, and wait until both runs need attention."""
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=24)
    world.host.faults = [Fault(call="apply_limits", error=LOCKED), Fault(call="stop", error=LOCKED)]
    await world.confirm(asked.id)
    await world.happened(asked.id, "needs_attention", times=2)
    for run in (world.run_of_service(), world.teardown(2)):
        await world.waits_for_an_operator(run)

    async def limits_wait() -> bool:
        return len((await world.run_of_service().query(PlanChange.status)).troubles) == 2

    await world.until(limits_wait, "the limits to wait")
    return asked.id


async def refusal(world: World, order: Any, of: str) -> tuple[str | None, str]:
    """Send an order to both runs, which must refuse it alike; return the failure's type and words."""
    found = set()
    for handle, workflow in ((world.run_of_service(), PlanChange), (world.teardown(2), ServerTeardown)):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await send(handle, getattr(workflow, of), order)
        assert isinstance(refused.value.cause, ApplicationError)
        found.add((refused.value.cause.type, refused.value.cause.message))
    (alike,) = found
    return alike


WRONG: dict[str, tuple[str, str, Any]] = {
    "a retry of another change": ("retry", "another-change", Retry(change_id="another")),
    "a skip of another change": ("skip", "another-change", Skip(change_id="another", reason="r")),
    "a customer": ("retry", "request-invalid", Retry(actor="Customer")),
    "a name too long": ("retry", "request-invalid", Retry(actor="o" * 61)),
    "a name with controls": ("skip", "request-invalid", Skip(actor="ol\x00ga", reason="r")),
    "an essay": ("skip", "request-invalid", Skip(reason="r" * 2001)),
    "evidence that no text is": ("skip", "request-invalid", Skip(reason="r", evidence="\x00")),
    "the reconciler's name": ("retry", "request-invalid", Retry(actor="Reconciler")),
    "an e-mail address": ("skip", "request-invalid", Skip(reason="told a.b@example.com")),
    "an e-mail address as evidence": (
        "skip",
        "request-invalid",
        Skip(reason="r", evidence="a@example.com saw it"),
    ),
    "a name that was not filled in": ("retry", "request-invalid", Retry(actor="your name")),
    "a reason that was not filled in": (
        "skip",
        "reason-missing",
        Skip(reason="why it is right to go on without it"),
    ),
    "no reason": ("skip", "reason-missing", Skip(reason=" \n")),
}


async def test_an_order_that_cannot_be_taken_is_refused_with_the_reason(world: World) -> None:
    change_id = await both_wait(world)
    for name, (update, kind, order) in WRONG.items():
        found, words = await refusal(world, order, update)
        assert found == kind, name
        if kind == "another-change":
            assert change_id in words
            assert "another" in words
    assert not {"retried", "skipped"} & set(await world.events(change_id))


@pytest.mark.parametrize("named", [True, False])
async def test_who_decided_is_in_the_trail(world: World, named: bool) -> None:
    change_id = await both_wait(world)
    world.host.faults = []
    who = "  olga   p. " if named else " "
    await send(world.run_of_service(), PlanChange.retry, Retry(change_id=change_id, actor=who))
    skip = Skip(change_id=change_id, reason="stopped by hand", actor=who)
    await send(world.teardown(2), ServerTeardown.skip, skip)
    await world.ends(change_id, "completed")
    decided = {
        it["event"]: it["actor"]
        for it in await world.table("trail")
        if it["actor"] not in {"system", "customer"}
    }
    assert decided == dict.fromkeys(("retried", "skipped"), "olga p." if named else "operator")


async def test_a_name_the_trail_cannot_keep_gives_nothing_up(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    with pytest.raises(WorkflowUpdateFailedError):
        await send(
            world.run_of_service(), PlanChange.cancel, CancelChange(change_id=asked.id, actor="x" * 61)
        )
    await send(world.run_of_service(), PlanChange.cancel, CancelChange(change_id=asked.id, actor=""))
    await world.ends(asked.id, "abandoned", "cancelled")
    (entry,) = [it for it in await world.table("trail") if it["event"] == "abandoned"]
    assert entry["actor"] == "operator"
