"""What is over is kept as long as the host says, on both databases; the trail and its like stay."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from activities import reconcile_cleanup
from activities.assembly import Activities
from activities.reconcile import Reconciler
from activities.reconcile_cleanup import CleanUp
from changeover.adapters import build_parts
from changeover.domain.retention import Retention
from changeover.settings import WorkerSettings
from changeover.storage import cleaning, tables
from tests.activities.house import QUARANTINE, House, run
from tests.activities.test_forget import CANARY, a_life, everything, holding_a_name
from tests.storage.rows import DAY, MINUTE, T0, add_rows, row_of, rows_of, set_values
from workflows.reconciling import CheckOrder, CheckResult

FOR_GOOD = Retention.of_days(accounts=0, names=0, tries=0, findings=0)
LONG_AFTER = T0 + 4000 * DAY
KEPT = ("trail", "receipts", "tasks", "passes", "addresses", "services", "accounts")


async def clean_up(house: House, at: datetime, *, dry_run: bool = False, **days: int) -> int:
    """Have the reconciler clean up; limits that are not given are for good. Return what it counted."""
    limits = {"accounts": 0, "names": 0, "tries": 0, "findings": 0} | days
    reconciler = Reconciler(house.database, house.local, QUARANTINE, Retention.of_days(**limits))
    result: CheckResult = await run(reconciler.clean_up, CheckOrder(dry_run=dry_run, at=at), at=at)
    return result.cleaned


async def of_one_visit_are_gone(house: House, at: datetime) -> None:
    await clean_up(house, at)  # answers, links and sessions have times of their own


async def closed(house: House, change_id: str, at: datetime) -> None:
    await set_values(house.database, tables.plan_changes, change_id, closed_at=at)


async def change(house: House, change_id: str) -> dict[str, Any]:
    return await row_of(house.database, tables.plan_changes, id=change_id)


async def test_without_a_limit_everything_stays(house: House) -> None:
    await a_life(house)
    await of_one_visit_are_gone(house, LONG_AFTER)
    before = await everything(house)
    assert await clean_up(house, LONG_AFTER) == 0
    assert await everything(house) == before


# Wrong tries.


async def with_wrong_tries(house: House, name: str, tries: int) -> str:
    rented = await house.rent(name=name)
    change_id = await house.awaiting(rented, rented.wants(24, 3))
    rows = [
        {"change_id": change_id, "number": 1, "proof": f"{number:064}", "at": T0} for number in range(tries)
    ]
    await add_rows(house.database, tables.code_tries, *rows)
    return change_id


async def test_wrong_tries_go_when_their_change_has_been_closed_for_long_enough(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 2)
    old, young, still_open = [await with_wrong_tries(house, name, 5) for name in ("ada", "bob", "cleo")]
    await closed(house, old, T0 + DAY)
    await closed(house, young, T0 + DAY + MINUTE)
    at = T0 + 8 * DAY
    assert await clean_up(house, at, tries=7, dry_run=True) == 5
    assert await clean_up(house, at, tries=7) == 5
    left = {it["change_id"] for it in await rows_of(house.database, tables.code_tries)}
    assert left == {young, still_open}
    assert await clean_up(house, at, tries=7) == 0


# Names of servers in closed changes.


async def test_names_go_from_closed_changes_and_from_the_servers_they_destroyed(house: House) -> None:
    rented, change_id = await a_life(house)
    (refused,) = [
        it["id"] for it in await rows_of(house.database, tables.plan_changes) if it["stage"] == "rejected"
    ]
    await closed(house, change_id, T0 + DAY)
    await of_one_visit_are_gone(house, T0 + 31 * DAY)
    before = await everything(house)
    assert CANARY in str((await change(house, refused))["refusal"])

    assert await clean_up(house, T0 + 31 * DAY, names=30, dry_run=True) == 2
    assert await everything(house) == before
    assert await clean_up(house, T0 + 31 * DAY, names=30) == 2

    after = await everything(house)
    assert holding_a_name(after) == ["accounts", "services", "servers"]
    row = await change(house, change_id)
    assert [(it["id"], it["name"]) for it in row["destroys"]] == [(rented.servers[2], "forgotten")]
    assert row["names_forgotten_at"] == T0 + 31 * DAY
    assert (await change(house, refused))["refusal"] == [{"code": "quote-stale"}]
    names = [(await house.server_row(server))["name"] for server in rented.servers]
    assert names == [f"{CANARY}-1", f"{CANARY}-1", "forgotten"], "what still stands keeps its name"
    for kept in KEPT:
        assert after[kept] == before[kept], kept
    assert await clean_up(house, T0 + 40 * DAY, names=30) == 0


async def test_names_of_an_open_change_and_of_one_that_closed_lately_stay(house: House) -> None:
    rented, change_id = await a_life(house)
    at = T0 + 31 * DAY
    for row in await rows_of(house.database, tables.plan_changes):
        await closed(house, row["id"], at - 30 * DAY + MINUTE)
    other = await house.rent(name="bruno", marked=1)
    waiting = await house.awaiting(other, other.wants(24, 2))
    before = [await change(house, it) for it in (change_id, waiting)]
    await clean_up(house, at, names=30)
    assert [await change(house, it) for it in (change_id, waiting)] == before
    assert (await house.server_row(rented.servers[2]))["name"] == f"{CANARY}-1"


async def test_a_server_that_a_later_change_destroyed_keeps_its_name_as_long_as_that_one(
    house: House,
) -> None:
    rented, change_id = await a_life(house)
    earlier = await change(house, change_id) | {"id": "earlier", "stage": "abandoned", "closed_at": T0}
    await add_rows(house.database, tables.plan_changes, earlier)
    for row in await rows_of(house.database, tables.plan_changes):
        await closed(house, row["id"], T0 if row["id"] == "earlier" else T0 + 30 * DAY)
    await of_one_visit_are_gone(house, T0 + 31 * DAY)
    assert await clean_up(house, T0 + 31 * DAY, names=30) == 1
    assert (await change(house, "earlier"))["destroys"][0]["name"] == "forgotten"
    assert (await house.server_row(rented.servers[2]))["name"] == f"{CANARY}-1"


async def test_names_of_many_changes_go_batch_by_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_cleanup, "NAMED_CHANGES", 2)
    _, change_id = await a_life(house)
    row = await change(house, change_id)
    copies = [row | {"id": f"copy-{number}", "closed_at": T0} for number in range(4)]
    await add_rows(house.database, tables.plan_changes, *copies)
    at = T0 + 31 * DAY
    await of_one_visit_are_gone(house, at)
    assert await clean_up(house, at, names=30) == 5, "the copies, and the one that was refused"
    assert holding_a_name({"": repr([await change(house, it["id"]) for it in copies])}) == []


# Accounts.


async def lapsed_on(house: House, name: str, at: datetime) -> str:
    rented = await house.rent(name=name)
    await set_values(house.database, tables.services, rented.service_id, expires_at=at)
    return str(rented.account_id)


async def forgotten_accounts(house: House) -> set[str]:
    rows = await rows_of(house.database, tables.accounts)
    return {it["id"] for it in rows if it["forgotten_by"] == "reconciler" and it["email"] == ""}


async def test_an_account_is_forgotten_when_its_last_service_has_long_expired(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 2)
    rented, _ = await a_life(house)
    await set_values(house.database, tables.services, rented.service_id, expires_at=T0 + DAY)
    gone = {rented.account_id} | {
        await lapsed_on(house, name, T0 + DAY) for name in ("dora", "egon", "fritz", "gina")
    }
    later = await lapsed_on(house, "bob", T0 + DAY + MINUTE)
    renting = await lapsed_on(house, "cleo", LONG_AFTER)
    at = T0 + 366 * DAY
    await of_one_visit_are_gone(house, at)
    before = await everything(house)
    assert await clean_up(house, at, accounts=365, dry_run=True) == len(gone)
    assert await everything(house) == before
    assert await clean_up(house, at, accounts=365) == len(gone)
    assert await forgotten_accounts(house) == gone
    assert not {later, renting} & gone
    after = await everything(house)
    assert holding_a_name(after) == []
    for kept in ("trail", "receipts", "tasks", "passes", "addresses", "code_tries"):
        assert after[kept] == before[kept], kept
    assert await clean_up(house, at, accounts=365) == 0


async def test_an_account_with_an_open_change_or_one_that_is_new_is_not_forgotten(house: House) -> None:
    rented = await house.rent(name="ada")
    await house.awaiting(rented, rented.wants(24, 3))
    await set_values(house.database, tables.services, rented.service_id, expires_at=T0)
    at = T0 + 366 * DAY
    newcomer = {"id": "new", "email": "new@example.com", "language": "fr"}
    visitor = {"id": "old", "email": "old@example.com", "language": "fr"}
    await add_rows(house.database, tables.accounts, newcomer | {"created_at": at - DAY})
    await add_rows(house.database, tables.accounts, visitor | {"created_at": at - 365 * DAY})
    assert await clean_up(house, at, accounts=365) == 1
    assert await forgotten_accounts(house) == {"old"}


async def test_who_renewed_meanwhile_is_not_forgotten(house: House) -> None:
    account = await lapsed_on(house, "ada", T0 + 2 * DAY)
    cleaning_up = CleanUp(house.database, FOR_GOOD, dry_run=False)
    since = T0 + DAY

    async def forget(connection: Any) -> bool:
        return await cleaning_up._forget(connection, account, since, T0 + 400 * DAY)

    assert not await house.database.write(forget)
    assert await forgotten_accounts(house) == set()


# Settings.


async def test_a_worker_removes_what_its_settings_say(house: House, database_url: str) -> None:
    settings = WorkerSettings(
        embedded=True,
        database_url=database_url,
        proof_key="p" * 32,
        code_keys={"k1": "c" * 32},
        code_key_id="k1",
        smtp_host="localhost",
        smtp_tls="none",
        mail_from="no-reply@host.example",
        host_dir=house.host_root,
        retention_tries_days=7,
        retention_names_days=400,
        retention_accounts_days=0,
        retention_findings_days=0,
    )
    week, more = timedelta(days=7), timedelta(days=400)
    assert settings.retention == Retention(accounts=None, names=more, tries=week, findings=None)
    change_id = await with_wrong_tries(house, "ada", 2)
    await closed(house, change_id, T0)
    parts = build_parts(settings)
    (work,) = [it for it in Activities(settings, parts).of_changes() if it.__name__ == "clean_up"]
    at = T0 + 8 * DAY
    assert (await run(work, CheckOrder(dry_run=False, at=at), at=at)).cleaned == 2
    await parts.database.close()
