"""A world for each test, and what must hold at the end of every one."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.canary import assert_no_secret_in_temporal, runs_of
from tests.workflows.checks import assert_trails_tell_the_truth
from tests.workflows.system import make_template, short_patience
from tests.workflows.world import World, open_world


@pytest.fixture(scope="session")
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "changeover.db"
    await make_template(file)
    return file


@pytest.fixture
async def world(
    temporal: WorkflowEnvironment, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A system with nobody in it yet; afterwards its trails and Temporal's histories are looked through."""
    short_patience(monkeypatch)
    async with open_world(temporal, tmp_path, template) as world:
        yield world
        await assert_trails_tell_the_truth(world)
        await assert_no_secret_in_temporal(world)
        await end_runs(world)


async def end_runs(world: World) -> None:
    """Leave no run behind that a later test's server would be busy with."""
    for workflow_id, run_id in await runs_of(world):
        handle = world.temporal.client.get_workflow_handle(workflow_id, run_id=run_id)
        with suppress(RPCError):  # it has ended by itself
            await handle.terminate("the test is over")
