"""New servers and new limits: each server once, and one that fails holds no other up."""

import asyncio
import json
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities import heartbeats as beats
from changeover.hosts import HostRefused, HostUnavailable
from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import House, run
from tests.hosts.trees import snapshot as tree_of
from tests.storage.rows import T0, Rented, add_free_addresses, rows_of, snapshot
from workflows.messages import HostOrder, HostWork, Trouble


async def growing(house: House) -> tuple[Rented, str, list[str]]:
    """Commit a change that creates two servers with options and more slots; return the new ones' ids."""
    rented = await house.rent(servers=2)
    await house.put_on_host(rented)
    await add_free_addresses(house.database, 2)
    change_id = await house.committed(rented, rented.wants(32, 4, "backups"))
    rows = await rows_of(house.database, tables.servers, created_by=change_id)
    return rented, change_id, [str(row["id"]) for row in rows]


def settings_of(house: House, server_id: str) -> Any:
    return json.loads((house.host_root / server_id / "server.json").read_text())


async def test_new_servers_are_as_they_were_confirmed(house: House) -> None:
    _, change_id, new = await growing(house)
    heartbeats: list[Any] = []
    await run(house.servers.create_servers, HostOrder(change_id=change_id), heartbeats=heartbeats)
    for server_id in new:
        row = await house.server_row(server_id)
        assert row["state"] == "active"
        settings = settings_of(house, server_id)
        assert (settings["name"], settings["address"]) == (row["name"], row["address"])
        assert (settings["game"], settings["running"]) == ("minecraft", True)
        assert settings["limits"] == {"slots": 32, "options": ["backups"]}
        task = await house.task(change_id, HostWork.CREATE, server_id)
        assert task["state"] == "done"
        assert task["done_at"] is not None
    created = [it["data"] for it in await house.trail(change_id) if it["event"] == "server_created"]
    assert {it["server_id"] for it in created} == set(new)
    assert heartbeats == [], "what takes less than a heartbeat costs none"


async def test_kept_servers_get_new_limits_and_keep_their_data(house: House) -> None:
    rented, change_id, new = await growing(house)
    data = {it: tree_of(house.host_root / it / "data") for it in rented.servers}
    await run(house.servers.apply_limits, HostOrder(change_id=change_id))
    for server_id in rented.servers:
        assert settings_of(house, server_id)["limits"] == {"slots": 32, "options": ["backups"]}
        assert (await house.task(change_id, HostWork.LIMITS, server_id))["state"] == "done"
    assert {it: tree_of(house.host_root / it / "data") for it in rented.servers} == data
    assert [await house.found(server_id) for server_id in new] == [None, None]
    assert (await house.events(change_id)).count("limits_applied") == 2


async def test_heartbeats_say_what_is_being_done_to_which_server(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "_EVERY_SECONDS", 0)
    _, change_id, _ = await growing(house)
    heartbeats: list[Any] = []
    order = HostOrder(change_id=change_id)
    await run(house.servers.create_servers, order, heartbeats=heartbeats)
    await run(house.servers.apply_limits, order, heartbeats=heartbeats)
    servers = ["create server-3", "create server-4", "limits server-1", "limits server-2"]
    assert sorted({said for said in heartbeats if said}) == servers


@pytest.mark.parametrize("work", ["create_servers", "apply_limits"])
async def test_once_done_it_is_not_done_again(house: House, work: str) -> None:
    _, change_id, _ = await growing(house)
    await run(getattr(house.servers, work), HostOrder(change_id=change_id))
    before = await snapshot(house.database)
    host = TroubledHost(house.local)
    await run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id))
    assert host.calls == []
    assert await snapshot(house.database) == before


