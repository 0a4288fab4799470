"""Asking for a change while the engine is away, and what a key was answered with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from changeover.domain import problems
from changeover.storage import tables
from starter import writes
from starter.customer_services import moment
from starter.engine import connect_to_temporal, temporal_address
from starter.engine_calls import EngineCalls, RunIsGone
from starter.plan_changes import PlanChanges, _fingerprint
from starter.views import Acknowledgement, Requested
from tests.activities.house import House
from tests.storage.rows import DAY, MINUTE, SECOND, T0, Rented, rows_of, set_values, snapshot
from workflows import ids

AGREED = Acknowledgement(no_refund=True)


async def ask(
    facade: PlanChanges, rented: Rented, key: str = "k", *, slots: int = 24, digest: str | None = None
) -> Requested:
    wanted = rented.wants(slots)
    quote = await facade.quote(rented.account_id, rented.service_id, wanted)
    return await facade.request(
        rented.account_id,
        rented.service_id,
        wanted,
        digest=quote.digest or "" if digest is None else digest,
        acknowledge=AGREED,
        idempotency_key=key,
    )


async def rented_now(house: House, **what: Any) -> Rented:
    return await house.rent(**({"expires_at": moment() + 20 * DAY} | what))


async def recorded(house: House, rented: Rented, key: str = "k", slots: int = 24) -> str:
    """Have the worker judge what `ask` asks for, as if its answer had been lost on the way."""
    now = moment().replace(microsecond=0)
    wanted = rented.wants(slots)
    quote = await house.quote(rented, wanted, now)
    digest = quote.digest or ""
    request = await house.request(rented, wanted, now)
    change_id = ids.change_id(rented.account_id, rented.service_id, key)
    fingerprint = _fingerprint(wanted, digest, AGREED)
    await house.open(replace(request, change_id=change_id, fingerprint=fingerprint), now)
    return change_id


async def test_with_the_engine_away_nothing_is_written(house: House, facade: PlanChanges) -> None:
    rented = await rented_now(house)
    before = await snapshot(house.database)
    with pytest.raises(problems.EngineUnavailable) as caught:
        await asyncio.wait_for(ask(facade, rented), 10)
    assert caught.value.figures == {"retry_after": 5}
    assert await snapshot(house.database) == before


async def test_an_answer_that_was_recorded_is_given_with_the_engine_away(
    house: House, facade: PlanChanges
) -> None:
    rented = await rented_now(house)
    change_id = await recorded(house, rented)
    quote = await house.quote(rented, rented.wants(24), moment())
    digest = _open_digest(quote)
    answer = await ask(facade, rented, digest=digest)
    assert (answer.id, answer.stage, answer.tries_left) == (change_id, "awaiting_code", 5)
    assert answer.sent_to == "a***@e***.com"
    change = await house.change(change_id)
    assert answer.new_expires_at == change.new_expires_at
    assert (answer.as_of, answer.window_ends_at) == (change.as_of, change.as_of + 60 * MINUTE)
    assert answer.days_after == change.days_after

    await facade.renew(rented.account_id, rented.service_id, 30, idempotency_key="renewal")
    assert await ask(facade, rented, digest=digest) == answer  # the same answer, whatever came after it


def _open_digest(quote: Any) -> str:
    """Return the quote's digest as it was before the change itself was open."""
    return str(replace(quote, blockers=()).digest)


async def test_a_recorded_refusal_is_raised_again_with_all_its_blockers(
    house: House, facade: PlanChanges
) -> None:
    rented = await rented_now(house, paypal=True, last_committed_at=moment() - DAY)
    await recorded(house, rented)
    await set_values(house.database, tables.services, rented.service_id, recurring_payment_active=False)
    with pytest.raises(problems.RecurringPaymentActive) as caught:
        await ask(facade, rented)
    assert [blocker.code for blocker in caught.value.blockers] == [
        "recurring-payment-active",
        "change-too-soon",
    ]


async def test_a_key_with_another_body_is_refused(house: House, facade: PlanChanges) -> None:
    rented = await rented_now(house)
    await recorded(house, rented)
    before = await snapshot(house.database)
    with pytest.raises(problems.IdempotencyKeyReused):
        await ask(facade, rented, slots=26)
    assert await snapshot(house.database) == before


def a_key(rented: Rented, fingerprint: str = "f" * 64) -> writes.Key:
    return writes.Key(
        account_id=rented.account_id,
        route=f"plan-changes/{rented.service_id}",
        key="k",
        fingerprint=fingerprint,
    )


