"""Forgetting a person: what is somebody's goes, the trail stays and never had any of it."""

import asyncio
import re
from typing import Any

import pytest

from activities.privacy import PrivacyTransactions
from changeover.domain.lifecycle import OPEN
from changeover.storage import tables
from changeover.storage.tables import metadata
from starter import writes
from tests.activities.house import House, run
from tests.storage.rows import DAY, MINUTE, T0, Rented, add_rows, row_of, rows_of, set_values
from workflows.messages import ForgetAt, Forgotten, HostWork, SendOutcome, Trouble

CANARY = "zéphyrine"
EMAIL = "zephyrine@example.com"
LATER = T0 + 30 * DAY


async def forget(house: House, account_id: str, *, actor: str = "olga", at: Any = LATER) -> Forgotten:
    order = ForgetAt(account_id=account_id, actor=actor, at=at)
    return await run(PrivacyTransactions(house.database).forget_account, order, at=at)


async def everything(house: House) -> dict[str, str]:
    return {name: repr(await rows_of(house.database, table)) for name, table in metadata.tables.items()}


def holding_a_name(content: dict[str, str]) -> list[str]:
    return [name for name, rows in content.items() if re.search("z(é|e|\\\\xe9)phyrine", rows)]


async def a_life(house: House) -> tuple[Rented, str]:
    """Return a customer with chosen names everywhere, and a change of theirs with a teardown."""
    rented = await house.rent(name="zephyrine", marked=1)
    await set_values(house.database, tables.services, rented.service_id, name=f"Serveurs de {CANARY}")
    for server_id in rented.servers:
        await set_values(house.database, tables.servers, server_id, name=f"{CANARY}-1")
    await house.put_on_host(rented)
    backups = house.host_root / rented.servers[2] / "backups"
    next(it for it in backups.iterdir() if it.is_file()).rename(backups / f"{CANARY}.tar")
    stale = await house.request(rented, rented.wants(22, 2), digest="0" * 64)
    assert (await house.open(stale)).answer.reason == "quote-stale"
    change_id = await house.committed(rented, rented.wants(24, 2))
    trouble = Trouble(
        change_id=change_id, work=HostWork.LIMITS, server_id=None, problem="host away", at=T0 + 3 * MINUTE
    )
    await run(house.troubles.raise_trouble, trouble)
    await house.tear_down(change_id, rented.servers[2])
    await house.set_stage(change_id, "completed")
    of_account = {"account_id": rented.account_id}
    key = {"route": "r", "key": "k", "fingerprint": "f", "created_at": T0, **of_account}
    refused = [{"code": "quote-stale", "quote": {"destroys": [{"name": f"{CANARY}-1"}]}}]
    await add_rows(house.database, tables.idempotency_keys, key | {"answer": {"refused": refused}})
    visit = {"hash": "h" * 64, "expires_at": T0 + DAY, **of_account}
    await add_rows(house.database, tables.panel_links, visit)
    await add_rows(house.database, tables.panel_sessions, visit | {"created_at": T0})
    return rented, change_id


async def expire(house: House, rented: Rented) -> None:
    await set_values(house.database, tables.services, rented.service_id, expires_at=LATER)


async def test_what_is_somebodys_goes_and_the_trail_stays_as_it_is(house: House) -> None:
    rented, change_id = await a_life(house)
    await expire(house, rented)
    before = await everything(house)
    holding = {"accounts", "services", "servers", "plan_changes", "idempotency_keys"}
    assert set(holding_a_name(before)) == holding  # and neither trail nor receipts, tasks or any other

    result = await forget(house, rented.account_id)

    assert (result.at, result.actor, result.servers_left) == (LATER, "olga", 2)
    after = await everything(house)
    assert holding_a_name(after) == []
    for kept in ("trail", "receipts", "tasks", "passes", "addresses", "code_tries"):
        assert after[kept] == before[kept]
    for gone in ("idempotency_keys", "panel_links", "panel_sessions"):
        assert after[gone] == "[]"
    account = await row_of(house.database, tables.accounts, id=rented.account_id)
    assert (account["email"], account["forgotten_at"], account["forgotten_by"]) == ("", LATER, "olga")
    row = await row_of(house.database, tables.plan_changes, id=change_id)
    assert [server["id"] for server in row["destroys"]] == [rented.servers[2]]
    assert {server["name"] for server in row["destroys"]} == {"forgotten"}


