"""Asking for a new code, abandoning, completing: each once, however often it is run."""

from collections.abc import Callable

import pytest
from temporalio.exceptions import ApplicationError

from activities.database import CodeKeys
from activities.failures import CodeKeyMissing
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.storage import tables
from tests.activities.house import CODE_KEY, PROOF_KEY, House, run
from tests.storage.rows import MINUTE, SECOND, T0, snapshot
from workflows.messages import (
    Abandon,
    ChangeAt,
    ChangeState,
    CodeAttempt,
    HostOrder,
    JudgeCode,
    RequestCode,
    SendCode,
    SendOutcome,
    TeardownOrder,
)


async def ask(house: House, change_id: str, number: int, after: float) -> ChangeState:
    """Ask for code `number`, so many minutes from T0."""
    order = RequestCode(change_id=change_id, number=number, at=T0 + after * MINUTE)
    return await run(house.transactions.request_code, order)


async def awaiting(house: House) -> str:
    rented = await house.rent(marked=1)
    return await house.awaiting(rented, rented.wants(24, 2))


async def test_a_new_code_voids_the_one_before(house: House) -> None:
    change_id = await awaiting(house)
    for number in range(5):
        await house.judge(change_id, house.wrong_proof(change_id, number))
    old = await house.right_proof(change_id)
    state = await ask(house, change_id, 2, 3)
    assert state.codes is not None
    assert (state.codes.number, state.codes.handed_over_at) == (2, None)
    assert (state.codes.wrong_on_code, state.codes.wrong_on_change) == (0, 5)
    change = await house.change(change_id)
    assert (change.code_expires_at, change.code_handed_over_at) == (None, None)
    assert await house.right_proof(change_id) != old
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["actor"], last["data"]) == ("code_requested", "customer", {"number": 2})


async def test_asked_twice_for_the_same_number_is_asked_once(house: House) -> None:
    change_id = await awaiting(house)
    first = await ask(house, change_id, 2, 3)
    assert await ask(house, change_id, 2, 4) == first
    assert (await house.events(change_id)).count("code_requested") == 1


@pytest.mark.parametrize(("seconds", "number"), [(59.999, 1), (60, 2)])
async def test_a_new_code_waits_for_a_minute_after_the_last(
    house: House, seconds: float, number: int
) -> None:
    change_id = await awaiting(house)  # handed over a minute after T0
    state = await ask(house, change_id, 2, 1 + seconds / 60)
    assert state.codes is not None
    assert state.codes.number == number


async def test_a_code_that_is_not_handed_over_yet_is_not_replaced(house: House) -> None:
    change_id = await awaiting(house)
    await ask(house, change_id, 2, 3)
    state = await ask(house, change_id, 3, 30)
    assert state.codes is not None
    assert state.codes.number == 2


async def test_the_third_mail_is_the_last(house: House) -> None:
    change_id = await awaiting(house)
    for number in (2, 3, 4):
        await ask(house, change_id, number, 3 * number)
        await house.hand_over(change_id, T0 + (3 * number) * MINUTE)
    assert (await house.change(change_id)).code_number == 3
    assert (await house.events(change_id)).count("code_requested") == 2


async def test_no_number_is_passed_over(house: House) -> None:
    change_id = await awaiting(house)
    await ask(house, change_id, 3, 5)
    assert (await house.change(change_id)).code_number == 1


async def test_no_new_code_for_a_closed_change(house: House) -> None:
    change_id = await awaiting(house)
    await house.confirm(change_id)
    before = await snapshot(house.database)
    assert (await ask(house, change_id, 2, 5)).stage is Stage.COMMITTED
    assert await snapshot(house.database) == before


@pytest.mark.parametrize("reason", list(AbandonReason))
async def test_abandoning_says_why_and_who_and_changes_nothing_else(
    house: House, reason: AbandonReason
) -> None:
    change_id = await awaiting(house)
    before = await snapshot(house.database, tables.plan_changes, tables.trail)
    order = Abandon(change_id=change_id, reason=reason, actor="olga", at=T0 + 3 * MINUTE)
    state = await run(house.transactions.abandon_change, order)
    assert (state.stage, state.reason) == (Stage.ABANDONED, reason)
    change = await house.change(change_id)
    assert (change.reason, change.closed_at, change.committed_at) == (reason, T0 + 3 * MINUTE, None)
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["actor"], last["data"]) == ("abandoned", "olga", {"reason": reason})
    assert await snapshot(house.database, tables.plan_changes, tables.trail) == before