async def recall(house: House, key: writes.Key, now: datetime) -> None:
    async with house.database.read() as connection:
        await writes.recall_refusal(connection, key, now)


REFUSAL = problems.ChangeInProgress(plan_change_id="another")


async def test_a_remembered_refusal_is_raised_for_a_day(house: House) -> None:
    rented = await house.rent()
    key = a_key(rented)
    paypal = problems.RecurringPaymentActive()
    await writes.remember_refusal(house.database, key, REFUSAL.among((REFUSAL, paypal)), T0)
    for later in (0 * SECOND, DAY - SECOND):
        with pytest.raises(problems.ChangeInProgress) as caught:
            await recall(house, key, T0 + later)
        assert caught.value == REFUSAL
        assert caught.value.blockers == (REFUSAL, paypal)
    await recall(house, key, T0 + DAY)
    with pytest.raises(problems.IdempotencyKeyReused):
        await recall(house, a_key(rented, "0" * 64), T0)


async def test_the_first_refusal_of_a_key_stands(house: House) -> None:
    key = a_key(await house.rent())
    await writes.remember_refusal(house.database, key, REFUSAL, T0)
    await writes.remember_refusal(house.database, key, problems.NothingChanges(), T0 + SECOND)
    with pytest.raises(problems.ChangeInProgress):
        await recall(house, key, T0 + SECOND)
    await writes.remember_refusal(house.database, key, problems.NothingChanges(), T0 + DAY)
    with pytest.raises(problems.NothingChanges):
        await recall(house, key, T0 + DAY)


async def test_one_key_refused_twenty_times_at_once_is_remembered_once(house: House) -> None:
    key = a_key(await house.rent())
    await asyncio.gather(*(writes.remember_refusal(house.database, key, REFUSAL, T0) for _ in range(20)))
    assert len(await rows_of(house.database, tables.idempotency_keys)) == 1


