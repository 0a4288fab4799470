"""A teardown: every step with its receipt, harmless when repeated, never beyond what was confirmed."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities import heartbeats as beats
from activities.teardown_steps import backup_sha256
from changeover.domain.teardown import STEPS
from changeover.hosts import HostRefused, HostUnavailable
from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import QUARANTINE, House, run
from tests.hosts.trees import snapshot as tree_of
from tests.storage.rows import DAY, T0, Rented, rows_of, set_values, snapshot
from workflows.messages import HostWork, TeardownOrder

SIX = [str(step) for step in STEPS]


async def condemned(house: House, marked: int = 1, **what: Any) -> tuple[Rented, str, str]:
    """Commit a change that gives up the last servers; return it, its id and the last server's id."""
    rented = await house.rent(servers=3, marked=marked)
    await house.put_on_host(rented, **what)
    change_id = await house.committed(rented, rented.wants(20, 3 - marked))
    return rented, change_id, rented.servers[2]


def measured(folder: Path) -> tuple[int, int]:
    """Count files and bytes below `folder`, by means of our own."""
    files = [Path(where, name) for where, _, names in os.walk(folder) for name in names]
    return len(files), sum(file.stat().st_size for file in files)


async def test_receipts_say_what_was_really_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "_EVERY_SECONDS", 0)
    rented, change_id, server_id = await condemned(house, backups=3, kilobytes=40)
    folder = house.host_root / server_id
    data_files, data_bytes = measured(folder / "data")
    backups = {path.name: path for path in (folder / "backups").iterdir()}
    sizes = {
        name: measured(path) if path.is_dir() else (1, path.stat().st_size) for name, path in backups.items()
    }
    kept = {it: tree_of(house.host_root / it) for it in rented.servers[:2]}
    heartbeats: list[Any] = []
    order = TeardownOrder(change_id=change_id, server_id=server_id)

    result = await run(house.servers.tear_down, order, heartbeats=heartbeats)

    assert (result.server_id, result.outcome) == (server_id, "destroyed")
    receipts = await house.receipts(change_id, server_id)
    assert sorted(receipts) == sorted(SIX)
    record = receipts["record"]
    assert record["address"] == rented.addresses[2]
    assert (record["found"], record["running"]) == (True, True)
    assert (record["data_files"], record["data_bytes"]) == (data_files, data_bytes)
    known = {backup_sha256(server_id, name): size for name, size in sizes.items()}
    assert {it["sha256"]: (it["files"], it["bytes"]) for it in record["backups"]} == known
    assert receipts["stop"] == {"stopped": True}
    total = sum(size for _, size in sizes.values())
    assert receipts["delete_backups"] == {"deleted": 3, "bytes": total}
    assert receipts["delete_data"] == {"files": data_files, "bytes": data_bytes}
    assert receipts["verify_gone"] == {"found": False}
    assert receipts["release_address"]["address"] == rented.addresses[2]
    assert receipts["release_address"]["released"] is True
    assert not folder.exists()
    assert {it: tree_of(house.host_root / it) for it in kept} == kept
    assert [said for said in dict.fromkeys(heartbeats) if said] == SIX


async def test_the_walk_leaves_the_rows_as_they_should_be(house: House) -> None:
    rented, change_id, server_id = await condemned(house)
    at = datetime(2026, 3, 10, 13, 0, 0, tzinfo=T0.tzinfo)
    order = TeardownOrder(change_id=change_id, server_id=server_id)
    await run(house.servers.tear_down, order, at=at)

    server = await house.server_row(server_id)
    assert (server["state"], server["backups"]) == ("destroyed", 0)
    assert at <= server["destroyed_at"] < at + DAY
    task = await house.task(change_id, HostWork.TEARDOWN, server_id)
    assert task["state"] == "done"
    assert task["done_at"] is not None
    address = await house.address_row(rented.addresses[2])
    assert (address["server_id"], address["held"]) == (None, False)
    free_from = (await house.receipts(change_id, server_id))["release_address"]["free_from"]
    assert address["free_from"] == datetime.fromisoformat(free_from)
    assert at + QUARANTINE <= address["free_from"] < at + QUARANTINE + DAY
    entries = [it for it in await house.trail(change_id) if it["data"].get("server_id") == server_id]
    assert [it["event"] for it in entries] == [
        *(f"teardown_{step}" for step in SIX[:-1]),
        "server_destroyed",
    ]
    assert {(it["stage"], it["actor"]) for it in entries} == {("applying", "system")}
    assert {name for it in entries for name in it["data"]} == {"server_id"}


