"""`changeover ops forget`, by a run of its own: seen in the UI, done with nobody waiting, harmless twice."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from changeover.domain import problems
from starter.operations import Operations
from tests.workflows.canary import leaks
from tests.workflows.world import World
from workflows import ids, search_attributes


@pytest.fixture
async def operations(world: World) -> AsyncIterator[Operations]:
    opened = Operations(world.settings, world.temporal.client)
    yield opened
    await opened.close()


def run_of(world: World) -> WorkflowHandle[Any, Any]:
    workflow_id = ids.forget_workflow_id(world.me.account_id)
    return world.temporal.client.get_workflow_handle(workflow_id)


async def test_a_customer_is_forgotten_after_a_life_of_changes(world: World, operations: Operations) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    await world.confirm(asked.id)
    row = await world.ends(asked.id, "completed")
    trail = await world.table("trail")
    refused = await operations.forget(world.me.email, actor="olga")
    assert (refused.at, refused.unexpired) == (None, (world.me.service_id,))
    assert (await run_of(world).describe()).status is WorkflowExecutionStatus.COMPLETED
    told = await world.details(run_of(world))
    assert "**not forgotten**" in told
    assert f"service `{world.me.service_id}` has not expired" in told
    await world.alter_service(expires_at=row.committed_at - timedelta(days=1))

    result = await operations.forget(world.me.email, actor="olga")

    assert (result.actor, result.servers_left) == ("olga", 2)
    assert result.at is not None
    told = await world.details(run_of(world))
    assert re.search(r"\*\*forgotten\*\* since \S+ \S+ UTC, by olga; its 2 server\(s\) still stand", told)
    with pytest.raises(problems.NotFound):
        await world.view(asked.id)
    assert await world.table("trail") == trail
    (account,) = await world.table("accounts")
    assert (account["email"], account["forgotten_by"]) == ("", "olga")
    assert (await operations.show(asked.id)).change.stage == "completed"


async def test_the_run_names_the_account_by_its_id_and_never_the_person(
    world: World, operations: Operations
) -> None:
    await world.arrives(days=-1)
    await operations.forget(world.me.email, actor="olga")
    described = await run_of(world).describe()
    assert described.typed_search_attributes[search_attributes.ACCOUNT] == world.me.account_id
    assert await described.static_summary() == f"Forget account {world.me.account_id}, asked for by olga"
    secrets = [world.me.email, "@example.com", "Les Renards"]
    async for event in run_of(world).fetch_history_events():
        assert leaks(event, secrets) == []


async def test_it_is_told_again_when_asked_for_again(world: World, operations: Operations) -> None:
    await world.arrives(days=-1)
    first = await operations.forget(world.me.account_id, actor="olga")
    assert await operations.forget(world.me.account_id, actor="otto") == first
    with pytest.raises(problems.NotFound):
        await operations.forget(world.me.email, actor="olga")


async def test_with_no_worker_it_is_begun_and_done_once_there_is_one(world: World) -> None:
    await world.arrives(days=-1)
    await world.stop_workers()
    hasty = Operations(
        world.settings.model_copy(update={"engine_timeout_seconds": 1.0}), world.temporal.client
    )
    with pytest.raises(problems.EngineUnavailable):
        await hasty.forget(world.me.account_id, actor="olga")
    await hasty.close()
    await world.start_workers()
    assert (await run_of(world).result())["actor"] == "olga"
    (account,) = await world.table("accounts")
    assert account["email"] == ""


async def test_an_account_that_vanished_meanwhile_is_not_found(
    world: World, operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def known(*_: object) -> str:
        return "no-such-account"

    monkeypatch.setattr(operations, "account_id", known)
    with pytest.raises(problems.NotFound):
        await operations.forget("no-such-account", actor="olga")