@pytest.mark.parametrize(("work", "call"), [("create_servers", "create"), ("apply_limits", "apply_limits")])
@pytest.mark.parametrize("error", [HostUnavailable, HostRefused])
async def test_a_server_that_fails_holds_no_other_up(
    house: House, work: str, call: str, error: type[HostUnavailable] | type[HostRefused]
) -> None:
    rented, change_id, new = await growing(house)
    servers = new if call == "create" else list(rented.servers)
    kind = HostWork.CREATE if call == "create" else HostWork.LIMITS
    host = TroubledHost(house.local)
    for failing in servers:
        host.failing[call, failing] = error("no", "The machine says no.")
        break
    with pytest.raises(ApplicationError) as caught:
        await run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id))
    assert (caught.value.type, caught.value.non_retryable) == (error.__name__, error is HostRefused)
    states = [(await house.task(change_id, kind, server_id))["state"] for server_id in servers]
    assert states == ["pending", "done"]
    if call == "create":
        states = [(await house.server_row(server_id))["state"] for server_id in servers]
        assert states == ["creating", "active"], "only what is there may be used"

    host.failing.clear()
    await run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id))
    states = [(await house.task(change_id, kind, server_id))["state"] for server_id in servers]
    assert states == ["done", "done"]
    event = "server_created" if call == "create" else "limits_applied"
    assert (await house.events(change_id)).count(event) == 2


@pytest.mark.parametrize(("work", "call"), [("create_servers", "create"), ("apply_limits", "apply_limits")])
async def test_an_answer_that_was_lost_makes_no_second_server(house: House, work: str, call: str) -> None:
    _, change_id, _ = await growing(house)
    host = TroubledHost(house.local)
    host.answer_lost = {(call, 0), (call, 1)}
    with pytest.raises(ApplicationError):
        await run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id))
    on_disk = tree_of(house.host_root)
    await run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id))
    assert tree_of(house.host_root) == on_disk


@pytest.mark.parametrize("work", ["create_servers", "apply_limits"])
@pytest.mark.parametrize("stage", ["awaiting_code", "abandoned", "rejected"])
async def test_nothing_is_done_on_a_host_before_the_commit(house: House, work: str, stage: str) -> None:
    _, change_id, _ = await growing(house)
    await house.set_stage(change_id, stage)
    host = TroubledHost(house.local)
    with pytest.raises(ApplicationError) as caught:
        await run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id))
    assert (caught.value.type, caught.value.non_retryable) == ("Unauthorised", True)
    assert change_id in str(caught.value)
    assert host.calls == []


async def test_two_workers_at_once_record_a_server_once(house: House) -> None:
    _, change_id, new = await growing(house)
    frozen = TroubledHost(house.local)
    frozen.frozen = {"create"}
    late = asyncio.create_task(run(house.servers_on(frozen).create_servers, HostOrder(change_id=change_id)))
    await asyncio.wait_for(frozen.reached.wait(), 10)
    await house.create(change_id)
    frozen.thawed.set()
    await late
    assert (await house.events(change_id)).count("server_created") == len(new) == 2


@pytest.mark.parametrize(("work", "call"), [("create_servers", "create"), ("apply_limits", "apply_limits")])
async def test_what_a_late_worker_finishes_is_done_though_an_operator_was_called(
    house: House, work: str, call: str
) -> None:
    _, change_id, _ = await growing(house)
    kind = HostWork.CREATE if call == "create" else HostWork.LIMITS
    host = TroubledHost(house.local)
    host.frozen = {call}
    late = asyncio.create_task(run(getattr(house.servers_on(host), work), HostOrder(change_id=change_id)))
    await asyncio.wait_for(host.reached.wait(), 10)
    trouble = Trouble(change_id=change_id, work=kind, server_id=None, problem="away", at=T0)
    await run(house.troubles.raise_trouble, trouble)
    host.thawed.set()
    await late
    rows = await rows_of(house.database, tables.tasks, change_id=change_id, kind=str(kind))
    assert {row["state"] for row in rows} == {"done"}
    assert (await house.change(change_id)).stage == "needs_attention", "until the operator has looked"


async def test_what_a_committed_change_doesn_t_need_is_nothing_to_do(house: House) -> None:
    rented = await house.rent(servers=2, marked=1)
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(20, 1))
    before = await snapshot(house.database)
    for activity in (house.servers.apply_limits, house.servers.create_servers):
        await run(activity, HostOrder(change_id=change_id))
    assert await snapshot(house.database) == before
