"""A worker that froze and wakes up after its work was done elsewhere does nothing more (I4)."""

import asyncio
import json

import pytest

from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import House, run
from tests.storage.rows import DAY, T0, rows_of, set_values, snapshot
from workflows.messages import HostOrder

CALLS = ["find", "stop", "delete_backup", "delete_data", "release_address"]


@pytest.mark.parametrize("call", CALLS)
async def test_a_late_worker_releases_nothing_that_was_given_on(house: House, call: str) -> None:
    rented = await house.rent(marked=1)
    await house.put_on_host(rented)
    server_id, address = rented.servers[2], rented.addresses[2]
    change_id = await house.committed(rented, rented.wants(24, 2))
    frozen = TroubledHost(house.local)
    frozen.frozen = {call}
    late = asyncio.create_task(house.tear_down(change_id, server_id, frozen))
    await asyncio.wait_for(frozen.reached.wait(), 10)

    assert await house.tear_down(change_id, server_id) == "destroyed"
    await set_values(house.database, tables.addresses, address, free_from=T0 - DAY)  # rested
    bruno = await house.rent(name="bruno", servers=1)
    second = await house.committed(bruno, bruno.wants(20, 2))
    (new,) = await rows_of(house.database, tables.servers, created_by=second)
    await house.create(second)
    assert new["address"] == address
    before = await snapshot(house.database)
    on_host = await house.found(new["id"])

    frozen.thawed.set()
    assert await late == "destroyed"
    assert await snapshot(house.database) == before
    assert (await house.address_row(address))["server_id"] == new["id"]
    assert await house.found(new["id"]) == on_host is not None


async def test_a_late_worker_leaves_the_limits_of_a_later_change(house: House) -> None:
    rented = await house.rent(servers=2)
    await house.put_on_host(rented)
    first = await house.committed(rented, rented.wants(24, 2))
    frozen = TroubledHost(house.local)
    frozen.frozen = {"apply_limits"}
    late = asyncio.create_task(run(house.servers_on(frozen).apply_limits, HostOrder(change_id=first)))
    await asyncio.wait_for(frozen.reached.wait(), 10)

    await run(house.servers.apply_limits, HostOrder(change_id=first))
    assert await house.complete(first) == "completed"
    await set_values(house.database, tables.services, rented.service_id, last_committed_at=None)
    second = await house.committed(rented, rented.wants(32, 2))
    await run(house.servers.apply_limits, HostOrder(change_id=second))

    frozen.thawed.set()
    await late
    for server_id in rented.servers:
        settings = json.loads((house.host_root / server_id / "server.json").read_text())
        assert settings["limits"]["slots"] == 32


async def test_two_workers_at_once_destroy_once(house: House) -> None:
    rented = await house.rent(marked=1)
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(24, 2))
    outcomes = await asyncio.gather(
        *(house.tear_down(change_id, rented.servers[2]) for _ in range(4)), return_exceptions=True
    )
    assert "destroyed" in outcomes
    assert await house.tear_down(change_id, rented.servers[2]) == "destroyed"
    events = await house.events(change_id)
    assert len([event for event in events if event.startswith("teardown_")]) == 5
    assert events.count("server_destroyed") == 1
    assert len(await rows_of(house.database, tables.receipts)) == 6
