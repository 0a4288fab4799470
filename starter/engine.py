"""The way to Temporal: its own settings by `temporalio.envconfig`, one data converter for every client."""

import asyncio
from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from changeover.domain.problems import EngineUnavailable
from changeover.telemetry import tracing

DATA_CONVERTER = pydantic_data_converter
RETRY_AFTER = timedelta(seconds=5)
PROBE_PATIENCE = timedelta(seconds=1)


async def connect_to_temporal(*, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """Connect as the environment says. `lazy` connects at the first call. Raises `EngineUnavailable`."""
    config = ClientConfig.load_client_connect_config()
    try:
        return await Client.connect(
            **config,
            data_converter=DATA_CONVERTER,
            plugins=tracing.plugins(),
            lazy=lazy,
            runtime=runtime,
        )
    except (RuntimeError, RPCError):
        pass
    raise unavailable()


async def temporal_answers(client: Client) -> bool:
    """Say whether Temporal answers `client` within a second."""
    try:
        async with asyncio.timeout(PROBE_PATIENCE.total_seconds()):
            return await client.service_client.check_health(timeout=PROBE_PATIENCE)
    except (RPCError, RuntimeError, OSError):  # TimeoutError is an OSError
        return False


def temporal_address() -> str:
    """Return the address that the environment names."""
    return str(ClientConfig.load_client_connect_config().get("target_host", "localhost:7233"))


def unavailable() -> EngineUnavailable:
    return EngineUnavailable(retry_after=int(RETRY_AFTER.total_seconds()))
