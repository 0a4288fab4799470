"""The empty shape is what our recorded runs decided."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from bench.floor import Shape
from bench.shape import commands_of, shape_of

HISTORIES = Path(__file__).parents[1] / "workflows" / "histories"


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text(encoding="utf-8"))


def test_the_shape_of_a_completed_change_waits_for_its_code_and_has_its_commands() -> None:
    shape = shape_of(history("completed").events, history("teardown").events)
    commands = [command for task in shape.tasks for command in task]
    assert shape.confirmed_by == 1
    assert shape.tasks[0][0] == "local"
    assert commands.count("local") == 3  # open, judge and commit, complete
    assert commands.count("mail") == 2  # the code, the outcome
    assert commands.count("child") == 1
    assert commands.count("timer") == 1
    assert "activity" in [command for task in shape.child for command in task]


@pytest.mark.parametrize("name", ["expired", "refused"])
def test_a_run_without_the_right_code_has_no_task_that_it_led_to(name: str) -> None:
    assert shape_of(history(name).events).confirmed_by is None


def test_shapes_are_compared_by_what_was_decided_before_and_after_the_code() -> None:
    one = Shape(tasks=[["local", "timer", "mail"], ["local", "child"], ["activity"]], confirmed_by=1)
    together = Shape(tasks=[["mail", "local", "timer"], ["local", "child", "activity"]], confirmed_by=1)
    earlier = Shape(tasks=[["mail", "local", "timer", "activity"], ["local", "child"]], confirmed_by=1)
    assert commands_of(one) == commands_of(together)
    assert commands_of(one) != commands_of(earlier)
