"""What a run costs: events, bytes, and actions as Temporal Cloud bills them.

An action is: a start (of a child too), an update that reached the run, the local activities of one workflow
task, each attempt of a regular activity and each of its heartbeats, a timer, a write of search attributes
(however many at once), a signal. Attributes given at the start cost none. Not in a history, thus not counted:
heartbeats (an activity of less than 4 s sends none) and the queries of who looks.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle, WorkflowHistory

_CLOCK = ("workflow_execution_options_updated", "workflow_execution_time_skipping_transitioned")
"""Events of a test that moves a run's clock."""
_ACTIONS = frozenset(
    {
        "workflow_execution_started",
        "workflow_execution_update_accepted",
        "workflow_execution_signaled",
        "timer_started",
        "activity_task_started",
        "upsert_workflow_search_attributes",
    }
)


def kind_of(event: HistoryEvent) -> str:
    return (event.WhichOneof("attributes") or "").removesuffix("_event_attributes")


def kinds_of(history: WorkflowHistory) -> list[str]:
    """Return what happened, event by event, without what a test's moving of the clock added."""
    return [kind for event in history.events if (kind := kind_of(event)) not in _CLOCK]


@dataclass(frozen=True)
class Cost:
    """`decided` are the events without workflow tasks: those come by three, fewer when news come together."""

    events: int
    tasks: int
    actions: int
    size: int

    @property
    def decided(self) -> int:
        return self.events - 3 * self.tasks


WHOLE_CHANGE = Cost(events=38, tasks=5, actions=13, size=8_500)
PER_SERVER = Cost(events=9, tasks=2, actions=1, size=2_200)
TEARDOWN = Cost(events=12, tasks=2, actions=3, size=2_700)
REFUSED = Cost(events=9, tasks=1, actions=4, size=3_400)
EXPIRED = Cost(events=28, tasks=4, actions=9, size=6_400)
WRONG_CODE = Cost(events=6, tasks=1, actions=2, size=1_600)
"""The budgets that `test_budgets.py` holds; the bytes are at most so many."""


def cost_of(history: WorkflowHistory) -> Cost:
    kinds = Counter(kinds_of(history))
    return Cost(
        events=kinds.total(),
        tasks=kinds["workflow_task_completed"],
        actions=sum(_actions(history.events)),
        size=sum(event.ByteSize() for event in history.events if kind_of(event) not in _CLOCK),
    )


def _actions(events: Iterable[HistoryEvent]) -> Iterable[int]:
    tasks_with_local_activities = set()
    for event in events:
        kind = kind_of(event)
        if kind in _ACTIONS:
            yield event.activity_task_started_event_attributes.attempt or 1
        elif kind == "marker_recorded":
            tasks_with_local_activities.add(
                event.marker_recorded_event_attributes.workflow_task_completed_event_id
            )
    yield len(tasks_with_local_activities)


async def cost_of_run(handle: WorkflowHandle[Any, Any]) -> Cost:
    return cost_of(await handle.fetch_history())
