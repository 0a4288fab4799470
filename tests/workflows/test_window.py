"""Codes and windows that run out: the clock that judges is the workflow's."""

import asyncio
from datetime import timedelta

import pytest

from changeover.domain import problems
from changeover.domain.confirmation import CodePolicy
from changeover.settings import Settings
from starter.turns import MOST_AT_ONCE
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.system import no_patience_with_the_database
from tests.workflows.world import World
from workflows import search_attributes
from workflows.messages import Judgement


async def asked(world: World) -> tuple[str, str]:
    await world.arrives()
    await world.mark(2)
    requested = await world.ask(servers=2)
    return requested.id, await world.mailed(requested.id)


async def resend(world: World, change_id: str, number: int) -> str:
    """Ask for code `number` and return it."""
    await world.starter.resend_code(world.me.account_id, change_id)
    return await world.mailed(change_id, number)


async def test_the_end_of_the_window_ends_the_change_with_a_mail(world: World) -> None:
    change_id, _ = await asked(world)
    before = await snapshot(world)
    await world.forward(minutes=61)
    row = await world.ends(change_id, "abandoned", "window-over")
    assert row.closed_at >= row.window_ends_at
    await assert_untouched(world, before)
    assert len(world.post.sent) == 2
    assert await world.shown(world.run_of_service(), search_attributes.OUTCOME) == "window-over"


async def test_nothing_ends_before_the_window_does(world: World) -> None:
    change_id, _ = await asked(world)
    await world.forward(minutes=59)
    assert (await world.row(change_id)).stage == "awaiting_code"
    await world.type_code(change_id, await resend(world, change_id, 2))
    await world.ends(change_id, "completed")


async def test_an_expired_code_is_not_counted_and_a_new_one_works(world: World) -> None:
    change_id, code = await asked(world)
    await world.forward(minutes=10, seconds=1)
    with pytest.raises(problems.CodeExpired):
        await world.type_code(change_id, code)
    assert (await world.row(change_id)).wrong_on_change == 0
    await world.type_code(change_id, await resend(world, change_id, 2))
    await world.ends(change_id, "completed")


async def test_a_code_is_valid_for_ten_minutes_from_the_hand_over(world: World) -> None:
    change_id, code = await asked(world)
    await world.forward(minutes=9, seconds=50)
    assert (await world.type_code(change_id, code)).outcome == "committed"


async def test_the_old_code_is_void_after_a_new_one(world: World) -> None:
    change_id, old = await asked(world)
    await world.forward(seconds=61)
    new = await resend(world, change_id, 2)
    with pytest.raises(problems.CodeWrong):
        await world.type_code(change_id, old)
    with pytest.raises(Exception, match="Workflow update failed"):
        await world.submit(change_id, old, number=1)
    assert (await world.row(change_id)).wrong_on_change == 1
    await world.type_code(change_id, new)
    await world.ends(change_id, "completed")


async def test_a_new_code_cannot_be_asked_for_within_a_minute(world: World) -> None:
    change_id, _ = await asked(world)
    with pytest.raises(problems.ResendTooSoon) as refused:
        await world.starter.resend_code(world.me.account_id, change_id)
    assert 55 <= refused.value.retry_after <= 60
    assert len(world.post.sent) == 1


async def test_asking_twice_at_once_sends_one_new_code(world: World) -> None:
    change_id, _ = await asked(world)
    await world.forward(seconds=61)
    clicks = (world.starter.resend_code(world.me.account_id, change_id) for _ in range(MOST_AT_ONCE))
    await asyncio.gather(*clicks)
    await world.mailed(change_id, 2)
    assert (await world.row(change_id)).code_number == 2
    assert len(world.post.sent) == 2


async def test_third_mail_is_the_last_and_its_expiry_ends_the_change(world: World) -> None:
    change_id, _ = await asked(world)
    before = await snapshot(world)
    for number in (2, 3):
        await world.forward(seconds=61)
        await resend(world, change_id, number)
    await world.forward(seconds=61)
    with pytest.raises(problems.ResendLimit):
        await world.starter.resend_code(world.me.account_id, change_id)
    assert (await world.row(change_id)).stage == "awaiting_code"
    await world.forward(minutes=9)
    row = await world.ends(change_id, "abandoned", "window-over")
    assert row.closed_at < row.window_ends_at - timedelta(minutes=40)
    await assert_untouched(world, before)


async def test_operators_see_the_deadline_of_the_last_code(world: World) -> None:
    change_id, _ = await asked(world)
    for number in (2, 3):
        await world.forward(seconds=61)
        await resend(world, change_id, number)
    row = await world.row(change_id)
    handle = world.run_of_service()

    async def deadline() -> bool:
        return bool(await world.shown(handle, search_attributes.DEADLINE) == row.code_expires_at)

    await world.until(deadline, "the deadline to be the last code's")
    assert row.code_expires_at < row.window_ends_at


async def test_a_code_that_came_in_time_counts_though_its_check_ends_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_the_database(monkeypatch)
    short = CodePolicy(window=timedelta(seconds=3))
    monkeypatch.setattr(Settings, "code_policy", property(lambda _: short))
    await world.restart_workers()
    change_id, code = await asked(world)
    world.database.hangs = True
    trying = asyncio.create_task(world.submit(change_id, code))
    await world.began("judge_code")  # the short transaction gave up, the deadline is near
    await asyncio.sleep(2.5)
    world.database.hangs = False
    assert (await trying).judgement is Judgement.ACCEPTED
    row = await world.ends(change_id, "completed")
    assert row.committed_at < row.window_ends_at


async def test_a_code_that_comes_after_the_end_commits_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = CodePolicy(window=timedelta(seconds=2))
    monkeypatch.setattr(Settings, "code_policy", property(lambda _: short))
    await world.restart_workers()
    change_id, code = await asked(world)
    before = await snapshot(world)
    await world.reaches(change_id, "abandoned")
    with pytest.raises(problems.ChangeClosed):
        await world.type_code(change_id, code)
    await world.ends(change_id, "abandoned", "window-over")
    await assert_untouched(world, before)


async def test_a_worker_that_is_down_across_the_deadline_ends_the_change_later(world: World) -> None:
    change_id, code = await asked(world)
    before = await snapshot(world)
    await world.run_heard("activity_task_completed")  # with a task in hand, no time is skipped
    await world.stop_workers()
    moving = asyncio.create_task(world.forward(minutes=61))
    await world.timer_fired()
    await world.start_workers()
    await world.ends(change_id, "abandoned", "window-over")
    await moving
    await assert_untouched(world, before)
    with pytest.raises(problems.ChangeClosed):
        await world.type_code(change_id, code)
