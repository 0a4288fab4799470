"""Around every activity and workflow: its ids for the log, and each failed attempt counted.

Nothing here decides anything, and nothing of it reaches a history.
"""

from typing import Any

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from changeover.telemetry import logs
from changeover.telemetry.figures import Figures
from workflows import ids

# The ids are fields of their own: the message needn't repeat them.
workflow.logger.workflow_info_on_message = False
activity.logger.activity_info_on_message = False


class Observation(Interceptor):
    """The worker's interceptor."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        return _Activities(next, self._figures)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor] | None:
        return _Workflows


class _Activities(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, figures: Figures) -> None:
        super().__init__(following)
        self._figures = figures

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        with logs.about(
            change_id=change_id_in(input.args),
            service_id=_service_id(info.workflow_id or ""),
            workflow_id=info.workflow_id,
            run_id=info.workflow_run_id,
            activity=info.activity_type,
            attempt=info.attempt,
        ):
            try:
                return await super().execute_activity(input)
            except ApplicationError as error:
                self._figures.attempt_failed(info.activity_type, error.type or "unknown")
                raise


class _Workflows(WorkflowInboundInterceptor):
    """Sets variables of the context and nothing else: deterministic, in a replay too."""

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - the SDK's name
        _bind_workflow(input.args)
        return await super().execute_workflow(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002 - the SDK's name
        _bind_workflow(input.args)
        return await super().handle_update_handler(input)


def _bind_workflow(arguments: Any) -> None:
    workflow_id = workflow.info().workflow_id
    logs.bind(change_id=change_id_in(arguments), service_id=_service_id(workflow_id))


def _service_id(workflow_id: str) -> str | None:
    try:
        return ids.service_id_from(workflow_id)
    except ValueError:
        return None


def change_id_in(arguments: Any) -> str | None:
    """Return the change that a message is about, whichever message it is."""
    for message in arguments[:1]:
        for holder in (message, getattr(message, "request", None), getattr(message, "attempt", None)):
            found = getattr(holder, "change_id", None)
            if isinstance(found, str):
                return found
    return None