async def test_nobody_elses_data_is_touched(house: House) -> None:
    rented, _ = await a_life(house)
    other = await house.rent(name="bruno", marked=1)
    change_id = await house.awaiting(other, other.wants(24, 2))
    await expire(house, rented)
    before = [await row_of(house.database, tables.plan_changes, id=change_id)]
    await forget(house, rented.account_id)
    assert [await row_of(house.database, tables.plan_changes, id=change_id)] == before
    account = await row_of(house.database, tables.accounts, id=other.account_id)
    assert account["email"] == "bruno@example.com"
    assert (await house.service_row(other))["name"] == "Service de bruno"


async def test_it_can_be_repeated_and_tells_who_was_first(house: House) -> None:
    rented, _ = await a_life(house)
    await expire(house, rented)
    first = await forget(house, rented.account_id)
    before = await everything(house)
    again = await forget(house, rented.account_id, actor="otto", at=LATER + DAY)
    assert again == first
    assert await everything(house) == before


async def test_a_service_that_is_not_expired_needs_its_customer(house: House) -> None:
    rented, _ = await a_life(house)
    other = await house.rent(rented.account_id, expires_at=T0 - DAY)
    before = await everything(house)
    result = await forget(house, rented.account_id, at=T0 + DAY)
    assert (result.at, result.unexpired, result.open_changes) == (None, (rented.service_id,), ())
    assert other.service_id not in result.unexpired
    assert await everything(house) == before


async def test_a_service_is_over_at_the_very_second_of_its_expiry(house: House) -> None:
    rented = await house.rent(expires_at=T0)
    assert (await forget(house, rented.account_id, at=T0 - DAY)).at is None
    assert (await forget(house, rented.account_id, at=T0)).at == T0


@pytest.mark.parametrize("stage", sorted(OPEN))
async def test_an_open_change_needs_its_customer_whatever_its_stage(house: House, stage: str) -> None:
    rented = await house.rent(marked=1)
    change_id = await house.awaiting(rented, rented.wants(24, 2))
    await house.set_stage(change_id, stage)
    await expire(house, rented)
    before = await everything(house)
    result = await forget(house, rented.account_id)
    assert (result.at, result.unexpired, result.open_changes) == (None, (), (change_id,))
    assert await everything(house) == before


async def test_an_unknown_account_is_said_to_be_unknown(house: House) -> None:
    assert not (await forget(house, "no-such-account")).found


async def test_a_renewal_at_the_same_moment_is_kept_or_refused_but_never_lost(house: House) -> None:
    for number in range(5):
        rented = await house.rent(name=f"racer-{number}", expires_at=T0)
        renewing = writes.renew(
            house.database, rented.account_id, rented.service_id, 30, key="k", now=T0 + MINUTE
        )
        forgotten, renewed = await asyncio.gather(
            forget(house, rented.account_id, at=T0 + MINUTE), renewing, return_exceptions=True
        )
        assert isinstance(forgotten, Forgotten)
        expires_at = (await house.service_row(rented))["expires_at"]
        if forgotten.at is None:
            assert expires_at == T0 + MINUTE + 30 * DAY
        else:
            assert expires_at == T0
            assert isinstance(renewed, Exception)


async def test_an_outcome_mail_that_comes_too_late_goes_nowhere(house: House) -> None:
    rented, change_id = await a_life(house)
    await expire(house, rented)
    await forget(house, rented.account_id)
    await run(house.mails.send_outcome, SendOutcome(change_id=change_id))
    (mailed,) = [it for it in await house.trail(change_id) if it["event"] == "outcome_mailed"]
    assert mailed["data"]["taken"] is False


@pytest.mark.parametrize(
    ("signed", "kept"),
    [("o" * 500, "o" * 60), ("olga\0\n", "olga"), ("a@b.cc", "***"), ("system", "operator")],
)
async def test_who_forgot_is_kept_as_an_operator_s_name(house: House, signed: str, kept: str) -> None:
    """Anyone in the Temporal UI can order it: what no column holds would be tried for ever."""
    rented, _ = await a_life(house)
    await expire(house, rented)
    assert (await forget(house, rented.account_id, actor=signed)).actor == kept
    account = await row_of(house.database, tables.accounts, id=rented.account_id)
    assert account["forgotten_by"] == kept
