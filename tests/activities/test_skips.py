"""What an operator skips: it is said, it proves nothing, and what an unproved deletion costs."""

from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from changeover.domain.teardown import STEPS, Step
from changeover.hosts import HostRefused
from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import House
from tests.activities.troubled import AT, REASON, condemned, host_work, raise_it, settle_it, walk_to
from tests.storage.rows import MINUTE, T0, Rented, rows_of
from workflows.messages import HostWork, Skip


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
