"""Orders of activities with forged times and ids: who can write to Temporal can send any.

An activity believes the database, the keys, and the time at which the Temporal server handed it out; not what
stands in its order.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.privacy import PrivacyTransactions
from activities.reconcile import Reconciler
from changeover.storage import tables
from tests.activities.house import QUARANTINE, House, run
from tests.activities.inbox import mails_in
from tests.activities.test_evidence import TICKET, gone, skipped
from tests.activities.test_reconcile import given_to_the_dead
from tests.storage.rows import DAY, MINUTE, T0, add_rows, row_of, rows_of, snapshot
from workflows.messages import (
    EvidenceOrder,
    EvidenceOutcome,
    ForgetAt,
    Handover,
    OpenChange,
    RecordEvidence,
    SendCode,
)
from workflows.reconciling import CheckOrder

FAR = 4000 * DAY


async def opened_at(house: House, forged: datetime) -> str:
    """Open a change with a T0 that the forger likes; what it would be worth is quoted at that time."""
    rented = await house.rent(expires_at=T0 + 20 * DAY)
    request = await house.request(rented, rented.wants(10), forged)
    opened = await house.open(request, forged)
    assert opened.answer.reason is None
    return request.change_id


@pytest.mark.parametrize("forged", [T0 - 300 * DAY, T0 - 61 * MINUTE, T0 + 2 * MINUTE, T0 + 15 * DAY])
async def test_no_code_is_ever_mailed_for_a_change_from_another_time(
    house: House, inbox: Path, forged: datetime
) -> None:
    """A T0 in the past is worth days when the rate falls, one in the future when it rises."""
    change_id = await opened_at(house, forged)
    before = await snapshot(house.database)
    mailed = await run(house.mails.send_code, SendCode(change_id=change_id, number=1), at=T0)
    assert mailed.handover is Handover.MOOT
    assert mails_in(inbox) == []
    assert await snapshot(house.database) == before
    judged = await house.confirm(change_id, at=forged + 2 * MINUTE)  # even the right code
    assert judged.judgement == "expired"


async def test_a_change_from_a_time_far_ahead_does_not_lock_its_service(house: House) -> None:
    """Its row has no run, and is younger than any request that could come."""
    rented = await house.rent(expires_at=T0 + 20 * DAY)
    ahead = T0 + 15 * DAY
    request = await house.request(rented, rented.wants(24), T0 + MINUTE)
    forged = await house.request(rented, rented.wants(10), ahead)
    opened = await run(house.transactions.open_change, OpenChange(request=forged, at=ahead), at=T0)
    assert opened.answer.stage == "awaiting_code"
    order = OpenChange(request=request, at=T0 + MINUTE)
    opened = await run(house.transactions.open_change, order, at=T0 + MINUTE)
    assert (opened.answer.stage, opened.answer.reason) == ("awaiting_code", None)
    gone = await house.change(forged.change_id)
    assert (gone.stage, gone.reason) == ("abandoned", "interrupted")


async def test_a_try_that_came_before_its_change_evades_no_cooldown(house: House) -> None:
    rented = await house.rent(expires_at=T0 + 20 * DAY)
    change_id = await house.awaiting(rented, rented.wants(24))
    judged = await house.confirm(change_id, at=T0 - FAR)
    assert judged.judgement == "accepted"
    service = await row_of(house.database, tables.services, id=rented.service_id)
    change = await house.change(change_id)
    assert service["last_committed_at"] == change.committed_at == change.as_of


async def test_an_order_for_ones_own_service_does_not_take_up_anothers_change(house: House) -> None:
    mine, other = await house.rent(name="mallory"), await house.rent(name="bruno")
    theirs = await house.awaiting(other, other.wants(24))
    request = replace(await house.request(mine, mine.wants(24)), change_id=theirs)
    before = await snapshot(house.database)
    with pytest.raises(ApplicationError, match="is not of") as refused:
        await house.open(request)
    assert refused.value.type == "Unauthorised"
    assert await snapshot(house.database) == before


async def test_a_time_far_ahead_makes_no_live_service_forgettable(house: House) -> None:
    rented = await house.rent(name="zoe", expires_at=T0 + 20 * DAY)
    order = ForgetAt(account_id=rented.account_id, actor="mallory", at=T0 + FAR)
    result = await run(PrivacyTransactions(house.database).forget_account, order, at=T0)
    assert result.at is None
    assert result.unexpired == (rented.service_id,)
    account = await row_of(house.database, tables.accounts, id=rented.account_id)
    assert (account["email"], account["forgotten_at"]) == ("zoe@example.com", None)


async def test_a_time_far_ahead_ends_no_session_and_forgets_no_key(house: House) -> None:
    rented = await house.rent()
    of_account = {"account_id": rented.account_id}
    session = {"hash": "s" * 64, "created_at": T0, "expires_at": T0 + timedelta(hours=8), **of_account}
    key = {"route": "r", "key": "k", "fingerprint": "f", "created_at": T0, "answer": {}, **of_account}
    await add_rows(house.database, tables.panel_sessions, session)
    await add_rows(house.database, tables.idempotency_keys, key)
    reconciler = Reconciler(house.database, house.local, QUARANTINE)
    forged = CheckOrder(dry_run=False, at=T0 + FAR)
    assert (await run(reconciler.clean_up, forged, at=T0 + MINUTE)).cleaned == 0
    assert len(await rows_of(house.database, tables.panel_sessions)) == 1
    assert len(await rows_of(house.database, tables.idempotency_keys)) == 1


async def test_a_time_far_ahead_takes_no_mark_back(house: House) -> None:
    rented = await house.rent(marked=1, expires_at=T0 + 20 * DAY)
    reconciler = Reconciler(house.database, house.local, QUARANTINE)
    result = await run(reconciler.check_marks, CheckOrder(dry_run=False, at=T0 + FAR), at=T0)
    assert result.found == 0
    assert (await house.server_row(rented.servers[2]))["state"] == "marked"


async def test_a_time_long_past_shortens_no_quarantine_of_proved_addresses(house: House) -> None:
    _, server_id = await skipped(house)
    await gone(house, server_id)
    order = EvidenceOrder(server_id=server_id, evidence=TICKET, actor="mallory")
    forged = RecordEvidence(order=order, at=T0 - FAR)
    now = T0 + 3 * DAY
    result = await run(house.evidence.record_evidence, forged, at=now)
    assert result.outcome is EvidenceOutcome.RECORDED
    assert result.free_from is not None
    assert result.free_from >= now + QUARANTINE


async def test_a_time_long_past_shortens_no_quarantine_of_healed_addresses(house: House) -> None:
    _, _, address = await given_to_the_dead(house)
    reconciler = Reconciler(house.database, house.local, QUARANTINE)
    now = T0 + DAY
    await run(reconciler.check_addresses, CheckOrder(dry_run=False, at=T0 - FAR), at=now)
    assert (await house.address_row(address))["free_from"] >= now + QUARANTINE
