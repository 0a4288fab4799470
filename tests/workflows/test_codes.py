"""Codes that are typed: right, wrong, malformed, too often, at once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RetryPolicy

from changeover.domain import problems
from starter.views import ChangeView
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.world import WRONG, World, send, wrong_code
from workflows import policies
from workflows.messages import CodeAnswer, CodeAttempt, Judgement
from workflows.plan_change import PlanChange
from workflows.refusals import problem_in


async def asked(world: World) -> tuple[str, str]:
    """Open a change; return its id and its first code."""
    await world.arrives()
    await world.mark(2)
    requested = await world.ask(servers=2)
    return requested.id, await world.mailed(requested.id)


async def type_wrong(world: World, change_id: str, first: int, count: int) -> list[int]:
    """Type `count` wrong codes, one after the other; return the tries left after each."""
    left = []
    for number in range(first, first + count):
        with pytest.raises(problems.CodeWrong) as wrong:
            await world.type_code(change_id, wrong_code(number))
        left.append(wrong.value.tries_left)
    return left


@pytest.mark.parametrize("typed", ["{0}", "{1}", " {1}.", "{2}"], ids=["shown", "small", "bare", "spaced"])
async def test_case_spaces_and_punctuation_are_forgiven(world: World, typed: str) -> None:
    change_id, code = await asked(world)
    spelled = typed.format(code, code.lower().replace("-", ""), " ".join(code))
    assert (await world.type_code(change_id, spelled)).outcome == "committed"


async def test_a_wrong_code_says_how_many_tries_are_left(world: World) -> None:
    change_id, _ = await asked(world)
    assert await type_wrong(world, change_id, 0, 4) == [4, 3, 2, 1]


async def test_the_same_wrong_code_twice_counts_once(world: World) -> None:
    change_id, _ = await asked(world)
    for _ in range(3):
        with pytest.raises(problems.CodeWrong) as wrong:
            await world.type_code(change_id, WRONG)
        assert wrong.value.tries_left == 4
    assert (await world.row(change_id)).wrong_on_change == 1


async def test_the_same_wrong_code_under_another_update_id_counts_once(world: World) -> None:
    change_id, _ = await asked(world)
    answers = [await world.submit(change_id, WRONG) for _ in range(3)]
    assert [(it.judgement, it.tries_left) for it in answers] == [(Judgement.WRONG, 4)] * 3


NO_CODES = ("", "BCDF", "BCDFGHJKL", "AEIO-UAEI", "1234-5678", "\u0412\u0421DF-GHJK")


async def test_what_cannot_be_a_code_is_not_counted(world: World) -> None:
    change_id, _ = await asked(world)
    for typed in NO_CODES:
        with pytest.raises(problems.RequestInvalid):
            await world.starter.submit_code(world.me.account_id, change_id, typed)
    assert (await world.row(change_id)).wrong_on_change == 0


MALFORMED: tuple[list[Any], ...] = (
    [],
    ["text"],
    [{"change_id": 1}],
    [{"change_id": "x", "number": "one", "proof": None}],
    [[]],
)


async def test_malformed_arguments_are_refused_and_the_run_goes_on(world: World) -> None:
    change_id, code = await asked(world)
    for update in ("submit_code", "resend_code", "cancel", "retry", "skip", "answer"):
        for arguments in MALFORMED:
            with pytest.raises(WorkflowUpdateFailedError):
                await world.run_of_service().execute_update(update, args=arguments)
    assert (await world.row(change_id)).wrong_on_change == 0
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")


async def test_five_wrong_codes_lock_the_code_and_a_new_one_works(world: World) -> None:
    change_id, code = await asked(world)
    assert await type_wrong(world, change_id, 0, 5) == [4, 3, 2, 1, 0]
    with pytest.raises(problems.CodeLocked):
        await world.type_code(change_id, code)
    with pytest.raises(problems.CodeLocked):
        await world.type_code(change_id, wrong_code(6))
    await world.forward(seconds=61)
    await world.starter.resend_code(world.me.account_id, change_id)
    new = await world.mailed(change_id, 2)
    assert new != code
    assert (await world.view(change_id)).tries_left == 5
    await world.type_code(change_id, new)
    await world.ends(change_id, "completed")


async def test_ten_wrong_codes_end_the_change_at_once_with_a_mail(world: World) -> None:
    change_id, _ = await asked(world)
    before = await snapshot(world)
    await type_wrong(world, change_id, 0, 5)
    await world.forward(seconds=61)
    await world.starter.resend_code(world.me.account_id, change_id)
    await world.mailed(change_id, 2)
    assert await type_wrong(world, change_id, 5, 5) == [4, 3, 2, 1, 0]
    await world.ends(change_id, "abandoned", "too-many-tries")
    await assert_untouched(world, before)
    assert (await world.row(change_id)).wrong_on_change == 10
    assert len(world.post.sent) == 3
    assert len(world.mailed_codes(change_id)) == 2
    with pytest.raises(problems.ChangeClosed) as closed:
        await world.type_code(change_id, wrong_code(20))
    assert (closed.value.outcome, closed.value.reason) == ("abandoned", "too-many-tries")


async def test_five_wrong_codes_on_the_third_end_the_change(world: World) -> None:
    change_id, _ = await asked(world)
    before = await snapshot(world)
    for number in (2, 3):
        await world.forward(seconds=61)
        await world.starter.resend_code(world.me.account_id, change_id)
        await world.mailed(change_id, number)
    assert await type_wrong(world, change_id, 0, 5) == [4, 3, 2, 1, 0]
    await world.ends(change_id, "abandoned", "too-many-tries")
    await assert_untouched(world, before)


async def test_fifty_wrong_guesses_at_once_are_judged_five_times(world: World) -> None:
    change_id, _ = await asked(world)
    guesses = (world.type_code(change_id, wrong_code(number)) for number in range(50))
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert not [answer for answer in answers if isinstance(answer, ChangeView)]
    kinds = {type(answer) for answer in answers}
    assert kinds <= {problems.CodeWrong, problems.CodeLocked, problems.EngineUnavailable}, kinds
    row = await world.row(change_id)
    assert (row.wrong_on_code, row.wrong_on_change) == (5, 5)
    assert len(await world.table("code_tries")) == 5


async def test_guesses_at_once_over_two_codes_are_judged_ten_times(world: World) -> None:
    change_id, _ = await asked(world)
    for number in (1, 2):
        guesses = (world.type_code(change_id, wrong_code(100 * number + guess)) for guess in range(20))
        await asyncio.gather(*guesses, return_exceptions=True)
        if number == 1:
            await world.forward(seconds=61)
            await world.starter.resend_code(world.me.account_id, change_id)
            await world.mailed(change_id, 2)
    await world.ends(change_id, "abandoned", "too-many-tries")
    assert len(await world.table("code_tries")) == 10


async def test_the_right_code_twenty_times_at_once_commits_once(world: World) -> None:
    change_id, code = await asked(world)
    views = await asyncio.gather(*(world.type_code(change_id, code) for _ in range(20)))
    assert {view.outcome for view in views} <= {"committed", "completed"}
    await world.ends(change_id, "completed")
    assert (await world.events(change_id)).count("committed") == 1
    assert (await world.type_code(change_id, code)).outcome == "completed"


async def test_the_right_code_among_wrong_ones_at_once_commits_once(world: World) -> None:
    change_id, code = await asked(world)
    codes = [wrong_code(number) for number in range(4)] + [code]
    tries = (world.submit(change_id, typed) for typed in codes)
    answers = await asyncio.gather(*tries, return_exceptions=True)
    late = [answer for answer in answers if isinstance(answer, WorkflowUpdateFailedError)]
    judged = [answer.judgement for answer in answers if isinstance(answer, CodeAnswer)]
    assert judged.count(Judgement.ACCEPTED) == 1
    assert len(late) + len(judged) == 5, "those that come after the commit are refused unjudged"
    assert (await world.row(change_id)).wrong_on_change == judged.count(Judgement.WRONG)
    await world.ends(change_id, "completed")


async def test_the_code_of_another_change_is_wrong(world: World) -> None:
    change_id, _ = await asked(world)
    other = await world.arrives()
    world.customers.reverse()
    its_change = await world.ask()
    foreign = await world.mailed(its_change.id)
    world.customers.reverse()
    with pytest.raises(problems.CodeWrong):
        await world.type_code(change_id, foreign)
    with pytest.raises(problems.NotFound):
        await world.starter.submit_code(other.account_id, change_id, foreign)
    assert (await world.row(its_change.id)).stage == "awaiting_code"


async def test_an_attempt_for_another_change_is_refused_by_the_run(world: World) -> None:
    change_id, _ = await asked(world)
    attempt = CodeAttempt(change_id="another", number=1, proof="p")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await send(world.run_of_service(), PlanChange.submit_code, attempt)
    assert problem_in(refused.value.cause) == problems.NotFound(what="plan change")
    assert (await world.row(change_id)).wrong_on_change == 0


async def test_a_code_typed_before_the_run_hears_of_the_hand_over_is_judged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of the mail's activity is lost: the run hears of it when the activity was run again."""
    monkeypatch.setattr(policies, "MAIL_RETRY", RetryPolicy(initial_interval=timedelta(seconds=30)))
    await world.arrives()
    world.post.hold_mails()
    requested = await world.ask()
    world.database.answers_lost = 1
    world.post.release()
    code = await world.mailed(requested.id)
    assert (await world.type_code(requested.id, code)).outcome == "committed"


async def test_a_code_that_was_not_handed_over_yet_is_not_judged(world: World) -> None:
    await world.arrives()
    world.post.hold_mails()
    requested = await world.ask()
    for number in range(7):
        with pytest.raises(problems.CodeExpired):
            await world.type_code(requested.id, wrong_code(number))
    assert (await world.row(requested.id)).wrong_on_change == 0
    world.post.release()
    await world.confirm(requested.id)
