"""Work on hosts that keeps failing: it waits for an operator, says so everywhere, and goes on from there."""

from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from changeover.domain.teardown import STEPS
from changeover.hosts import HostRefused, HostUnavailable
from tests.workflows.faults import Fault
from tests.workflows.system import little_patience_with_hosts, no_patience_with_hosts
from tests.workflows.world import World, send
from workflows import search_attributes
from workflows.messages import Retry, Skip
from workflows.plan_change import PlanChange
from workflows.server_teardown import ServerTeardown

AWAY = HostUnavailable("host-away", "the host is away")
LOCKED = HostRefused("backup-locked", "a backup is locked: unlock it on the host")


async def troubled(world: World, fault: Fault, *, servers: int = 2, marks: tuple[int, ...] = (2,)) -> str:
    """Confirm a change that meets the fault, and wait until it needs attention; return its id."""
    await world.arrives()
    await world.mark(*marks)
    asked = await world.ask(servers=servers, slots=24)
    world.host.faults = [fault]
    await world.confirm(asked.id)
    await world.reaches(asked.id, "needs_attention")
    return asked.id


async def refusal(handle: WorkflowHandle[Any, Any], update: Any, order: Retry | Skip) -> str | None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await send(handle, update, order)
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type


async def test_a_host_away_for_hours_shows_everywhere_that_it_needs_attention(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    little_patience_with_hosts(monkeypatch)
    change_id = await troubled(world, Fault(call="delete_data", error=AWAY))
    (task,) = [it for it in await world.table("tasks") if it["kind"] == "teardown"]
    assert task["state"] == "attention"
    assert {it["step"] for it in await world.table("receipts")} == {"record", "stop", "delete_backups"}
    assert "the host is away" in task["problem"]
    assert task["problem_since"] is not None
    for handle in (world.run_of_service(), world.teardown(2)):
        await world.waits_for_an_operator(handle)
        assert await world.shown(handle, search_attributes.STAGE) == "needs_attention"
        details = await world.details(handle)
        assert "needs attention" in details
        assert "the host is away" in details
        assert "`retry`" in details
    status = await world.run_of_service().query(PlanChange.status)
    assert list(status.troubles) == [f"teardown of {world.me.server_ids[2]}"]
    assert "the host is away" in status.troubles[f"teardown of {world.me.server_ids[2]}"]
    assert (await world.row(change_id)).stage == "needs_attention"
    assert (await world.view(change_id)).outcome == "committed"


async def test_a_retry_goes_on_from_the_step_that_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_hosts(monkeypatch)
    change_id = await troubled(world, Fault(call="delete_data", error=AWAY))
    await world.waits_for_an_operator(world.teardown(2))
    world.host.faults, world.host.calls = [], []
    decided = await send(world.teardown(2), ServerTeardown.retry, Retry(actor="olga"))
    assert decided == ["teardown"]
    await world.ends(change_id, "completed")
    assert "delete_backup" not in [call for call, _ in world.host.calls]
    assert world.files(2) == []
    assert [it["actor"] for it in await world.table("trail") if it["event"] == "retried"] == ["olga"]
    handle = world.run_of_service()
    assert await world.shown(handle, search_attributes.NEEDS_ATTENTION) is False
    assert (await world.table("tasks"))[-1]["problem"] is None


async def test_a_retry_that_fails_again_needs_attention_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_hosts(monkeypatch)
    change_id = await troubled(world, Fault(call="stop", error=AWAY))
    for times in (2, 3):
        await world.waits_for_an_operator(world.teardown(2))
        await send(world.teardown(2), ServerTeardown.retry, Retry())
        await world.happened(change_id, "needs_attention", times)
    await world.waits_for_an_operator(world.teardown(2))
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry())
    await world.ends(change_id, "completed")


async def address_of(world: World, index: int) -> dict[str, Any]:
    """Return the pool's row of the address that a server has, or had."""
    (server,) = [it for it in await world.table("servers") if it["id"] == world.me.server_ids[index]]
    (address,) = [it for it in await world.table("addresses") if it["address"] == server["address"]]
    return address


