"""What the reconciler finds in database and host, on both databases: healed when certain, told otherwise."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from activities import reconcile_servers
from activities.reconcile import MOST_NOTED, MOST_TOLD, Reconciler, Tell
from activities.reconcile_cleanup import MARKS_KEPT
from changeover.hosts import HostUnavailable
from changeover.storage import cleaning, findings, tables
from changeover.storage.findings import Noted
from tests.activities.hosts import TroubledHost
from tests.activities.house import QUARANTINE, House, run
from tests.activities.test_evidence import skipped
from tests.activities.troubled import condemned
from tests.storage.rows import DAY, MINUTE, T0, add_free_addresses, add_rows, rows_of, set_values, snapshot
from workflows.messages import HostWork
from workflows.reconciling import CheckOrder, CheckResult, Finding

AT = T0 + DAY


async def check(
    house: House, name: str, *, dry_run: bool = False, at: datetime = AT, host: Any = None
) -> CheckResult:
    reconciler = Reconciler(house.database, host or house.local, QUARANTINE)
    result: CheckResult = await run(getattr(reconciler, name), CheckOrder(dry_run=dry_run, at=at), at=at)
    return result


def told(result: CheckResult) -> list[tuple[str, str, bool]]:
    return [(it.kind, it.subject, it.healed) for it in result.findings]


# Servers.


async def test_a_host_that_has_what_the_database_says_gives_no_finding(house: House) -> None:
    rented = await house.rent()
    await house.put_on_host(rented)
    assert await check(house, "check_servers") == CheckResult()


async def test_a_server_that_no_row_knows_is_told_and_not_touched(house: House, tmp_path: Path) -> None:
    rented = await house.rent()
    await house.put_on_host(rented)
    stranger = "7c1d8a52-6e7e-4a55-9f0e-2f6a4f6f0001"
    (house.host_root / stranger / "data").mkdir(parents=True)
    (house.host_root / "no server of ours").mkdir()
    result = await check(house, "check_servers")
    assert told(result) == [("server-unknown", stranger, False)]
    assert (result.found, result.attention) == (1, 1)
    assert (house.host_root / stranger).is_dir()


async def test_of_a_host_that_lost_its_disk_no_more_is_told_than_people_can_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_servers, "_MOST_ASKED", 2)
    await house.rent(servers=3)
    result = await check(house, "check_servers")
    assert [it.kind for it in result.findings] == ["server-missing"] * 2


async def test_a_row_without_its_server_is_told_unless_it_is_young(house: House) -> None:
    rented = await house.rent()
    await house.put_on_host(rented)
    await house.local.stop(rented.servers[0])
    for backup in (await house.found(rented.servers[0])).backups:  # type: ignore[union-attr]
        await house.local.delete_backup(rented.servers[0], backup.id)
    await house.local.delete_data(rented.servers[0])
    assert told(await check(house, "check_servers")) == [("server-missing", rented.servers[0], False)]
    await set_values(house.database, tables.servers, rented.servers[0], created_at=AT - 9 * MINUTE)
    assert told(await check(house, "check_servers")) == []


async def test_what_remains_of_a_destroyed_server_is_told(house: House) -> None:
    _, server_id = await skipped(house)
    later = datetime.now(UTC) + DAY
    assert told(await check(house, "check_servers", at=later)) == [("server-remains", server_id, False)]


async def test_a_host_that_is_away_is_no_finding(house: House) -> None:
    await house.rent()
    host = TroubledHost(house.local)
    host.failing["servers", "any"] = HostUnavailable("away", "The host is away.")
    with pytest.raises(Exception, match="The host is away"):
        await check(house, "check_servers", host=host)
    assert await rows_of(house.database, tables.findings) == []


async def test_a_host_that_answers_otherwise_when_asked_again_is_believed_the_second_time(
    house: House,
) -> None:
    class Forgetful(TroubledHost):
        async def servers(self) -> list[str]:
            return []

    rented = await house.rent()
    await house.put_on_host(rented)
    assert told(await check(house, "check_servers", host=Forgetful(house.local))) == []


# Addresses.


async def test_addresses_in_order_give_no_finding(house: House) -> None:
    await add_free_addresses(house.database, 2)
    _, server_id = await skipped(house)  # its address is held back, as it must be
    assert await check(house, "check_addresses") == CheckResult()
    assert (await house.server_row(server_id))["state"] == "destroyed"


async def given_to_the_dead(house: House) -> tuple[str, str, str]:
    """Destroy a server, and give its address to it again, as no code of ours does."""
    _, change_id, server_id = await condemned(house)
    await house.tear_down(change_id, server_id)
    address = (await house.task(change_id, HostWork.TEARDOWN, server_id))["address"]
    await set_values(house.database, tables.addresses, address, server_id=server_id, free_from=None)
    return change_id, server_id, address


async def test_the_address_of_a_destroyed_server_is_given_back_when_its_receipts_prove_it(
    house: House,
) -> None:
    change_id, server_id, address = await given_to_the_dead(house)
    before = await snapshot(house.database)
    dry = await check(house, "check_addresses", dry_run=True)
    assert told(dry) == [("address-of-destroyed-server", address, False)]
    assert (dry.healed, dry.attention) == (0, 0)
    assert await snapshot(house.database) == before
    result = await check(house, "check_addresses")
    assert told(result) == [("address-of-destroyed-server", address, True)]
    row = await house.address_row(address)
    assert (row["server_id"], row["free_from"]) == (None, AT + QUARANTINE)
    entry = (await house.trail(change_id))[-1]
    assert (entry["event"], entry["actor"]) == ("address_released", "reconciler")
    assert entry["data"]["server_id"] == server_id
    assert await check(house, "check_addresses") == CheckResult()


async def test_without_receipts_of_its_deletion_an_address_stays(house: House) -> None:
    _, server_id = await skipped(house)
    address = (await house.server_row(server_id))["address"]
    await set_values(house.database, tables.addresses, address, held=False)
    before = await snapshot(house.database)
    result = await check(house, "check_addresses")
    assert told(result) == [("address-of-destroyed-server", address, False)]
    assert result.attention == 1
    assert await snapshot(house.database) == before


async def test_an_address_given_on_meanwhile_is_not_touched(house: House) -> None:
    _, server_id, address = await given_to_the_dead(house)
    from activities.reconcile_addresses import AddressCheck  # noqa: PLC0415

    order = CheckOrder(dry_run=False, at=AT)
    await set_values(house.database, tables.addresses, address, server_id=None, free_from=T0)
    before = await snapshot(house.database)
    assert not await AddressCheck(house.database, QUARANTINE)._give_back(server_id, order)
    assert await snapshot(house.database) == before


async def test_addresses_that_nobody_or_two_could_use_are_told(house: House) -> None:
    lost, held = await add_free_addresses(house.database, 2)
    rented = await house.rent()
    await set_values(house.database, tables.addresses, lost, free_from=None)
    await set_values(house.database, tables.addresses, held, held=True)
    await set_values(house.database, tables.addresses, rented.addresses[0], server_id=None, free_from=T0)
    assert set(told(await check(house, "check_addresses"))) == {
        ("address-lost", lost, False),
        ("address-held-without-reason", held, False),
        ("address-not-its-servers", rented.addresses[0], False),
    }


# Marks.


async def test_marks_are_taken_back_when_their_service_has_long_expired(house: House) -> None:
    old = await house.rent(marked=2, expires_at=AT - MARKS_KEPT)
    young = await house.rent(name="bob", marked=1, expires_at=AT - MARKS_KEPT + MINUTE)
    assert told(await check(house, "check_marks", dry_run=True)) == [
        ("marks-on-expired-service", old.service_id, False)
    ]
    assert told(await check(house, "check_marks")) == [("marks-on-expired-service", old.service_id, True)]
    states = {it["id"]: it["state"] for it in await rows_of(house.database, tables.servers)}
    assert {states[server] for server in old.servers} == {"active"}
    assert states[young.servers[2]] == "marked"
    assert await check(house, "check_marks") == CheckResult()


async def test_marks_of_a_service_that_was_just_renewed_stay(house: House) -> None:
    from activities.reconcile_cleanup import MarkCheck  # noqa: PLC0415

    rented = await house.rent(marked=1, expires_at=AT + DAY)
    order = CheckOrder(dry_run=False, at=AT)
    assert not await MarkCheck(house.database)._unmark(rented.service_id, order)
    assert (await house.server_row(rented.servers[2]))["state"] == "marked"


# What has had its time.


async def test_what_has_had_its_time_is_deleted_in_batches_and_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 2)
    account = (await house.rent()).account_id
    keys = [
        {
            "account_id": account, "route": "r", "key": f"{number}", "fingerprint": "f", "answer": {},
            "created_at": AT - DAY + number * MINUTE,
        }
        for number in range(-4, 2)
    ]  # fmt: skip
    await add_rows(house.database, tables.idempotency_keys, *keys)
    ends = {"used": AT - DAY, "fresh": AT - MINUTE, "valid": AT + MINUTE}
    links = [
        {"hash": name, "account_id": account, "expires_at": at, "used_at": at if name == "used" else None}
        for name, at in ends.items()
    ]
    await add_rows(house.database, tables.panel_links, *links)
    sessions = [
        {"hash": name, "account_id": account, "created_at": T0, "expires_at": at} for name, at in ends.items()
    ]
    await add_rows(house.database, tables.panel_sessions, *sessions)
    assert (await check(house, "clean_up", dry_run=True)).cleaned == 8
    assert (await check(house, "clean_up")).cleaned == 8
    assert [it["key"] for it in await rows_of(house.database, tables.idempotency_keys)] == ["1"]
    assert {it["hash"] for it in await rows_of(house.database, tables.panel_links)} == {"fresh", "valid"}
    assert {it["hash"] for it in await rows_of(house.database, tables.panel_sessions)} == {"valid"}
    assert (await check(house, "clean_up")).cleaned == 0


# Findings.


async def note(house: House, at: datetime, *, healed: bool = False) -> None:
    found = [Noted(kind="address-lost", subject="192.0.2.1:1", detail="lost", healed=healed)]
    await house.database.write(lambda connection: findings.note(connection, found, at))


async def test_a_finding_keeps_when_it_was_first_seen_until_it_is_over(house: House) -> None:
    await note(house, AT)
    await note(house, AT + MINUTE)
    (row,) = await rows_of(house.database, tables.findings)
    assert (row["first_seen"], row["last_seen"], row["healed_at"]) == (AT, AT + MINUTE, None)
    async with house.database.read() as connection:
        assert await findings.open_by_kind(connection) == {"address-lost": 1}
    await check(house, "check_addresses", at=AT + 2 * MINUTE)
    (row,) = await rows_of(house.database, tables.findings)
    assert (row["healed_at"], row["healed_by"]) == (AT + 2 * MINUTE, "others")
    await note(house, AT + DAY, healed=True)
    (row,) = await rows_of(house.database, tables.findings)
    assert (row["first_seen"], row["healed_by"]) == (AT + DAY, "reconciler")
    async with house.database.read() as connection:
        assert await findings.open_by_kind(connection) == {}


async def test_findings_of_which_there_are_too_many_are_not_taken_for_over(house: House) -> None:
    await note(house, AT)
    reconciler = Reconciler(house.database, house.local, QUARANTINE)
    many = [
        Finding(kind="address-held", subject=f"{number}", detail="", certain=False, healed=False)
        for number in range(MOST_NOTED + 1)
    ]
    await reconciler._note(["address-lost"], many, CheckOrder(dry_run=False, at=AT + MINUTE))
    rows = await rows_of(house.database, tables.findings)
    assert len(rows) == MOST_NOTED + 1
    assert {row["healed_at"] for row in rows} == {None}


async def test_a_short_account_travels_however_much_is_found(house: House) -> None:
    addresses = await add_free_addresses(house.database, MOST_TOLD + 5)
    for address in addresses:
        await set_values(house.database, tables.addresses, address, free_from=None)
    result = await check(house, "check_addresses")
    assert (result.found, result.attention, len(result.findings)) == (MOST_TOLD + 5, MOST_TOLD + 5, MOST_TOLD)


async def test_the_made_up_id_of_a_run_is_told_as_one_line_that_every_database_keeps(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Who can write to Temporal names runs as they like: one name must not end the look, or forge a log."""
    tell, wild = Tell(dry_run=False), "mallory\0\nERROR all is lost \x1b[2J" + "x" * 900
    await tell("run-without-open-change", wild, f"{wild} runs, and the database has no open change")
    (found,) = tell.found
    reconciler = Reconciler(house.database, house.local, QUARANTINE)
    await reconciler._note(["run-without-open-change"], [found], CheckOrder(dry_run=False, at=AT))
    (row,) = await rows_of(house.database, tables.findings)
    assert row["subject"] == found.subject == "mallory ERROR all is lost [2J" + "x" * 91
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_every_finding_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def healed() -> bool:
        return True

    with caplog.at_level(logging.WARNING):
        await Tell(dry_run=False)("server-unknown", "s1", "why")
        await Tell(dry_run=False)("marks-on-expired-service", "s2", "why", healed)
        await Tell(dry_run=True)("marks-on-expired-service", "s3", "why", healed)
    assert [record.getMessage() for record in caplog.records] == [
        "reconciler: needs attention: server-unknown s1: why",
        "reconciler: healed: marks-on-expired-service s2: why",
        "reconciler: would heal: marks-on-expired-service s3: why",
    ]
