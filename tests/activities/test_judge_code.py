"""Judging: what counts, what doesn't, and when; a code is accepted once, and wrong tries are bounded."""

import asyncio

import pytest

from changeover.domain.lifecycle import Stage
from changeover.storage import tables
from tests.activities.house import House, in_parallel, run
from tests.storage.rows import MINUTE, SECOND, T0, Rented, rows_of, snapshot
from workflows.messages import Judged, Judgement, RequestCode

HANDED_OVER = T0 + MINUTE
CODE_ENDS = HANDED_OVER + 10 * MINUTE
UNDECIDED = (Judgement.LOCKED, Judgement.EXPIRED)


async def awaiting(house: House) -> tuple[Rented, str]:
    rented = await house.rent()
    return rented, await house.awaiting(rented, rented.wants(24))


async def ask_again(house: House, change_id: str, number: int, at_minute: int) -> None:
    """Void the code and have number `number` handed over at `at_minute` minutes from T0."""
    at = T0 + at_minute * MINUTE
    await run(house.transactions.request_code, RequestCode(change_id=change_id, number=number, at=at))
    await house.hand_over(change_id, at)


async def test_the_right_code_commits(house: House) -> None:
    rented, change_id = await awaiting(house)
    judged = await house.confirm(change_id)
    assert judged.judgement is Judgement.ACCEPTED
    assert judged.change.stage is Stage.COMMITTED
    service = await house.service_row(rented)
    assert service["slots"] == 24
    assert service["last_committed_at"] == T0 + 2 * MINUTE


async def test_a_wrong_code_is_counted_and_told(house: House) -> None:
    _, change_id = await awaiting(house)
    judged = await house.judge(change_id, house.wrong_proof(change_id))
    assert judged.judgement is Judgement.WRONG
    assert judged.change.codes is not None
    assert (judged.change.codes.wrong_on_code, judged.change.codes.wrong_on_change) == (1, 1)
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["actor"], last["at"]) == ("code_wrong", "customer", T0 + 2 * MINUTE)
    assert last["data"] == {"number": 1, "wrong_on_change": 1}
    (row,) = await rows_of(house.database, tables.code_tries)
    assert (row["number"], row["proof"], row["at"]) == (1, house.wrong_proof(change_id), T0 + 2 * MINUTE)


async def test_the_same_wrong_code_is_counted_once(house: House) -> None:
    _, change_id = await awaiting(house)
    proof = house.wrong_proof(change_id)
    answers = [await house.judge(change_id, proof) for _ in range(3)]
    assert {judged.judgement for judged in answers} == {Judgement.WRONG}
    assert (await house.change(change_id)).wrong_on_change == 1
    assert (await house.events(change_id)).count("code_wrong") == 1


async def test_the_same_letters_are_a_new_try_under_a_new_code(house: House) -> None:
    _, change_id = await awaiting(house)
    proof = house.wrong_proof(change_id)
    await house.judge(change_id, proof)
    await ask_again(house, change_id, 2, at_minute=3)
    judged = await house.judge(change_id, proof, number=2, at=T0 + 4 * MINUTE)
    assert judged.judgement is Judgement.WRONG
    change = await house.change(change_id)
    assert (change.wrong_on_code, change.wrong_on_change) == (1, 2)


async def test_after_five_wrong_tries_even_the_right_code_is_not_judged(house: House) -> None:
    rented, change_id = await awaiting(house)
    for number in range(5):
        judged = await house.judge(change_id, house.wrong_proof(change_id, number))
        assert judged.judgement is Judgement.WRONG
    before = await snapshot(house.database)
    assert (await house.confirm(change_id)).judgement is Judgement.LOCKED
    assert (await house.judge(change_id, house.wrong_proof(change_id, 9))).judgement is Judgement.LOCKED
    assert await snapshot(house.database) == before
    assert (await house.service_row(rented))["slots"] == 20


async def test_the_tenth_wrong_try_of_a_change_abandons_it(house: House) -> None:
    _, change_id = await awaiting(house)
    for number in range(5):
        await house.judge(change_id, house.wrong_proof(change_id, number))
    await ask_again(house, change_id, 2, at_minute=3)
    at = T0 + 4 * MINUTE
    for number in range(4):
        judged = await house.judge(change_id, house.wrong_proof(change_id, number), number=2, at=at)
        assert judged.change.stage is Stage.AWAITING_CODE
    last = await house.judge(change_id, house.wrong_proof(change_id, 9), number=2, at=at)
    assert last.judgement is Judgement.WRONG
    assert (last.change.stage, last.change.reason) == (Stage.ABANDONED, "too-many-tries")
    assert (await house.events(change_id))[-2:] == ["code_wrong", "abandoned"]
    assert (await house.confirm(change_id, at=at)).judgement is Judgement.MOOT


async def test_five_wrong_tries_on_the_last_code_abandon_the_change(house: House) -> None:
    _, change_id = await awaiting(house)
    await ask_again(house, change_id, 2, at_minute=3)
    await ask_again(house, change_id, 3, at_minute=5)
    for number in range(5):
        proof = house.wrong_proof(change_id, number)
        judged = await house.judge(change_id, proof, number=3, at=T0 + 6 * MINUTE)
    assert (judged.change.stage, judged.change.reason) == (Stage.ABANDONED, "too-many-tries")


