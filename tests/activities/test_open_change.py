"""Opening: accepted or rejected with all figures, once; what a lost run left behind is settled first."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from temporalio.exceptions import ApplicationError

from changeover.domain import problems
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.quote import confirmation_digest, to_record
from changeover.storage import tables
from tests.activities.house import CODE_POLICY, House, run
from tests.storage.rows import (
    BLOCKS,
    CATALOGUE,
    DAY,
    MINUTE,
    SECOND,
    T0,
    add_free_addresses,
    load_catalogue,
    rent,
    row_of,
    rows_of,
    snapshot,
)
from workflows.messages import Abandon, OpenChange


async def test_an_accepted_row_is_complete(house: House) -> None:
    rented = await house.rent(servers=3, marked=1, passes=1, last_committed_at=T0 - 5 * DAY)
    wanted = rented.wants(24, 2, "backups")
    quote = await house.quote(rented, wanted)
    request = await house.request(rented, wanted)

    opened = await house.open(request, T0 + timedelta(microseconds=999_999))

    change = await house.change(request.change_id)
    assert change.stage is Stage.AWAITING_CODE
    assert (change.reason, change.cause, change.refusal) == (None, None, None)
    assert change.as_of == T0
    assert change.window_ends_at == T0 + CODE_POLICY.window
    assert change.fingerprint == request.fingerprint
    assert (change.account_id, change.service_id) == (rented.account_id, rented.service_id)
    assert (change.configuration_before, change.configuration_after) == (rented.wants(), wanted)
    assert change.terms == quote.terms
    # 20 days at 3 x 20 x 100 = 6000 are, at 2 x (24 x 100 + 150) = 5100, 2,032,941 s
    assert change.new_expires_at == T0 + timedelta(seconds=20 * 86_400 * 6000 // 5100)
    assert (change.days_before, change.days_after) == (20, 23)
    assert change.destroys == [
        {"id": rented.servers[2], "name": "server-3", "address": rented.addresses[2], "backups": 3}
    ]
    assert (change.creates, change.spends_pass) == (0, True)
    assert quote.digest is not None
    assert change.confirmation_digest == confirmation_digest(quote.digest, T0, change.new_expires_at)
    assert (change.code_key_id, change.code_number) == ("k1", 1)
    assert (change.code_handed_over_at, change.code_expires_at) == (None, None)
    assert (change.wrong_on_code, change.wrong_on_change, change.accepted_proof) == (0, 0, None)
    assert (change.committed_at, change.closed_at) == (None, None)
    entries = await house.trail(change.id)
    assert [(it["event"], it["stage"], it["actor"]) for it in entries] == [
        ("requested", "requested", "customer"),
        ("accepted", "awaiting_code", "system"),
    ]
    state = opened.change
    assert opened.answer.stage is Stage.AWAITING_CODE
    assert [server.server_id for server in opened.recap.gives_up] == [rented.servers[2]]
    assert opened.recap.title == "blocks 3 x 20 slots -> blocks 2 x 24 slots +backups"
    assert opened.recap.new_limits
    assert state.codes is not None
    assert state.codes.window_ends_at == T0 + CODE_POLICY.window


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, int, str], dict[str, Any]]] = {
    "service-expired": (
        {"expires_at": T0},
        (24, 3, "blocks"),
        {"expired_at": T0.isoformat()},
    ),
    "recurring-payment-active": ({"paypal": True}, (24, 3, "blocks"), {}),
    "configuration-invalid": (
        {},
        (21, 3, "blocks"),
        {"field": "slots", "allowed": {"min": 8, "max": 64, "step": 2}},
    ),
    "nothing-changes": ({}, (20, 3, "blocks"), {}),
    "servers-not-marked": ({}, (24, 1, "blocks"), {"to_mark": 2}),
    "servers-marked-mismatch": ({"marked": 1}, (24, 1, "blocks"), {"kept": 2}),
    "change-too-soon": (
        {"last_committed_at": T0 - 29 * DAY},
        (24, 3, "blocks"),
        {"next_change_at": (T0 + DAY).isoformat()},
    ),
    "insufficient-days": (
        {"expires_at": T0 + 3 * DAY, "servers": 1, "slots": 10},
        (32, 1, "blocks"),
        {"required": 4, "remaining": 3},
    ),
    "too-many-days": (
        {"expires_at": T0 + 3000 * DAY, "servers": 1, "slots": 32},
        (8, 1, "blocks"),
        {"days_after": 12000, "most": 3650},
    ),
    "no-capacity": ({}, (20, 5, "blocks"), {"free": 1, "needed": 2}),
}


@pytest.mark.parametrize("reason", sorted(REFUSED))
async def test_a_refusal_is_recorded_with_its_figures(house: House, reason: str) -> None:
    service, (slots, count, offer), figures = REFUSED[reason]
    rented = await house.rent(**service)
    await add_free_addresses(house.database, 1)
    before = await snapshot(house.database, tables.plan_changes, tables.trail)
    request = await house.request(rented, rented.wants(slots, count, offer=offer))

    opened = await house.open(request)

    assert (opened.answer.stage, opened.answer.reason) == (Stage.REJECTED, reason)
    assert opened.change.codes is None
    change = await house.change(request.change_id)
    assert (change.stage, change.reason, change.closed_at) == (Stage.REJECTED, reason, T0)
    assert change.refusal is not None
    assert change.refusal[0] == {"code": reason, **figures}
    assert await house.events(request.change_id) == ["requested", "rejected"]
    assert (await house.trail(request.change_id))[1]["data"] == {"reason": reason}
    assert await snapshot(house.database, tables.plan_changes, tables.trail) == before


async def test_a_rate_of_nothing_is_not_convertible(house: House) -> None:
    gift = replace(BLOCKS, code="gift", per_slot=0)
    await load_catalogue(house.database, {**CATALOGUE, "gift": gift})
    rented = await rent(house.database)
    opened = await house.open(await house.request(rented, rented.wants(offer="gift")))
    assert opened.answer.reason == "not-convertible"


async def test_every_blocker_is_kept_the_first_is_the_reason(house: House) -> None:
    rented = await house.rent(paypal=True, marked=1, last_committed_at=T0 - DAY)
    request = await house.request(rented, rented.wants(24, 3))
    opened = await house.open(request)
    assert opened.answer.reason == "recurring-payment-active"
    refusal = (await house.change(request.change_id)).refusal
    assert refusal is not None
    assert [record["code"] for record in refusal] == [
        "recurring-payment-active",
        "servers-marked-mismatch",
        "change-too-soon",
    ]


async def test_another_quote_than_the_confirmed_one_is_stale_and_the_fresh_one_is_told(house: House) -> None:
    rented = await house.rent()
    wanted = rented.wants(24)
    request = await house.request(rented, wanted, digest="0" * 64, no_refund=False)
    opened = await house.open(request)
    assert opened.answer.reason == "quote-stale"  # judged before the acknowledgement
    refusal = (await house.change(request.change_id)).refusal
    quote = await house.quote(rented, wanted)
    assert refusal == [{"code": "quote-stale", "quote": to_record(quote)}]


@pytest.mark.parametrize("different", [{"no_refund": False}, {"destroys": ()}, {"destroys": ("another",)}])
async def test_what_is_not_acknowledged_is_refused(house: House, different: dict[str, Any]) -> None:
    rented = await house.rent(marked=1)
    request = await house.request(rented, rented.wants(24, 2), **different)
    opened = await house.open(request)
    assert opened.answer.reason == "acknowledgement-missing"
    refusal = (await house.change(request.change_id)).refusal
    assert refusal is not None
    assert problems.from_record(refusal[0]) == problems.AcknowledgementMissing(
        no_refund=request.no_refund, destroys=[rented.servers[2]]
    )


async def test_destroyed_servers_may_be_acknowledged_in_any_order(house: House) -> None:
    rented = await house.rent(servers=4, marked=2)
    request = await house.request(rented, rented.wants(24, 2))
    turned = replace(request, destroys=tuple(reversed(request.destroys)))
    assert (await house.open(turned)).answer.stage is Stage.AWAITING_CODE


async def test_the_same_change_again_is_answered_as_recorded(house: House) -> None:
    rented = await house.rent()
    request = await house.request(rented, rented.wants(24))
    first = await house.open(request)
    again = await house.open(request, T0 + 5 * MINUTE)
    assert again == first
    assert len(await rows_of(house.database, tables.plan_changes)) == 1
    assert await house.events(request.change_id) == ["requested", "accepted"]

    refused = await house.request(rented, rented.wants(21))
    assert await house.open(refused) == await house.open(refused, T0 + DAY)


async def test_twenty_at_once_with_different_keys_open_one_change(house: House) -> None:
    rented = await house.rent()
    requests = [await house.request(rented, rented.wants(24)) for _ in range(20)]
    answers = await asyncio.gather(*(house.open(request) for request in requests))
    reasons = [opened.answer.reason for opened in answers]
    assert reasons.count(None) == 1
    assert reasons.count("change-in-progress") == 19
    rows = await rows_of(house.database, tables.plan_changes, stage="awaiting_code")
    assert len(rows) == 1


async def test_twenty_at_once_with_one_key_open_one_change(house: House) -> None:
    rented = await house.rent()
    request = await house.request(rented, rented.wants(24))
    answers = await asyncio.gather(*(house.open(request) for _ in range(20)))
    assert all(opened == answers[0] for opened in answers)
    assert len(await rows_of(house.database, tables.plan_changes)) == 1


async def test_another_accounts_service_is_refused_and_nothing_is_written(house: House) -> None:
    mine, other = await house.rent(), await house.rent(name="bruno")
    for service_id in (other.service_id, "no-such-service"):
        request = await house.request(mine, mine.wants(24), service_id=service_id)
        with pytest.raises(ApplicationError) as caught:
            await house.open(request)
        assert (caught.value.type, caught.value.non_retryable) == ("Unauthorised", True)
    assert await rows_of(house.database, tables.plan_changes) == []


async def opened_at(house: House, moment: datetime, opened_rent: Any) -> str:
    request = await house.request(opened_rent, opened_rent.wants(24), moment)
    await house.open(request, moment)
    return request.change_id


async def test_an_orphan_that_awaited_its_code_is_abandoned_first(house: House) -> None:
    rented = await house.rent()
    orphan = await opened_at(house, T0, rented)
    later = T0 + SECOND
    request = await house.request(rented, rented.wants(26), later)
    blocked = await house.quote(rented, rented.wants(26), later)
    assert [blocker.code for blocker in blocked.blockers] == ["change-in-progress"]
    digest = replace(blocked, blockers=()).digest
    assert digest is not None
    request = replace(request, digest=digest)
    opened = await house.open(request, later)
    assert opened.answer.stage is Stage.AWAITING_CODE
    assert opened.recap.change_id == request.change_id
    gone = await house.change(orphan)
    assert (gone.stage, gone.reason, gone.closed_at) == (Stage.ABANDONED, "interrupted", later)
    assert (await house.trail(orphan))[-1]["data"] == {"reason": "interrupted"}


async def test_an_open_row_as_young_as_the_request_is_left_alone(house: House) -> None:
    rented = await house.rent()
    present = await opened_at(house, T0, rented)
    late = await house.request(rented, rented.wants(26))
    opened = await house.open(late, T0 + timedelta(microseconds=500_000))
    assert opened.answer.reason == "change-in-progress"
    assert opened.recap.change_id == late.change_id
    assert (await house.change(present)).stage is Stage.AWAITING_CODE
    refusal = (await house.change(late.change_id)).refusal
    assert refusal is not None
    assert refusal[0] == {"code": "change-in-progress", "plan_change_id": present}


@pytest.mark.parametrize("stage", ["committed", "applying", "needs_attention"])
async def test_a_committed_orphan_is_adopted_however_often_it_is_asked(house: House, stage: str) -> None:
    rented = await house.rent(marked=1)
    orphan = await house.committed(rented, rented.wants(24, 2))
    await house.set_stage(orphan, stage)
    later = T0 + 5 * MINUTE
    request = await house.request(rented, rented.wants(26, 2), later)

    opened = await house.open(request, later)
    assert opened.answer.reason == "change-in-progress"
    assert opened.recap.change_id == orphan
    assert opened.change.stage == stage
    assert [server.server_id for server in opened.recap.gives_up] == [rented.servers[2]]

    # The answer was lost with the worker: the next one must adopt it all the same, or nobody ever does.
    assert await house.open(request, later + MINUTE) == opened
    assert (await house.change(orphan)).stage == stage


async def test_a_recorded_change_is_its_own_even_when_it_is_committed(house: House) -> None:
    rented = await house.rent()
    request = await house.request(rented, rented.wants(24))
    await house.open(request)
    await house.hand_over(request.change_id)
    await house.confirm(request.change_id)
    opened = await house.open(request, T0 + 3 * MINUTE)
    assert opened.recap.change_id == request.change_id
    assert opened.answer.stage is Stage.COMMITTED


async def test_an_abandoned_change_makes_way_for_the_next(house: House) -> None:
    rented = await house.rent()
    first = await opened_at(house, T0, rented)
    order = Abandon(change_id=first, reason=AbandonReason.CANCELLED, actor="customer", at=T0 + MINUTE)
    await run(house.transactions.abandon_change, order)
    again = await house.request(rented, rented.wants(24))
    assert (await house.open(again)).answer.stage is Stage.AWAITING_CODE


async def test_without_a_catalogue_opening_is_a_defect_to_be_tried_again(house: House) -> None:
    await load_catalogue(house.database)
    rented = await rent(house.database)
    request = await house.request(rented, rented.wants(24))
    for table in (tables.offer_options, tables.offers, tables.catalogues):
        await house.database.write(lambda connection, it=table: connection.execute(delete(it)))  # type: ignore[misc]
    with pytest.raises(ApplicationError) as caught:
        await run(house.transactions.open_change, OpenChange(request=request, at=T0))
    assert (caught.value.type, caught.value.non_retryable) == ("Defect", False)
    assert await rows_of(house.database, tables.plan_changes) == []
    assert (await row_of(house.database, tables.services))["slots"] == 20
