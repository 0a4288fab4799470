"""Work that waits for an operator: recorded once, decided once, and what a skipped deletion costs."""

from datetime import datetime
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from changeover.domain.teardown import STEPS, Step
from changeover.hosts import HostRefused
from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import House, run
from tests.storage.rows import MINUTE, T0, Rented, add_free_addresses, rows_of, snapshot
from workflows.messages import HostOrder, HostWork, Settled, Skip, TeardownOrder, Trouble

AT = T0 + 30 * MINUTE
REASON = "the machine burned down"


async def condemned(house: House, marked: int = 1) -> tuple[Rented, str, str]:
    rented = await house.rent(servers=3, marked=marked)
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(20, 3 - marked))
    return rented, change_id, rented.servers[2]


async def raise_it(
    house: House,
    change_id: str,
    server_id: str | None,
    work: HostWork = HostWork.TEARDOWN,
    why: str = "away",
    at: datetime = AT,
) -> None:
    trouble = Trouble(change_id=change_id, work=work, server_id=server_id, problem=why, at=at)
    await run(house.troubles.raise_trouble, trouble)


async def settle_it(
    house: House,
    change_id: str,
    server_id: str | None,
    work: HostWork = HostWork.TEARDOWN,
    skip: Skip | None = None,
) -> bool:
    settled = Settled(
        change_id=change_id, work=work, server_id=server_id, actor="olga", at=AT + MINUTE, skip=skip
    )
    return await run(house.troubles.settle_trouble, settled)


async def walk_to(house: House, change_id: str, server_id: str, step: Step) -> TroubledHost:
    """Tear down as far as `step`, which fails."""
    host = TroubledHost(house.local)
    call = {Step.RECORD: "find", Step.VERIFY_GONE: "find", Step.DELETE_BACKUPS: "delete_backup"}
    name = call.get(step, str(step))
    if step is Step.VERIFY_GONE:
        await walk_to(house, change_id, server_id, Step.RELEASE_ADDRESS)
        return host
    host.failing[name, server_id] = HostRefused("broken", "The panel refuses.")
    with pytest.raises(ApplicationError):
        await house.tear_down(change_id, server_id, host)
    return host