async def test_a_refusal_for_an_open_change_is_remembered(
    house: House, facade: PlanChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that has the service's lock refuses a second change; the row of the first says the same."""
    rented = await rented_now(house)
    present = await recorded(house, rented, key="first")

    async def refusing(*_: object, **__: object) -> None:
        raise problems.ChangeInProgress(plan_change_id=present)

    monkeypatch.setattr(facade._engine, "request", refusing)
    with pytest.raises(problems.ChangeInProgress):
        await ask(facade, rented, key="second", slots=26)
    await set_values(house.database, tables.plan_changes, present, stage="abandoned")
    monkeypatch.undo()
    with pytest.raises(problems.ChangeInProgress) as caught:
        await ask(facade, rented, key="second", slots=26, digest="")
    assert caught.value.figures == {"plan_change_id": present}


async def test_a_run_that_is_just_ending_is_waited_for(
    house: House, facade: PlanChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    rented = await rented_now(house)
    asked = 0

    async def ending(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise problems.EngineUnavailable(retry_after=1)
        raise problems.ChangeInProgress(plan_change_id="another")

    monkeypatch.setattr(facade, "_timeout", timedelta(minutes=1))
    monkeypatch.setattr(facade._engine, "request", ending)
    with pytest.raises(problems.EngineUnavailable):
        await ask(facade, rented)
    assert asked == 3
    assert await rows_of(house.database, tables.idempotency_keys) == []


async def test_a_run_that_is_only_beginning_is_not_told_to_look(
    house: House, facade: PlanChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away its row isn't written: the order to look would give it up when it is."""
    rented = await rented_now(house)
    told: list[object] = []

    async def beginning(*_: object, **__: object) -> None:
        raise problems.ChangeInProgress(plan_change_id="not-yet-written")

    async def telling(*given: object, **__: object) -> None:
        told.append(given)

    monkeypatch.setattr(facade._engine, "request", beginning)
    monkeypatch.setattr(facade._engine, "update", telling)
    with pytest.raises(problems.EngineUnavailable):
        await ask(facade, rented)
    assert told == []


Doing = Callable[[PlanChanges, str, str], Awaitable[object]]
DOINGS: dict[str, Doing] = {
    "submit_code": lambda facade, account, change: facade.submit_code(account, change, "bcdf ghjk"),
    "resend_code": lambda facade, account, change: facade.resend_code(account, change),
    "cancel": lambda facade, account, change: facade.cancel(account, change),
}


@pytest.mark.parametrize("name", sorted(DOINGS))
async def test_what_needs_the_engine_says_so_and_changes_nothing(
    house: House, facade: PlanChanges, name: str
) -> None:
    rented = await rented_now(house)
    change_id = await recorded(house, rented)
    await house.hand_over(change_id, moment())
    before = await snapshot(house.database)
    with pytest.raises(problems.EngineUnavailable):
        await DOINGS[name](facade, rented.account_id, change_id)
    assert await snapshot(house.database) == before


@pytest.mark.parametrize("name", sorted(DOINGS))
async def test_a_closed_change_is_closed_with_the_engine_away(
    house: House, facade: PlanChanges, name: str
) -> None:
    rented = await rented_now(house)
    change_id = await recorded(house, rented)
    await set_values(house.database, tables.plan_changes, change_id, stage="abandoned", reason="window-over")
    with pytest.raises(problems.ChangeClosed) as caught:
        await DOINGS[name](facade, rented.account_id, change_id)
    assert caught.value.figures == {"outcome": "abandoned", "reason": "window-over"}


async def test_cancelled_twice_is_cancelled(house: House, facade: PlanChanges) -> None:
    rented = await rented_now(house)
    change_id = await recorded(house, rented)
    await set_values(house.database, tables.plan_changes, change_id, stage="abandoned", reason="cancelled")
    view = await facade.cancel(rented.account_id, change_id)
    assert (view.outcome, view.reason) == ("abandoned", "cancelled")


@pytest.mark.parametrize("code", ["", "BCDF", "AEIOUYAE", "BCDF-GHJK-L", "12345678"])
async def test_what_can_not_be_a_code_is_not_counted(house: House, facade: PlanChanges, code: str) -> None:
    rented = await rented_now(house)
    change_id = await recorded(house, rented)
    before = await snapshot(house.database)
    with pytest.raises(problems.RequestInvalid):
        await facade.submit_code(rented.account_id, change_id, code)
    assert await snapshot(house.database) == before


async def test_the_accepted_code_sent_again_is_accepted(house: House, facade: PlanChanges) -> None:
    rented = await rented_now(house)
    change_id = await recorded(house, rented)
    now = moment()
    await house.hand_over(change_id, now - SECOND)
    await house.confirm(change_id, at=now)
    code = house.keys.code_of(await house.change(change_id))
    view = await facade.submit_code(rented.account_id, change_id, f" {code[:4].lower()}-{code[4:]} ")
    assert view.outcome == "committed"
    with pytest.raises(problems.ChangeClosed):
        await facade.submit_code(rented.account_id, change_id, "BBBBBBBB")


@pytest.mark.parametrize("status", [RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED])
async def test_an_engine_that_does_not_answer_is_unavailable(
    status: RPCStatusCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = await engine_calls(monkeypatch)
    with pytest.raises(problems.EngineUnavailable):
        await calls.hear(failing(RPCError("away", status, b"")))


async def test_a_run_that_is_gone_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = await engine_calls(monkeypatch)
    with pytest.raises(RunIsGone):
        await calls.hear(failing(RPCError("gone", RPCStatusCode.NOT_FOUND, b"")))


async def failing(error: Exception) -> None:
    raise error


async def engine_calls(monkeypatch: pytest.MonkeyPatch) -> EngineCalls:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    return EngineCalls(await connect_to_temporal(lazy=True), "queue", timedelta(seconds=0.5))


async def test_calls_to_the_engine_are_not_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    client = await connect_to_temporal(lazy=True)
    assert client.service_client.config.grpc_compression is GrpcCompression.NONE


async def test_connecting_for_real_needs_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert temporal_address() == "127.0.0.1:1"
    with pytest.raises(problems.EngineUnavailable):
        await connect_to_temporal()


async def test_a_void_code_says_so_to_a_repeated_try_without_asking_the_engine(
    house: House, facade: PlanChanges
) -> None:
    rented = await house.rent()
    change_id = await house.awaiting(rented, rented.wants(24))
    await set_values(house.database, tables.plan_changes, change_id, wrong_on_code=5, wrong_on_change=5)
    with pytest.raises(problems.CodeLocked):
        await facade.submit_code(rented.account_id, change_id, "BBBB-BBBB")


async def test_before_its_hand_over_no_code_is_valid_and_the_engine_is_not_asked(
    house: House, facade: PlanChanges
) -> None:
    rented = await house.rent()
    change_id = await house.awaiting(rented, rented.wants(24))
    await set_values(house.database, tables.plan_changes, change_id, code_handed_over_at=None)
    with pytest.raises(problems.CodeExpired):
        await facade.submit_code(rented.account_id, change_id, "BBBB-BBBB")