async def test_what_a_host_refuses_needs_attention_at_once(world: World) -> None:
    await troubled(world, Fault(call="delete_backup", error=LOCKED))
    (task,) = [it for it in await world.table("tasks") if it["kind"] == "teardown"]
    assert LOCKED.message in task["problem"]
    assert [call for call, _ in world.host.calls].count("delete_backup") == 1
    assert "delete_data" not in [call for call, _ in world.host.calls]
    assert (await address_of(world, 2))["server_id"] == world.me.server_ids[2]


@pytest.mark.parametrize("call", ["delete_backup", "delete_data"])
async def test_a_deletion_skipped_with_evidence_releases_the_address(world: World, call: str) -> None:
    change_id = await troubled(world, Fault(call=call, error=LOCKED))
    await world.waits_for_an_operator(world.teardown(2))
    world.host.lose(world.me.server_ids[2])
    skip = Skip(reason="the disk burnt", evidence="ticket 4711", actor="olga")
    await send(world.teardown(2), ServerTeardown.skip, skip)
    await world.ends(change_id, "completed")
    address = await address_of(world, 2)
    assert (address["server_id"], address["held"]) == (None, False)
    skipped = [it for it in await world.table("receipts") if it["evidence"].get("skipped")]
    assert [it["evidence"]["evidence"] for it in skipped] == ["ticket 4711"]
    assert {it["step"] for it in await world.table("receipts")} == set(STEPS)


async def test_a_deletion_skipped_without_evidence_holds_the_address_for_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_hosts(monkeypatch)
    change_id = await troubled(world, Fault(call="delete_data", error=LOCKED))
    await world.waits_for_an_operator(world.teardown(2))
    await send(world.teardown(2), ServerTeardown.skip, Skip(reason="no time"))
    # The data is still there: `verify_gone` finds it, and must be skipped as well.
    await world.happened(change_id, "needs_attention", 2)
    await world.waits_for_an_operator(world.teardown(2))
    await send(world.teardown(2), ServerTeardown.skip, Skip(reason="no time"))
    await world.ends(change_id, "completed")
    address = await address_of(world, 2)
    assert (address["server_id"], address["held"]) == (world.me.server_ids[2], True)
    assert "release_address" not in [call for call, _ in world.host.calls]
    assert await world.server_states() == ["active", "active", "destroyed"]


async def test_one_of_three_that_fails_leaves_the_others_done(world: World) -> None:
    await world.arrives(servers=5)
    await world.mark(0, 1, 2)
    asked = await world.ask(servers=2, slots=24)
    broken = world.me.server_ids[1]
    world.host.faults = [Fault(call="stop", error=LOCKED, server_id=broken)]
    await world.confirm(asked.id)
    await world.happened(asked.id, "server_destroyed", times=2)
    await world.reaches(asked.id, "needs_attention")
    assert await world.server_states() == ["destroyed", "destroying", "destroyed", "active", "active"]
    kept = {world.me.server_ids[3], world.me.server_ids[4]}
    destructive = {"stop", "delete_backup", "delete_data", "release_address"}
    assert not kept & {server for call, server in world.host.calls if call in destructive}
    await world.waits_for_an_operator(world.teardown(1))
    world.host.faults = []
    await send(world.teardown(1), ServerTeardown.retry, Retry())
    await world.ends(asked.id, "completed")
    assert await world.server_states() == ["destroyed"] * 3 + ["active"] * 2


WORK: dict[str, dict[str, Any]] = {
    "create": {"servers": 5, "marks": ()},
    "apply_limits": {"servers": 3, "marks": ()},
}


