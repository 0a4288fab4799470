"""The empty shape is read from a real run's history, and checked against it: it can't drift."""

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from bench.floor import Shape


def shape_of(events: Iterable[HistoryEvent], child: Iterable[HistoryEvent] | None = None) -> Shape:
    """Return what a run decided; `child` is the history of one of its children, if it had any."""
    tasks: list[list[str]] = []
    confirmed_by = None
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            tasks.append([])
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            update = event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
            if update == "submit_code":
                confirmed_by = len(tasks) - 1
        elif command := _command(event):
            tasks[-1].append(command)
    return _without_idle_tasks(tasks, confirmed_by, shape_of(child).tasks if child is not None else [])


def commands_of(shape: Shape) -> tuple[list[str], list[str], list[str]]:
    """Return the commands before the code, those from it on, and the children's, each sorted.

    Which of them share a workflow task depends on which activity happens to end first.
    """
    at = len(shape.tasks) if shape.confirmed_by is None else shape.confirmed_by
    before, after = shape.tasks[:at], shape.tasks[at:]

    def flat(tasks: list[list[str]]) -> list[str]:
        return sorted(command for task in tasks for command in task)

    return flat(before), flat(after), flat(shape.child)


def _without_idle_tasks(tasks: list[list[str]], confirmed_by: int | None, child: list[list[str]]) -> Shape:
    kept = [number for number, commands in enumerate(tasks) if commands or number == confirmed_by]
    return Shape(
        tasks=[tasks[number] for number in kept],
        confirmed_by=None if confirmed_by is None else kept.index(confirmed_by),
        child=child,
    )


def _command(event: HistoryEvent) -> str | None:
    match event.event_type:
        case EventType.EVENT_TYPE_MARKER_RECORDED:
            return "local"
        case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
            return "show"
        case EventType.EVENT_TYPE_TIMER_STARTED:
            return "timer"
        case EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            return "child"
        case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            queue = event.activity_task_scheduled_event_attributes.task_queue.name
            return "mail" if queue.endswith("-mail") else "activity"
        case _:
            return None