async def test_the_first_reason_stands(house: House) -> None:
    change_id = await awaiting(house)
    for reason in (AbandonReason.CANCELLED, AbandonReason.WINDOW_OVER):
        order = Abandon(change_id=change_id, reason=reason, actor="customer", at=T0 + 3 * MINUTE)
        state = await run(house.transactions.abandon_change, order)
        assert state.reason == "cancelled"
    assert (await house.events(change_id)).count("abandoned") == 1


async def test_what_is_committed_is_not_abandoned(house: House) -> None:
    change_id = await awaiting(house)
    await house.confirm(change_id)
    before = await snapshot(house.database)
    order = Abandon(change_id=change_id, reason=AbandonReason.WINDOW_OVER, actor="system", at=T0 + MINUTE)
    assert (await run(house.transactions.abandon_change, order)).stage is Stage.COMMITTED
    assert await snapshot(house.database) == before


async def test_unfinished_work_is_no_completion(house: House) -> None:
    change_id = await awaiting(house)
    await house.confirm(change_id)
    before = await snapshot(house.database)
    with pytest.raises(ApplicationError) as caught:
        await house.complete(change_id)
    assert (caught.value.type, caught.value.non_retryable) == ("Defect", False)
    assert await snapshot(house.database) == before


@pytest.mark.parametrize("stage", ["awaiting_code", "abandoned"])
async def test_what_was_never_committed_is_never_completed(house: House, stage: str) -> None:
    change_id = await awaiting(house)
    await house.set_stage(change_id, stage)
    with pytest.raises(ApplicationError):
        await house.complete(change_id)
    assert (await house.change(change_id)).stage == stage


async def test_completion_comes_after_all_work_and_is_told_once(house: House) -> None:
    rented = await house.rent(marked=1)
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(24, 2))
    await run(house.servers.apply_limits, HostOrder(change_id=change_id))
    await house.tear_down(change_id, rented.servers[2])
    at = T0 + 9 * MINUTE
    assert await house.complete(change_id, at) == "completed"
    assert await house.complete(change_id, at + SECOND) == "completed"
    assert (await house.change(change_id)).closed_at == at
    events = await house.events(change_id)
    assert events == [
        "requested",
        "accepted",
        "committed",
        "applying",
        "limits_applied",
        "limits_applied",
        "teardown_record",
        "teardown_stop",
        "teardown_delete_backups",
        "teardown_delete_data",
        "teardown_verify_gone",
        "server_destroyed",
        "completed",
    ]


