"""I15: histories of earlier releases replay, and a change of the story is noticed."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from starter.engine import DATA_CONVERTER
from tests.workflows.canary import leaks
from tests.workflows.commands import commands_of
from tests.workflows.record import HISTORIES
from tests.workflows.scenarios import SCENARIOS, history_of
from tests.workflows.world import World
from worker import WORKFLOWS
from workflows import policies
from workflows.plan_change import PlanChange
from workflows.server_teardown import ServerTeardown

STORED = sorted(HISTORIES.glob("*.json"))
LESSON = """The run of `{name}` decides other things, or in another order, than its stored history.

Changes that are running at a deploy are replayed by the new code: as it is now, they would stop with a
non-determinism error. Put what is new behind a patch, and keep what was there for the runs that began before:

    if workflow.patched("what-is-new"):
        ...  # the new commands
    else:
        ...  # the old ones

Then store a history of the new path, under a name of its own, beside this one:
`python -m tests.workflows.record`."""


def stored(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))


IN_SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("changeover")
)
"""Workers do without; here a workflow that asks for a clock, chance or a file is told on."""


async def replay(history: WorkflowHistory, runner: WorkflowRunner | None = None) -> None:
    """Replay as workers do, or in another runner."""
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=DATA_CONVERTER,
        workflow_runner=runner or UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(history)


def test_every_main_path_has_a_stored_history() -> None:
    assert {file.stem for file in STORED} >= set(SCENARIOS)


def test_every_workflow_has_a_stored_history() -> None:
    began = [stored(file).events[0].workflow_execution_started_event_attributes for file in STORED]
    assert {it.workflow_type.name for it in began} == {it.__name__ for it in WORKFLOWS}


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
async def test_a_stored_history_replays(file: Path) -> None:
    await replay(stored(file))


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
async def test_a_stored_history_replays_in_temporal_s_sandbox(file: Path) -> None:
    await replay(stored(file), IN_SANDBOX)


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_a_stored_history_holds_no_secret_and_no_machine(file: Path) -> None:
    history = stored(file)
    for event in history.events:
        assert leaks(event, ["@example.com", "/home/", f"{Path.home()}/", "site-packages", '.py"']) == []
    assert not re.search(r'"(stackTrace|identity)"', file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_run_decides_what_its_stored_history_says(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        policies, "OUTCOME_MAIL_AT_ONCE", timedelta(seconds=30)
    )  # a busy machine is no failure
    fresh = commands_of(await history_of(world, name))
    assert fresh == commands_of(stored(HISTORIES / f"{name}.json")), LESSON.format(name=name)


async def _mail_the_outcome_first(self: Any) -> Any:
    await self._open()
    await self._confirm()
    await self._tell_outcome()
    await self._apply()
    await workflow.wait_condition(workflow.all_handlers_finished)


@pytest.mark.parametrize("name", ["completed", "needs_attention_and_retry", "wrong_codes_and_resend"])
async def test_a_swapped_step_of_a_change_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(PlanChange, "_story", _mail_the_outcome_first)
    with pytest.raises(workflow.NondeterminismError):
        await replay(stored(HISTORIES / f"{name}.json"))


async def test_a_step_left_out_of_a_teardown_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Any, problem: str | None) -> None:
        pass

    monkeypatch.setattr(ServerTeardown, "_tell_change", nothing)
    with pytest.raises(workflow.NondeterminismError):
        await replay(stored(HISTORIES / "teardown_and_retry.json"))
