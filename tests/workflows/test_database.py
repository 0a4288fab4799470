"""A database that is away, that hangs, or that commits and then doesn't say so."""

import asyncio

import pytest
from temporalio.common import RetryPolicy

from tests.workflows.system import no_patience_with_the_database
from tests.workflows.test_replay import replay
from tests.workflows.world import World
from workflows import policies

AWAY = 4
"""So many writes fail that the short transaction gives up, and the patient activity takes over."""


async def test_a_short_absence_is_waited_for_within_the_workflow_task(world: World) -> None:
    await world.arrives()
    world.database.away = 2
    asked = await world.ask()
    assert "open_change" not in await world.scheduled_activities()
    assert asked.stage == "awaiting_code"


async def test_a_longer_absence_is_waited_for_by_a_regular_activity(world: World) -> None:
    await world.arrives()
    world.database.away = AWAY
    asked = await world.ask()
    assert (await world.scheduled_activities())[0] == "open_change"
    code = await world.mailed(asked.id)
    world.database.away = AWAY
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
    assert "judge_code" in await world.scheduled_activities()


async def test_a_database_that_hangs_is_given_up_by_the_workflow_task(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_the_database(monkeypatch)
    await world.arrives()
    world.database.hangs = True
    asking = asyncio.create_task(world.ask())
    await world.began("open_change")
    world.database.hangs = False
    assert (await asking).stage == "awaiting_code"


async def test_a_run_that_gave_a_hanging_database_up_replays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies after that hands the run to another, to whom the give-up comes out of history."""
    no_patience_with_the_database(monkeypatch)
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.database.hangs = True
    typing = asyncio.create_task(world.type_code(asked.id, code))
    await world.began("judge_code")
    world.database.hangs = False
    await typing
    await world.ends(asked.id, "completed")
    await replay(await world.run_of_service().fetch_history())


async def test_an_answer_that_is_lost_after_the_commit_repeats_nothing(world: World) -> None:
    await world.arrives(changed_days_ago=7, passes=2)
    await world.mark(2)
    world.database.answers_lost = 1
    asked = await world.ask(servers=4 - 2, slots=24)
    code = await world.mailed(asked.id)
    world.database.answers_lost = 1
    view = await world.type_code(asked.id, code)
    assert view.new_expires_at == asked.new_expires_at
    world.database.answers_lost = 3
    await world.ends(asked.id, "completed")
    events = await world.events(asked.id)
    for once in ("accepted", "committed", "server_destroyed", "completed", "outcome_mailed"):
        assert events.count(once) == 1, once
    assert len([it for it in await world.table("passes") if it["spent_at"]]) == 1
    assert (await world.service()).expires_at == asked.new_expires_at


def test_every_short_transaction_gives_up_by_itself() -> None:
    """Without a limit of attempts a local activity is retried for ever: no schedule-to-close ends it."""
    assert isinstance(policies.LOCAL_RETRY, RetryPolicy)
    assert 1 < policies.LOCAL_RETRY.maximum_attempts <= 10