async def test_every_entry_of_the_trail_says_when_and_by_whom(house: House) -> None:
    rented = await house.rent(marked=1)
    await house.put_on_host(rented)
    change_id = await house.awaiting(rented, rented.wants(20, 2))
    await house.judge(change_id, house.wrong_proof(change_id), at=T0 + 2 * MINUTE)
    await ask(house, change_id, 2, 3)
    await house.hand_over(change_id, T0 + 4 * MINUTE)
    await house.confirm(change_id, at=T0 + 5 * MINUTE)
    order = TeardownOrder(change_id=change_id, server_id=rented.servers[2])
    await run(house.servers.tear_down, order, at=T0 + 6 * MINUTE)
    await house.complete(change_id, T0 + 9 * MINUTE)
    entries = [(it["event"], it["actor"], (it["at"] - T0) // MINUTE) for it in await house.trail(change_id)]
    assert [entry for entry in entries if not entry[0].startswith("teardown_")] == [
        ("requested", "customer", 0),
        ("accepted", "system", 0),
        ("code_wrong", "customer", 2),
        ("code_requested", "customer", 3),
        ("committed", "customer", 5),
        ("applying", "system", 6),
        ("server_destroyed", "system", 6),
        ("completed", "system", 9),
    ]


async def test_the_stage_between_commit_and_completion_is_always_told(house: House) -> None:
    change_id = await awaiting(house)
    await house.confirm(change_id)
    everything = tables.tasks.update().values(state="done")
    await house.database.write(lambda connection: connection.execute(everything))
    assert await house.complete(change_id) == "completed"
    stages = [entry["stage"] for entry in await house.trail(change_id)][-3:]
    assert stages == ["committed", "applying", "completed"]


Orders = list[tuple[Callable[[House], Callable[..., object]], object]]
ORDERS: Orders = [
    (
        lambda house: house.transactions.judge_code,
        JudgeCode(attempt=CodeAttempt(change_id="none", number=1, proof="0"), at=T0),
    ),
    (lambda house: house.transactions.request_code, RequestCode(change_id="none", number=2, at=T0)),
    (
        lambda house: house.transactions.abandon_change,
        Abandon(change_id="none", reason=AbandonReason.CANCELLED, actor="customer", at=T0),
    ),
    (lambda house: house.transactions.complete_change, ChangeAt(change_id="none", at=T0)),
    (lambda house: house.mails.send_code, SendCode(change_id="none", number=1)),
    (lambda house: house.mails.send_outcome, SendOutcome(change_id="none")),
    (lambda house: house.servers.create_servers, HostOrder(change_id="none")),
    (lambda house: house.servers.apply_limits, HostOrder(change_id="none")),
]


@pytest.mark.parametrize(("activity", "order"), ORDERS, ids=[type(order).__name__ for _, order in ORDERS])
async def test_an_order_for_a_change_that_no_row_knows_is_refused_for_good(
    house: House, activity: Callable[[House], Callable[..., object]], order: object
) -> None:
    await house.rent()
    before = await snapshot(house.database)
    with pytest.raises(ApplicationError) as caught:
        await run(activity(house), order)  # type: ignore[arg-type]
    assert (caught.value.type, caught.value.non_retryable) == ("Unauthorised", True)
    assert await snapshot(house.database) == before


async def test_a_teardown_that_nobody_knows_is_done(house: House) -> None:
    order = TeardownOrder(change_id="none", server_id="none")
    assert await run(house.troubles.teardown_is_done, order)


async def test_a_change_keeps_the_key_that_it_began_with(house: House) -> None:
    change_id = await awaiting(house)
    right = await house.right_proof(change_id)
    change = await house.change(change_id)
    rotated = CodeKeys({"k1": CODE_KEY, "k2": b"d" * 32}, "k2", [PROOF_KEY])
    assert rotated.proof_of(change) == right
    house.transactions = house.transactions_with(rotated)
    assert (await house.judge(change_id, right)).judgement == "accepted"
    second = await awaiting(house)
    assert (await house.change(second)).code_key_id == "k2"
    with pytest.raises(CodeKeyMissing, match="needs the code key k1, which CHANGEOVER_CODE_KEYS lacks"):
        CodeKeys({"k2": b"d" * 32}, "k2", [PROOF_KEY]).proof_of(change)


async def test_a_removed_key_is_asked_for_by_name_and_nothing_is_judged(house: House) -> None:
    change_id = await awaiting(house)
    right = await house.right_proof(change_id)
    house.transactions = house.transactions_with(CodeKeys({"k2": b"d" * 32}, "k2", [PROOF_KEY]))
    before = await snapshot(house.database)
    attempt = CodeAttempt(change_id=change_id, number=1, proof=right)
    order, window_ends_at = JudgeCode(attempt=attempt, at=T0 + 2 * MINUTE), T0 + 60 * MINUTE
    with pytest.raises(ApplicationError, match="needs the code key k1") as caught:
        await run(house.transactions.judge_code, order, at=window_ends_at - SECOND)
    assert (caught.value.type, caught.value.non_retryable) == ("CodeKeyMissing", False)
    late = await run(house.transactions.judge_code, order, at=window_ends_at)
    assert late.judgement == "expired", "else its run would wait for the key for ever"
    assert await snapshot(house.database) == before


async def test_a_proof_under_the_key_before_counts_while_it_is_replaced(house: House) -> None:
    change_id = await awaiting(house)
    under_the_old_key = await house.right_proof(change_id)
    new = CodeKeys({"k1": CODE_KEY}, "k1", [b"n" * 32, PROOF_KEY])
    under_the_new_key = new.proof_of(await house.change(change_id))
    assert under_the_new_key != under_the_old_key
    house.transactions = house.transactions_with(new)
    assert (await house.judge(change_id, house.wrong_proof(change_id))).judgement == "wrong"
    assert (await house.judge(change_id, under_the_old_key)).judgement == "accepted"
    for again in (under_the_old_key, under_the_new_key):
        assert (await house.judge(change_id, again)).judgement == "accepted"
    assert (await house.judge(change_id, house.wrong_proof(change_id, 1))).judgement == "moot"
    house.transactions = house.transactions_with(CodeKeys({"k2": CODE_KEY}, "k2", [b"n" * 32, PROOF_KEY]))
    assert (await house.judge(change_id, under_the_new_key)).judgement == "moot"


async def test_a_proof_under_a_retired_key_is_wrong(house: House) -> None:
    change_id = await awaiting(house)
    right = await house.right_proof(change_id)
    house.transactions = house.transactions_with(CodeKeys({"k1": CODE_KEY}, "k1", [b"n" * 32]))
    assert (await house.judge(change_id, right)).judgement == "wrong"