@pytest.mark.parametrize("call", WORK)
async def test_creation_and_limits_that_fail_are_retried_by_an_operator(world: World, call: str) -> None:
    change_id = await troubled(world, Fault(call=call, error=LOCKED), **WORK[call])
    handle = world.run_of_service()
    await world.waits_for_an_operator(handle)
    world.host.faults = []
    (decided,) = await send(handle, PlanChange.retry, Retry())
    assert decided == {"create": "Create 2 server(s)", "apply_limits": "Apply new limits"}[call]
    await world.ends(change_id, "completed")
    assert {it["state"] for it in await world.table("tasks")} == {"done"}
    assert {it["state"] for it in await world.table("servers")} == {"active"}


@pytest.mark.parametrize("call", WORK)
async def test_creation_and_limits_that_fail_are_skipped_by_an_operator(world: World, call: str) -> None:
    change_id = await troubled(world, Fault(call=call, error=LOCKED), **WORK[call])
    handle = world.run_of_service()
    await world.waits_for_an_operator(handle)
    await send(handle, PlanChange.skip, Skip(reason="made by hand", actor="olga"))
    await world.ends(change_id, "completed")
    assert "skipped" in {it["state"] for it in await world.table("tasks")}
    assert {it["state"] for it in await world.table("servers")} == {"active"}
    (skipped,) = [it for it in await world.table("trail") if it["event"] == "skipped"]
    assert (skipped["actor"], skipped["data"]["reason"]) == ("olga", "made by hand")


async def test_nothing_can_be_decided_where_nothing_waits(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    world.host.hold("stop")
    await world.confirm(asked.id)
    await world.host.reached("stop")
    orders: list[tuple[Any, Retry | Skip]] = [
        (PlanChange.retry, Retry()),
        (PlanChange.skip, Skip(reason="why not")),
    ]
    for update, order in orders:
        assert await refusal(world.run_of_service(), update, order) == "nothing-waits"
    assert await refusal(world.teardown(2), ServerTeardown.retry, Retry()) == "nothing-waits"
    assert await refusal(world.teardown(2), ServerTeardown.skip, Skip(reason="x")) == "nothing-waits"
    world.host.release()
    await world.ends(asked.id, "completed")


async def test_one_trouble_is_decided_once_however_long_that_takes_to_record(world: World) -> None:
    """A second order would be kept, and skip a later step that nobody has looked at."""
    change_id = await troubled(world, Fault(call="stop", error=LOCKED))
    teardown = world.teardown(2)
    await world.waits_for_an_operator(teardown)
    world.host.faults = [Fault(call="delete_data", error=LOCKED)]
    world.database.away = 6
    await send(teardown, ServerTeardown.skip, Skip(reason="the machine is off"))
    again = Skip(reason="pressed again")
    assert await refusal(teardown, ServerTeardown.skip, again) == "nothing-waits"
    await world.happened(change_id, "needs_attention", 2)
    await world.waits_for_an_operator(teardown)
    skipped = [it["data"] for it in await world.table("trail") if it["event"] == "skipped"]
    assert [(it["step"], it["reason"]) for it in skipped] == [("stop", "the machine is off")]


@pytest.mark.parametrize("reason", ["", "  \n"])
async def test_a_skip_needs_a_reason(world: World, reason: str) -> None:
    change_id = await troubled(world, Fault(call="stop", error=LOCKED))
    await world.waits_for_an_operator(world.teardown(2))
    assert await refusal(world.teardown(2), ServerTeardown.skip, Skip(reason=reason)) == "reason-missing"
    assert (await world.row(change_id)).stage == "needs_attention"


async def test_two_works_that_fail_are_decided_at_once(world: World) -> None:
    await world.arrives()
    asked = await world.ask(servers=5, slots=24)
    world.host.faults = [Fault(call="create", error=LOCKED), Fault(call="apply_limits", error=LOCKED)]
    await world.confirm(asked.id)
    await world.happened(asked.id, "needs_attention", times=2)

    async def both_wait() -> bool:
        return len((await world.run_of_service().query(PlanChange.status)).troubles) == 2

    await world.until(both_wait, "both to wait")
    world.host.faults = []
    decided = await send(world.run_of_service(), PlanChange.retry, Retry())
    assert decided == ["Apply new limits", "Create 2 server(s)"]
    await world.ends(asked.id, "completed")
