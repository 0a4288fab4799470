"""Whether Temporal has a run for what the database says is under way."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

PATIENCE = timedelta(seconds=2)
"""How long operators wait for Temporal when they only look."""


async def without_run(client: Client, workflow_ids: Iterable[str]) -> tuple[str, ...] | None:
    """Return those of the workflows that don't run; None when Temporal doesn't answer within `PATIENCE`."""
    wanted = tuple(dict.fromkeys(workflow_ids))
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            running = await asyncio.gather(*(_runs(client, workflow_id) for workflow_id in wanted))
    except (TimeoutError, RPCError, RuntimeError):  # RuntimeError: a lazy client could not connect
        return None
    return tuple(workflow_id for workflow_id, runs in zip(wanted, running, strict=True) if not runs)


async def _runs(client: Client, workflow_id: str) -> bool:
    try:
        description = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return description.status is WorkflowExecutionStatus.RUNNING
