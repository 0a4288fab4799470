"""Work that waits for an operator: recorded once, and decided once."""

import pytest
from temporalio.exceptions import ApplicationError

from changeover.domain.teardown import Step
from changeover.hosts import HostRefused
from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import House, run
from tests.activities.troubled import AT, REASON, condemned, host_work, raise_it, settle_it, walk_to
from tests.storage.rows import MINUTE, rows_of, snapshot
from workflows.messages import HostOrder, HostWork, Skip, TeardownOrder, Trouble


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


async def test_another_try_for_one_server_is_none_for_another(house: House) -> None:
    rented, change_id, server_id = await condemned(house, marked=2)
    for each in rented.servers[1:]:
        await raise_it(house, change_id, each, why=f"away: {each}")
    await settle_it(house, change_id, server_id)
    other = await house.task(change_id, HostWork.TEARDOWN, rented.servers[1])
    assert (other["state"], other["problem"]) == ("attention", f"away: {rented.servers[1]}")


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
