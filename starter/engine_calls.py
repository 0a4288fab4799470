"""What is said to the workflows, and what their answers and silences mean."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from changeover.domain.lifecycle import Stage
from starter.engine import unavailable
from workflows import fairness, ids, search_attributes
from workflows.messages import Answer, ChangeRequest
from workflows.plan_change import PlanChange
from workflows.refusals import problem_in

T = TypeVar("T")

_HEARD_SECONDS = 0.1
_AGAIN_SECONDS = 0.05


class TurnLost(Exception):
    """The run was disturbed while it took an update up; nothing of the update is kept.

    Most often something came as the run was about to end: a mail was handed over during a cancellation.
    """


class RunIsGone(Exception):
    """The workflow that was spoken to has ended, or never was."""


_MEANS: dict[RPCStatusCode, Callable[[], Exception]] = {
    RPCStatusCode.NOT_FOUND: RunIsGone,
    RPCStatusCode.FAILED_PRECONDITION: TurnLost,
}


class EngineCalls:
    """The starter's side of the protocol; `timeout` bounds each call."""

    def __init__(self, client: Client, task_queue: str, timeout: timedelta) -> None:
        self._client = client
        self._task_queue = task_queue
        self._timeout = timeout

    async def request(self, request: ChangeRequest, *, summary: str, details: str) -> Answer:
        """Start the change, or find it running, and return its first answer: accepted or rejected.

        Raises `ChangeInProgress` when the service's run belongs to another change, `EngineUnavailable` when
        there is no answer in time: the change may have started, and the same request finds it.
        """
        return await self._while_turns_are_lost(
            lambda: self._request(request, summary=summary, details=details)
        )

    async def _request(self, request: ChangeRequest, *, summary: str, details: str) -> Answer:
        start = WithStartWorkflowOperation(
            PlanChange.run,
            request,
            id=ids.plan_change_workflow_id(request.service_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=search_attributes.at_start(
                request.service_id, request.account_id, Stage.REQUESTED
            ),
            static_summary=summary,
            static_details=details,
            priority=fairness.of_account(request.account_id),
        )
        answer: Any = PlanChange.answer  # an update with a description has lost its type
        # No update id of our own: one that a terminated run has answered would be answered from there again.
        call = self._client.execute_update_with_start_workflow(
            answer,
            request.change_id,
            start_workflow_operation=start,
            rpc_timeout=self._timeout,
        )
        try:
            return await self.hear(call)
        except Exception:
            # The start's own failure is the same one; unheard, it would be logged. Without a connection there
            # is none, ever.
            with suppress(Exception):
                await asyncio.wait_for(start.workflow_handle(), _HEARD_SECONDS)
            raise

    async def update(
        self, workflow_id: str, update: Any, message: Any, *, update_id: str | None = None
    ) -> Any:
        """Send an update and return its answer. Raises the problem it was refused with, or `RunIsGone`."""
        handle = self._client.get_workflow_handle(workflow_id)
        return await self._while_turns_are_lost(
            lambda: self.hear(handle.execute_update(update, message, id=update_id, rpc_timeout=self._timeout))
        )

    async def _while_turns_are_lost(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call until it is not disturbed. Raises `EngineUnavailable` when that takes too long."""
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self._timeout.total_seconds()
        while True:
            with suppress(TurnLost):
                return await call()
            if clock() > give_up_at:
                raise unavailable()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def hear(self, call: Awaitable[T]) -> T:
        """Await a call to Temporal, and turn its failures into ours."""
        failure: Exception
        try:
            return await call
        except WorkflowUpdateFailedError as error:
            failure = problem_in(error.cause) or error
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            failure = unavailable()
        except RPCError as error:
            failure = _MEANS.get(error.status, unavailable)()
        except RuntimeError:  # the first call of a lazy client could not connect
            failure = unavailable()
        raise failure
