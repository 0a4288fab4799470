"""Where the time of a change goes: the times that its history has, for ours and for the empty shape alike."""

from collections.abc import Sequence
from datetime import datetime

from temporalio.api.enums.v1 import EventType as Is
from temporalio.api.history.v1 import HistoryEvent

_TASK, _AT_WORK = Is.EVENT_TYPE_WORKFLOW_TASK_STARTED, Is.EVENT_TYPE_ACTIVITY_TASK_STARTED
_TASK_DONE = Is.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_ANSWERED, _DONE = (
    Is.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
    Is.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
)
_BEGUN, _ENDED = Is.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, Is.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
_DUE = Is.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED

_BEFORE_THE_CODE = (
    ("the request reaches the worker", "run", _TASK, 1),
    ("it is validated, opened, answered", "run", _ANSWERED, 1),
    ("the code's mail reaches its worker", "run", _AT_WORK, 1),
    ("it is mailed, and that recorded", "run", _DONE, 1),
)
_FROM_THE_CODE = (
    ("the code is judged, the change committed, answered", "run", _ANSWERED, 2),
    ("the teardown's run is started, and reaches the worker", "child", _TASK, 1),
    ("it decides", "child", _AT_WORK, 1),
    ("the server is torn down, each step recorded", "child", _DONE, 1),
    ("its run ends", "child", _ENDED, 1),
    ("the change hears of it, and is completed", "run", _DUE, 2),
    ("the outcome's mail reaches its worker", "run", _AT_WORK, 2),
    ("it is mailed, and that recorded, too", "run", _DONE, 2),
    ("the change's run ends", "run", _ENDED, 1),
)
STEPS = tuple(step for step, *_ in _BEFORE_THE_CODE + _FROM_THE_CODE)
"""In their order: what is done, up to an event of the change's run or of its child's."""

STEP_BY_STEP = "step by step: "
"""What the names of their figures begin with; then comes what was measured, then the step."""

ANSWER = ("waits for a worker", "at the worker", "before and after")
"""The parts of an answer; the last, client and ways, stands in no history."""


def waits_of_answer(run: Sequence[HistoryEvent]) -> tuple[float, float]:
    """Return the milliseconds of the first two of `ANSWER`: what a run's first task waited, and took."""
    begun, started, done = (_time(_nth(run, kind, 1)) for kind in (_BEGUN, _TASK, _TASK_DONE))
    return 1000 * (started - begun).total_seconds(), 1000 * (done - started).total_seconds()


def steps_of(run: Sequence[HistoryEvent], child: Sequence[HistoryEvent]) -> dict[str, float]:
    """Return the milliseconds of each of `STEPS`, in a change that tears one server down.

    The time in which the customer reads and types is nobody's step. Raises `IndexError` when a history lacks
    what a step ends with.
    """
    histories = {"run": run, "child": child}
    code = _nth(run, Is.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, 2)
    task_of_code = [event for event in run[: code.event_id] if event.event_type == _TASK][-1]
    found: dict[str, float] = {}
    for beginning, steps in ((_nth(run, _BEGUN, 1), _BEFORE_THE_CODE), (task_of_code, _FROM_THE_CODE)):
        since = _time(beginning)
        for step, whose, kind, number in steps:
            until = _time(_nth(histories[whose], kind, number))
            found[step] = 1000 * (until - since).total_seconds()
            since = until
    return found


def _nth(events: Sequence[HistoryEvent], kind: Is.ValueType, number: int) -> HistoryEvent:
    return [event for event in events if event.event_type == kind][number - 1]


def _time(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime()
