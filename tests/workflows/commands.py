"""The commands of a history, in their order: what a replay compares, in words."""

import json

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory


def commands_of(history: WorkflowHistory) -> list[str]:
    """Return what the run decided: activities, timers, children, signals, what it shows, answers, its end."""
    return [command for event in history.events if (command := _command(event)) is not None]


def _command(event: HistoryEvent) -> str | None:
    kind = event.WhichOneof("attributes")
    attributes = getattr(event, kind or "")
    match kind:
        case "activity_task_scheduled_event_attributes":
            return f"activity {attributes.activity_type.name}"
        case "marker_recorded_event_attributes":
            (data,) = attributes.details["data"].payloads
            return f"local activity {json.loads(data.data)['activity_type']}"
        case "timer_started_event_attributes":
            return "timer"
        case "start_child_workflow_execution_initiated_event_attributes":
            return f"child {attributes.workflow_type.name}"
        case "signal_external_workflow_execution_initiated_event_attributes":
            return f"signal {attributes.signal_name}"
        case "upsert_workflow_search_attributes_event_attributes":
            ours = attributes.search_attributes.indexed_fields
            return f"show {', '.join(sorted(name for name in ours if name.startswith('Changeover')))}"
        case "workflow_execution_update_accepted_event_attributes":
            return f"update {attributes.accepted_request.input.name}"
        case "workflow_execution_completed_event_attributes":
            return "end"
        case _:
            return None