async def test_a_trouble_is_raised_once(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    for why in ("away", "away still"):
        await raise_it(house, change_id, server_id, why=why)
    task = await house.task(change_id, HostWork.TEARDOWN, server_id)
    assert (task["state"], task["problem"], task["problem_since"]) == ("attention", "away", AT)
    assert (await house.change(change_id)).stage == "needs_attention"
    entries = (await house.trail(change_id))[-2:]
    assert [(it["event"], it["stage"], it["actor"]) for it in entries] == [
        ("applying", "applying", "system"),
        ("needs_attention", "needs_attention", "system"),
    ]
    assert entries[1]["data"] == {"work": "teardown", "server_id": server_id, "problem": "away"}
    assert {it["at"] for it in entries} == {AT}


async def test_a_trouble_tells_which_steps_are_done_and_which_were_skipped(house: House) -> None:
    rented, change_id, server_id = await condemned(house, marked=2)
    await house.tear_down(change_id, rented.servers[1])  # another server's steps are not told
    await walk_to(house, change_id, server_id, Step.STOP)
    trouble = Trouble(change_id=change_id, work=HostWork.TEARDOWN, server_id=server_id, problem="away", at=AT)
    first = await run(house.troubles.raise_trouble, trouble)
    assert [(it.step, it.skipped) for it in first.steps] == [("record", False)]
    await settle_it(house, change_id, server_id, skip=Skip(reason=REASON, actor="olga"))
    await walk_to(house, change_id, server_id, Step.DELETE_DATA)
    again = await run(house.troubles.raise_trouble, trouble)
    assert [(it.step, it.skipped) for it in again.steps] == [
        ("record", False),
        ("stop", True),
        ("delete_backups", False),
    ]
    rows = await rows_of(house.database, tables.receipts, server_id=server_id)
    assert {it.step: it.at for it in again.steps} == {row["step"]: row["at"] for row in rows}
    assert again.steps[1].at == AT + MINUTE


async def test_other_work_in_trouble_has_no_steps(house: House) -> None:
    change_id = await host_work(house, HostWork.LIMITS)
    trouble = Trouble(change_id=change_id, work=HostWork.LIMITS, server_id=None, problem="away", at=AT)
    assert (await run(house.troubles.raise_trouble, trouble)).steps == ()


async def test_another_try_is_decided_once_and_by_a_name(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    await raise_it(house, change_id, server_id)
    assert await settle_it(house, change_id, server_id)
    before = await snapshot(house.database)
    assert await settle_it(house, change_id, server_id)
    assert await snapshot(house.database) == before
    task = await house.task(change_id, HostWork.TEARDOWN, server_id)
    assert (task["state"], task["problem"], task["problem_since"], task["done_at"]) == (
        "pending",
        None,
        None,
        None,
    )
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["stage"], last["actor"]) == ("retried", "applying", "olga")
    assert last["at"] == AT + MINUTE
    assert last["data"] == {"work": "teardown", "server_id": server_id}
    assert await house.tear_down(change_id, server_id) == "destroyed"


async def test_the_change_needs_attention_as_long_as_one_trouble_waits(house: House) -> None:
    rented, change_id, _ = await condemned(house, marked=2)
    for server_id in rented.servers[1:]:
        await raise_it(house, change_id, server_id)
    await settle_it(house, change_id, rented.servers[1])
    assert (await house.change(change_id)).stage == "needs_attention"
    assert await house.tear_down(change_id, rented.servers[1]) == "destroyed"
    assert (await house.change(change_id)).stage == "needs_attention"
    await settle_it(house, change_id, rented.servers[2])
    assert (await house.change(change_id)).stage == "applying"
    await house.tear_down(change_id, rented.servers[2])
    assert await house.complete(change_id) == "completed"


async def test_a_change_that_waits_is_not_completed(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    await raise_it(house, change_id, server_id)
    with pytest.raises(ApplicationError):
        await house.complete(change_id)
    assert (await house.change(change_id)).stage == "needs_attention"


async def test_a_trouble_with_nothing_left_to_do_is_none(house: House) -> None:
    rented, change_id, server_id = await condemned(house)
    await house.tear_down(change_id, server_id)
    before = await snapshot(house.database)
    await raise_it(house, change_id, server_id)
    await raise_it(house, change_id, rented.servers[0])
    assert await snapshot(house.database) == before


async def test_a_trouble_of_an_unknown_change_is_refused(house: House) -> None:
    for call in (raise_it, settle_it):
        with pytest.raises(ApplicationError) as caught:
            await call(house, "none", "none")
        assert caught.value.type == "Unauthorised"


async def test_is_a_teardown_done(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    order = TeardownOrder(change_id=change_id, server_id=server_id)
    assert not await run(house.troubles.teardown_is_done, order)
    await raise_it(house, change_id, server_id)
    assert not await run(house.troubles.teardown_is_done, order)
    await settle_it(house, change_id, server_id)
    await house.tear_down(change_id, server_id)
    assert await run(house.troubles.teardown_is_done, order)


async def skip_step(house: House, step: Step, evidence: str | None) -> tuple[Rented, str, str, str]:
    """Have `step` fail, skip it, and finish without it."""
    rented, change_id, server_id = await condemned(house)
    host = await walk_to(house, change_id, server_id, step)
    if step is Step.VERIFY_GONE:
        everything = {Step.RECORD, Step.STOP, Step.DELETE_BACKUPS, Step.DELETE_DATA, Step.VERIFY_GONE}
        assert set(await house.receipts(change_id, server_id)) == everything
    await raise_it(house, change_id, server_id, why="The panel refuses.")
    again = await settle_it(
        house, change_id, server_id, skip=Skip(reason=REASON, evidence=evidence, actor="olga")
    )
    assert again
    assert host.failing or step is Step.VERIFY_GONE
    return rented, change_id, server_id, rented.addresses[2]


@pytest.mark.parametrize("evidence", [None, "ticket 4711: disk shredded"])
@pytest.mark.parametrize("step", [Step.RECORD, Step.STOP, Step.DELETE_BACKUPS, Step.DELETE_DATA])
async def test_a_skipped_step_is_said_to_be_skipped(house: House, step: Step, evidence: str | None) -> None:
    _, change_id, server_id, _ = await skip_step(house, step, evidence)
    receipt = (await house.receipts(change_id, server_id))[str(step)]
    assert receipt == {"skipped": True, "reason": REASON, "evidence": evidence, "by": "olga"}
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["actor"]) == ("skipped", "olga")
    assert last["data"] == {
        "work": "teardown",
        "server_id": server_id,
        "reason": REASON,
        "evidence": evidence,
        "step": str(step),
    }


@pytest.mark.parametrize("step", [Step.RECORD, Step.STOP])
async def test_what_deletes_nothing_may_be_skipped_without_evidence(house: House, step: Step) -> None:
    rented, change_id, server_id, address = await skip_step(house, step, None)
    assert await house.tear_down(change_id, server_id) == "destroyed"
    row = await house.address_row(address)
    assert (row["server_id"], row["held"]) == (None, False)
    assert await house.found(server_id) is None
    assert await house.complete(change_id) == "completed"
    assert (await house.found(rented.servers[0])) is not None


@pytest.mark.parametrize("step", [Step.DELETE_DATA, Step.RELEASE_ADDRESS])
async def test_a_deletion_skipped_with_evidence_frees_the_address(house: House, step: Step) -> None:
    _, change_id, server_id, address = await skip_step(house, step, "ticket 4711")
    await house.local.delete_data(server_id)  # the operator's own deletion
    assert await house.tear_down(change_id, server_id) == "destroyed"
    row = await house.address_row(address)
    assert (row["server_id"], row["held"]) == (None, False)
    assert row["free_from"] > T0
    assert await house.complete(change_id) == "completed"


async def skip_until_done(house: House, change_id: str, server_id: str, host: TroubledHost) -> None:
    """Skip, without evidence, whatever still fails."""
    for _ in STEPS:
        try:
            await house.tear_down(change_id, server_id, host)
            return
        except ApplicationError:
            await raise_it(house, change_id, server_id)
            await settle_it(house, change_id, server_id, skip=Skip(reason=REASON, actor="olga"))
    assert await house.tear_down(change_id, server_id, host) == "destroyed"


@pytest.mark.parametrize("step", [Step.DELETE_BACKUPS, Step.DELETE_DATA, Step.RELEASE_ADDRESS])
async def test_a_deletion_skipped_without_evidence_holds_the_address_for_good(
    house: House, step: Step
) -> None:
    _, change_id, server_id, address = await skip_step(house, step, None)
    host = TroubledHost(house.local)
    if step is Step.DELETE_DATA:
        host.failing["delete_data", server_id] = HostRefused("broken", "The panel refuses.")
    await skip_until_done(house, change_id, server_id, host)
    row = await house.address_row(address)
    assert (row["server_id"], row["held"], row["free_from"]) == (server_id, True, None)
    task = await house.task(change_id, HostWork.TEARDOWN, server_id)
    assert (task["state"], task["address_held"]) == ("done", True)
    if step is not Step.RELEASE_ADDRESS:
        receipt = (await house.receipts(change_id, server_id))["release_address"]
        assert receipt == {
            "address": address,
            "released": False,
            "why": "a deletion was skipped without evidence",
        }
    assert "release_address" not in host.destructive
    assert (await house.server_row(server_id))["state"] == "destroyed"
    assert await house.complete(change_id) == "completed"
    await house.tear_down(change_id, server_id)
    assert (await house.address_row(address))["server_id"] == server_id


@pytest.mark.parametrize("evidence", [None, "ticket 4711"])
async def test_a_server_that_stands_after_a_skipped_deletion_needs_an_operator_at_once(
    house: House, evidence: str | None
) -> None:
    """It doesn't go by itself: six hours of tries would only keep the operator from going on."""
    _, change_id, server_id, _ = await skip_step(house, Step.DELETE_DATA, evidence)
    with pytest.raises(ApplicationError, match=r"still has the server.*delete it on the host") as refused:
        await house.tear_down(change_id, server_id)
    assert (refused.value.type, refused.value.non_retryable) == ("HostRefused", True)
    await house.local.delete_data(server_id)  # the operator's own deletion
    assert await house.tear_down(change_id, server_id) == "destroyed"


async def test_what_is_skipped_for_one_server_holds_no_other_servers_address(house: House) -> None:
    rented, change_id, server_id = await condemned(house, marked=2)
    host = await walk_to(house, change_id, server_id, Step.DELETE_DATA)
    await raise_it(house, change_id, server_id)
    other = await house.task(change_id, HostWork.TEARDOWN, rented.servers[1])
    assert (other["state"], other["problem"]) == ("pending", None)
    await settle_it(house, change_id, server_id, skip=Skip(reason=REASON, actor="olga"))
    await skip_until_done(house, change_id, server_id, host)
    assert await house.tear_down(change_id, rented.servers[1]) == "destroyed"
    rows = [await house.address_row(address) for address in rented.addresses[1:]]
    assert [(row["server_id"], row["held"]) for row in rows] == [(None, False), (server_id, True)]


async def test_another_try_for_one_server_is_none_for_another(house: House) -> None:
    rented, change_id, server_id = await condemned(house, marked=2)
    for each in rented.servers[1:]:
        await raise_it(house, change_id, each, why=f"away: {each}")
    await settle_it(house, change_id, server_id)
    other = await house.task(change_id, HostWork.TEARDOWN, rented.servers[1])
    assert (other["state"], other["problem"]) == ("attention", f"away: {rented.servers[1]}")


async def test_every_step_skipped_still_comes_to_an_end(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    host = TroubledHost(house.local)
    for name in ("find", "stop", "delete_backup", "delete_data", "release_address"):
        host.failing[name, "any"] = HostRefused("broken", "The panel refuses.")
    await skip_until_done(house, change_id, server_id, host)
    receipts = await house.receipts(change_id, server_id)
    assert len(receipts) == 6
    assert await house.found(server_id) is not None
    assert (await house.task(change_id, HostWork.TEARDOWN, server_id))["state"] == "done"
    assert await house.complete(change_id) == "completed"


async def test_a_skip_after_the_last_step_adds_nothing(house: House) -> None:
    """The last step was done by a late worker while the operator decided."""
    _, change_id, server_id = await condemned(house)
    await walk_to(house, change_id, server_id, Step.RELEASE_ADDRESS)
    await raise_it(house, change_id, server_id)
    assert await house.tear_down(change_id, server_id) == "destroyed"
    receipts = await house.receipts(change_id, server_id)
    assert await settle_it(house, change_id, server_id, skip=Skip(reason=REASON, actor="olga"))
    assert await house.receipts(change_id, server_id) == receipts
    assert (await house.task(change_id, HostWork.TEARDOWN, server_id))["state"] == "done"
    assert (await house.change(change_id)).stage == "needs_attention"
    assert await house.complete(change_id) == "completed"


async def test_a_skip_with_every_step_behind_it_adds_nothing_and_is_gone_on_from(house: House) -> None:
    """The last step was skipped, and the worker failed before it could say that the server is gone."""
    _, change_id, server_id, address = await skip_step(house, Step.RELEASE_ADDRESS, "ticket 4711")
    receipts = await house.receipts(change_id, server_id)
    assert sorted(receipts) == sorted(STEPS)
    await raise_it(house, change_id, server_id)
    assert await settle_it(house, change_id, server_id, skip=Skip(reason=REASON, actor="olga"))
    assert await house.receipts(change_id, server_id) == receipts
    assert (await house.trail(change_id))[-1]["data"]["step"] is None
    assert await house.tear_down(change_id, server_id) == "destroyed"
    row = await house.address_row(address)
    assert (row["server_id"], row["held"]) == (None, False)


async def host_work(house: House, work: HostWork) -> str:
    rented = await house.rent()
    await house.put_on_host(rented)
    await add_free_addresses(house.database, 2)
    wanted = rented.wants(20, 5) if work is HostWork.CREATE else rented.wants(24)
    return await house.committed(rented, wanted)


@pytest.mark.parametrize("work", [HostWork.CREATE, HostWork.LIMITS])
async def test_other_work_is_skipped_for_all_servers_at_once(house: House, work: HostWork) -> None:
    change_id = await host_work(house, work)
    await raise_it(house, change_id, None, work)
    skip = Skip(reason=REASON, actor="olga")
    assert not await settle_it(house, change_id, None, work, skip)
    assert not await settle_it(house, change_id, None, work, skip)
    rows = await rows_of(house.database, tables.tasks, change_id=change_id, kind=str(work))
    assert {(row["state"], row["done_at"]) for row in rows} == {("skipped", AT + MINUTE)}
    states: set[Any] = {row["state"] for row in await rows_of(house.database, tables.servers)}
    assert states == {"active"}
    assert (await house.events(change_id)).count("skipped") == 1
    assert await house.complete(change_id) == "completed"


@pytest.mark.parametrize("work", [HostWork.CREATE, HostWork.LIMITS])
async def test_a_trouble_raised_late_again_holds_nothing_up(house: House, work: HostWork) -> None:
    """An attempt to record it that Temporal had given up, and that commits after the operator's decision."""
    change_id = await host_work(house, work)
    await raise_it(house, change_id, None, work)
    await settle_it(house, change_id, None, work)
    await raise_it(house, change_id, None, work)
    activity = {HostWork.CREATE: house.servers.create_servers, HostWork.LIMITS: house.servers.apply_limits}
    await run(activity[work], HostOrder(change_id=change_id))
    assert await house.complete(change_id) == "completed"


async def test_a_decision_recorded_late_again_decides_nothing_about_a_later_trouble(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    skip = Skip(reason=REASON, actor="olga")
    await walk_to(house, change_id, server_id, Step.STOP)
    await raise_it(house, change_id, server_id)
    await settle_it(house, change_id, server_id, skip=skip)
    await raise_it(house, change_id, server_id, at=AT + 2 * MINUTE)
    await settle_it(house, change_id, server_id, skip=skip)
    receipts = await house.receipts(change_id, server_id)
    assert [step for step, evidence in receipts.items() if evidence.get("skipped")] == ["stop"]
    assert (await house.task(change_id, HostWork.TEARDOWN, server_id))["state"] == "attention"


async def test_what_was_done_before_is_neither_troubled_nor_skipped(house: House) -> None:
    change_id = await host_work(house, HostWork.CREATE)
    (first, second) = await rows_of(house.database, tables.servers, created_by=change_id)
    host = TroubledHost(house.local)
    host.failing["create", second["id"]] = HostRefused("full", "The machine is full.")
    with pytest.raises(ApplicationError):
        await run(house.servers_on(host).create_servers, HostOrder(change_id=change_id))
    await raise_it(house, change_id, None, HostWork.CREATE)
    assert (await house.task(change_id, HostWork.CREATE, first["id"]))["state"] == "done"
    assert (await house.task(change_id, HostWork.CREATE, second["id"]))["state"] == "attention"
    await settle_it(house, change_id, None, HostWork.CREATE)
    await house.create(change_id)
    assert (await house.task(change_id, HostWork.CREATE, second["id"]))["state"] == "done"
