"""A real Temporal server whose clock can be moved, from the pinned wheel: nothing is downloaded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.testing import WorkflowEnvironment

from starter.embedded import temporal_server
from starter.engine import DATA_CONVERTER

_TIME_SKIPPING = ("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true")


@asynccontextmanager
async def running_temporal() -> AsyncIterator[WorkflowEnvironment]:
    """Run a server for the block. Workflows begin on the machine's clock; `fast_forward` moves one's own."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(temporal_server.executable()),
        dev_server_log_level="never",
        dev_server_extra_args=[*_TIME_SKIPPING, *temporal_server.options()],
    )
    try:
        with environment.with_time_skipping_disabled():
            yield environment
    finally:
        await environment.shutdown()
