"""Short workflows that operators start: by `changeover ops`, or with the same id in the Temporal UI."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy

from starter.engine import unavailable
from starter.engine_calls import EngineCalls


class ShortRuns:
    """Starts them within `timeout`, or joins one that runs already, and waits for the result."""

    def __init__(self, client: Client, engine: EngineCalls, task_queue: str, timeout: timedelta) -> None:
        self._client = client
        self._engine = engine
        self._task_queue = task_queue
        self._timeout = timeout

    async def run(
        self,
        workflow: Any,
        order: object,
        *,
        workflow_id: str,
        summary: str,
        patience: timedelta,
        search_attributes: TypedSearchAttributes = TypedSearchAttributes.empty,
    ) -> Any:
        """Return the workflow's result.

        Raises `EngineUnavailable` when there is none within `patience`: the run goes on, and the same call
        joins it.
        """
        begin = self._client.start_workflow(
            workflow,
            order,
            id=workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=summary,
            search_attributes=search_attributes,
        )
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                handle = await self._engine.hear(begin)
            async with asyncio.timeout(patience.total_seconds()):
                return await self._engine.hear(handle.result())
        except TimeoutError:
            pass
        raise unavailable()