async def test_the_address_goes_last(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    host = TroubledHost(house.local)
    await house.tear_down(change_id, server_id, host)
    assert host.destructive == ["stop", "delete_backup", "delete_backup", "delete_data", "release_address"]


async def test_a_host_whose_deletion_frees_the_address_is_not_asked_to(house: House) -> None:
    rented, change_id, server_id = await condemned(house)
    host = TroubledHost(house.local)
    host.deletion_frees_address = True
    assert await house.tear_down(change_id, server_id, host) == "destroyed"
    assert "release_address" not in host.destructive
    assert (await house.address_row(rented.addresses[2]))["server_id"] is None


async def test_a_finished_teardown_again_touches_nothing(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    await house.tear_down(change_id, server_id)
    before = await snapshot(house.database)
    host = TroubledHost(house.local)
    assert await house.tear_down(change_id, server_id, host) == "destroyed"
    assert host.calls == []
    assert await snapshot(house.database) == before


LOST = [
    ("find", 0),
    ("stop", 0),
    ("find", 1),
    ("delete_backup", 0),
    ("delete_backup", 1),
    ("find", 2),
    ("find", 3),
    ("delete_data", 0),
    ("find", 4),
    ("release_address", 0),
]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: f"{lost[0]}-{lost[1]}")
async def test_an_answer_that_was_lost_does_no_harm(house: House, lost: tuple[str, int]) -> None:
    rented, change_id, server_id = await condemned(house)
    kept = {it: tree_of(house.host_root / it) for it in rented.servers[:2]}
    host = TroubledHost(house.local)
    host.answer_lost = {lost}
    with pytest.raises(ApplicationError) as caught:
        await house.tear_down(change_id, server_id, host)
    assert (caught.value.type, caught.value.non_retryable) == ("HostUnavailable", False)
    assert (await house.address_row(rented.addresses[2]))["server_id"] == server_id
    assert (await house.server_row(server_id))["state"] == "destroying"

    assert await house.tear_down(change_id, server_id, host) == "destroyed"
    assert host.answer_lost == set()
    assert sorted(await house.receipts(change_id, server_id)) == sorted(SIX)
    assert await house.found(server_id) is None
    assert {it: tree_of(house.host_root / it) for it in kept} == kept
    assert (await house.address_row(rented.addresses[2]))["server_id"] is None
    assert (await house.events(change_id)).count("server_destroyed") == 1


@pytest.mark.parametrize("step", SIX[:-1])
async def test_a_database_that_fails_after_the_step_does_no_harm(
    house: House, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, change_id, server_id = await condemned(house)
    record = house.servers._record_step

    async def broken(order: Any, took: Any, evidence: Any, clock: Any) -> Any:
        if took.step == step:
            raise ConnectionResetError
        return await record(order, took, evidence, clock)

    monkeypatch.setattr(house.servers, "_record_step", broken)
    with pytest.raises(ApplicationError) as caught:
        await house.tear_down(change_id, server_id)
    assert caught.value.type == "DatabaseUnavailable"
    monkeypatch.undo()
    assert await house.tear_down(change_id, server_id) == "destroyed"
    assert sorted(await house.receipts(change_id, server_id)) == sorted(SIX)


async def unconfirmed(house: House, case: str) -> tuple[str, str]:
    """Return a change and a server that no committed change names together."""
    rented, change_id, server_id = await condemned(house)
    if case == "kept server":
        return change_id, rented.servers[0]
    if case == "another service's server":
        other = await house.rent(name="bruno", servers=1)
        await house.put_on_host(other)
        return change_id, other.servers[0]
    if case in {"no such change", "no such server"}:
        return ("none", server_id) if case == "no such change" else (change_id, "none")
    if case == "another change":
        other = await house.rent(name="bruno", marked=1)
        return await house.committed(other, other.wants(24, 2)), server_id
    waiting = await house.rent(name="bruno", marked=1)
    await house.put_on_host(waiting)
    other_id = await house.awaiting(waiting, waiting.wants(24, 2))
    if case == "abandoned":
        await house.set_stage(other_id, "abandoned")
    return other_id, waiting.servers[2]


@pytest.mark.parametrize(
    "case",
    [
        "kept server",
        "another service's server",
        "no such change",
        "no such server",
        "another change",
        "not committed",
        "abandoned",
    ],
)
async def test_what_no_committed_change_names_is_refused_and_untouched(house: House, case: str) -> None:
    change_id, server_id = await unconfirmed(house, case)
    before, on_disk = await snapshot(house.database), tree_of(house.host_root)
    host = TroubledHost(house.local)
    assert await house.tear_down(change_id, server_id, host) == "refused"
    assert host.calls == []
    assert await snapshot(house.database) == before
    assert tree_of(house.host_root) == on_disk


@pytest.mark.parametrize("stage", ["requested", "rejected", "awaiting_code", "abandoned"])
async def test_a_task_alone_orders_nothing(house: House, stage: str) -> None:
    """Whatever wrote the task: without a committed change there is no teardown (I3)."""
    _, change_id, server_id = await condemned(house)
    await house.set_stage(change_id, stage)
    host = TroubledHost(house.local)
    assert await house.tear_down(change_id, server_id, host) == "refused"
    assert host.calls == []


REFUSING = ["find", "stop", "delete_backup", "delete_data", "release_address"]


@pytest.mark.parametrize("call", REFUSING)
async def test_a_host_that_refuses_stops_the_walk_before_the_address(house: House, call: str) -> None:
    rented, change_id, server_id = await condemned(house)
    host = TroubledHost(house.local)
    host.failing[call, server_id] = HostRefused("locked", "The panel protects it.")
    with pytest.raises(ApplicationError) as caught:
        await house.tear_down(change_id, server_id, host)
    assert (caught.value.type, caught.value.non_retryable) == ("HostRefused", True)
    assert str(caught.value) == "HostRefused: The panel protects it."
    assert (await house.address_row(rented.addresses[2]))["server_id"] == server_id
    host.failing.clear()
    assert await house.tear_down(change_id, server_id, host) == "destroyed"


async def test_a_host_that_only_says_it_deleted_keeps_the_address_back(house: House) -> None:
    rented, change_id, server_id = await condemned(house)

    class Liar(TroubledHost):
        async def delete_backup(self, server_id: str, backup_id: str) -> None:
            self.calls.append(("delete_backup", server_id))

    with pytest.raises(ApplicationError, match="2 backup"):
        await house.tear_down(change_id, server_id, Liar(house.local))
    assert (await house.address_row(rented.addresses[2]))["server_id"] == server_id

    class Slow(TroubledHost):
        async def delete_data(self, server_id: str) -> None:
            self.calls.append(("delete_data", server_id))

    with pytest.raises(ApplicationError, match=r"still has the server: [1-9]\d* file\(s\) and 0 backup\(s\)"):
        await house.tear_down(change_id, server_id, Slow(house.local))
    assert sorted(await house.receipts(change_id, server_id)) == sorted(SIX[:4])
    assert (await house.address_row(rented.addresses[2]))["server_id"] == server_id


async def test_a_server_that_the_host_never_had_is_destroyed_with_that_evidence(house: House) -> None:
    rented, change_id, server_id = await condemned(house)
    shutil.rmtree(house.host_root / server_id)
    assert await house.tear_down(change_id, server_id) == "destroyed"
    receipts = await house.receipts(change_id, server_id)
    assert receipts["record"] == {"address": rented.addresses[2], "found": False}
    assert receipts["delete_backups"] == {"deleted": 0, "bytes": 0}
    assert receipts["delete_data"] == {"files": 0, "bytes": 0}


@pytest.mark.parametrize("before", ["find", "delete_backup", "delete_data"])
async def test_a_host_without_any_of_the_services_servers_proves_no_deletion(
    house: House, before: str
) -> None:
    """Its disk isn't mounted: the mount point is a folder, too, perhaps with somebody's new server."""
    rented, change_id, server_id = await condemned(house)
    stuck = TroubledHost(house.local)
    stuck.failing[before, server_id] = HostUnavailable("away", "The machine is away.")
    with pytest.raises(ApplicationError):
        await house.tear_down(change_id, server_id, stuck)
    receipts = await house.receipts(change_id, server_id)
    house.host_root.rename(house.host_root.with_name("unmounted"))
    house.host_root.mkdir()
    await house.put_on_host(await house.rent(name="bruno", servers=1))

    with pytest.raises(ApplicationError, match="is its storage mounted on this worker") as failed:
        await house.tear_down(change_id, server_id)
    assert (failed.value.type, failed.value.non_retryable) == ("HostUnavailable", False)
    assert await house.receipts(change_id, server_id) == receipts
    assert (await house.address_row(rented.addresses[2]))["server_id"] == server_id

    shutil.rmtree(house.host_root)
    house.host_root.with_name("unmounted").rename(house.host_root)
    assert await house.tear_down(change_id, server_id) == "destroyed"
    assert (await house.receipts(change_id, server_id))["delete_data"]["files"] > 0


async def test_one_of_three_that_fails_holds_no_other_up(house: House) -> None:
    rented, change_id, _ = await condemned(house, marked=2)
    host = TroubledHost(house.local)
    host.failing["delete_data", rented.servers[1]] = HostUnavailable("away", "The machine is away.")
    with pytest.raises(ApplicationError):
        await house.tear_down(change_id, rented.servers[1], host)
    assert await house.tear_down(change_id, rented.servers[2], host) == "destroyed"
    states = [(await house.server_row(it))["state"] for it in rented.servers]
    assert states == ["active", "destroying", "destroyed"]
    assert set(await house.receipts(change_id, rented.servers[1])) == {"record", "stop", "delete_backups"}
    assert (await house.found(rented.servers[0])) is not None


async def test_an_address_that_is_no_longer_the_servers_own_is_left_alone(house: House) -> None:
    rented, change_id, server_id = await condemned(house)
    other = await house.rent(name="bruno", servers=1)
    await set_values(house.database, tables.addresses, other.addresses[0], server_id=None)
    await set_values(house.database, tables.addresses, rented.addresses[2], server_id=other.servers[0])
    assert await house.tear_down(change_id, server_id) == "destroyed"
    assert (await house.address_row(rented.addresses[2]))["server_id"] == other.servers[0]
    assert (await house.receipts(change_id, server_id))["release_address"]["released"] is False
    assert len(await rows_of(house.database, tables.receipts)) == 6
