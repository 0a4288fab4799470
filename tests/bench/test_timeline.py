"""The steps of a change are read from its history."""

import pytest

from bench.timeline import STEPS, steps_of, waits_of_answer
from tests.bench.test_shape import history


def test_the_steps_of_a_change_follow_each_other_through_its_history() -> None:
    run = history("completed").events
    steps = steps_of(run, history("teardown").events)
    assert tuple(steps) == STEPS
    before_the_code = [steps[step] for step in STEPS[:4]]
    (mailed, *_) = [event for event in run if event.HasField("activity_task_completed_event_attributes")]
    until_mailed = mailed.event_time.ToDatetime() - run[0].event_time.ToDatetime()
    assert min(before_the_code) > 0
    assert sum(before_the_code) == pytest.approx(1000 * until_mailed.total_seconds())


def test_an_answer_waits_for_a_worker_and_then_at_it() -> None:
    run = history("completed").events
    steps = steps_of(run, history("teardown").events)
    waited, took = waits_of_answer(run)
    assert waited == steps["the request reaches the worker"]
    assert 0 < took <= steps["it is validated, opened, answered"]  # its first task is the one that answers


def test_a_change_that_was_never_confirmed_has_no_such_steps() -> None:
    with pytest.raises(IndexError):
        steps_of(history("expired").events, [])