@pytest.mark.parametrize(
    ("after", "judgement"),
    [
        (-SECOND / 1_000_000, Judgement.ACCEPTED),
        (0 * SECOND, Judgement.EXPIRED),
        (SECOND / 1_000_000, Judgement.EXPIRED),
    ],
)
async def test_a_code_expires_at_its_very_moment(house: House, after: object, judgement: Judgement) -> None:
    rented, change_id = await awaiting(house)
    judged = await house.confirm(change_id, at=CODE_ENDS + after)  # type: ignore[operator]
    assert judged.judgement is judgement
    assert (await house.change(change_id)).wrong_on_change == 0
    assert (await house.service_row(rented))["slots"] == (24 if judgement is Judgement.ACCEPTED else 20)


async def test_no_code_outlives_the_window(house: House) -> None:
    _, change_id = await awaiting(house)
    await house.hand_over(change_id, T0 + 55 * MINUTE)
    assert (await house.confirm(change_id, at=T0 + 60 * MINUTE)).judgement is Judgement.EXPIRED
    just_in_time = T0 + 60 * MINUTE - SECOND
    assert (await house.confirm(change_id, at=just_in_time)).judgement is Judgement.ACCEPTED


async def test_before_the_mail_is_handed_over_no_code_is_valid(house: House) -> None:
    rented = await house.rent()
    request = await house.request(rented, rented.wants(24))
    await house.open(request)
    assert (await house.confirm(request.change_id, at=T0 + SECOND)).judgement is Judgement.EXPIRED


async def test_the_code_before_a_new_one_is_void_and_not_counted(house: House) -> None:
    _, change_id = await awaiting(house)
    old = await house.right_proof(change_id)
    await ask_again(house, change_id, 2, at_minute=3)
    at = T0 + 4 * MINUTE
    assert (await house.judge(change_id, old, number=1, at=at)).judgement is Judgement.EXPIRED
    assert (await house.change(change_id)).wrong_on_change == 0
    as_new = await house.judge(change_id, old, number=2, at=at)
    assert as_new.judgement is Judgement.WRONG  # another number has another code


async def test_the_code_of_another_change_is_wrong(house: House) -> None:
    _, change_id = await awaiting(house)
    _, other = await awaiting(house)
    proof = await house.right_proof(other)
    assert (await house.judge(change_id, proof)).judgement is Judgement.WRONG
    assert (await house.change(other)).stage is Stage.AWAITING_CODE


async def test_committing_twice_is_committing_once(house: House) -> None:
    rented, change_id = await awaiting(house)
    first = await house.confirm(change_id)
    before = await snapshot(house.database)
    again = await house.confirm(change_id, at=T0 + 9 * MINUTE)
    assert again == first
    assert await snapshot(house.database) == before
    wrong = await house.judge(change_id, house.wrong_proof(change_id))
    assert wrong.judgement is Judgement.MOOT
    assert (await house.service_row(rented))["slots"] == 24


async def test_fifty_wrong_guesses_at_once_count_five(house: House) -> None:
    _, change_id = await awaiting(house)
    guesses = in_parallel(50, lambda number: house.judge(change_id, house.wrong_proof(change_id, number)))
    answers: list[Judged] = await asyncio.gather(*guesses)
    verdicts = [judged.judgement for judged in answers]
    assert verdicts.count(Judgement.WRONG) == 5
    assert verdicts.count(Judgement.LOCKED) == 45
    assert len(await rows_of(house.database, tables.code_tries)) == 5
    assert (await house.change(change_id)).wrong_on_change == 5
    assert (await house.events(change_id)).count("code_wrong") == 5


async def test_over_all_codes_of_a_change_ten_wrong_guesses_are_judged(house: House) -> None:
    _, change_id = await awaiting(house)
    judged: list[Judged] = []
    for number in (1, 2, 3):
        if number > 1:
            await ask_again(house, change_id, number, at_minute=2 * number)
        at = T0 + (2 * number + 1) * MINUTE
        proofs = [house.wrong_proof(change_id, 100 * number + guess) for guess in range(20)]
        judged += await asyncio.gather(
            *(house.judge(change_id, proof, number=number, at=at) for proof in proofs)
        )
    assert [answer.judgement for answer in judged].count(Judgement.WRONG) == 10
    assert (await house.change(change_id)).stage is Stage.ABANDONED


async def test_the_right_code_twenty_times_at_once_commits_once(house: House) -> None:
    rented, change_id = await awaiting(house)
    proof = await house.right_proof(change_id)
    answers = await asyncio.gather(*in_parallel(20, lambda _: house.judge(change_id, proof)))
    assert {judged.judgement for judged in answers} == {Judgement.ACCEPTED}
    assert (await house.events(change_id)).count("committed") == 1
    assert (await house.service_row(rented))["slots"] == 24


async def test_right_and_wrong_codes_at_once_end_in_one_state(house: House) -> None:
    rented, change_id = await awaiting(house)
    right = await house.right_proof(change_id)
    proofs = [house.wrong_proof(change_id, number) for number in range(8)]
    proofs.insert(4, right)
    answers = await asyncio.gather(*(house.judge(change_id, proof) for proof in proofs))
    accepted = answers[4].judgement is Judgement.ACCEPTED
    assert accepted or answers[4].judgement is Judgement.LOCKED
    assert (await house.service_row(rented))["slots"] == (24 if accepted else 20)
    assert (await house.change(change_id)).wrong_on_change <= 5
