"""The way to Temporal: its own settings by `temporalio.envconfig`, one data converter for every client."""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import GrpcCompression, RPCError

from changeover.domain.problems import EngineUnavailable
from changeover.payload_encryption import data_converter
from changeover.settings import Settings
from changeover.telemetry import tracing
from starter.turns import RETRY_AFTER

_log = logging.getLogger("changeover.engine")

DATA_CONVERTER = data_converter({}, None)
COMPRESSION = GrpcCompression.NONE
"""The SDK would compress: a tenth fewer bytes, a twentieth more CPU (docs/decisions/0021)."""
PROBE_PATIENCE = timedelta(seconds=1)


async def connect_to_temporal(
    settings: Settings | None = None, *, lazy: bool = False, runtime: Runtime | None = None
) -> Client:
    """Connect as the environment says. `lazy` connects at the first call. Raises `EngineUnavailable`.

    `settings` say how payloads are encrypted; without them nothing but Temporal's health can be asked.
    """
    config = ClientConfig.load_client_connect_config()
    converter = DATA_CONVERTER
    if settings is not None:
        converter = data_converter(settings.payload_secrets, settings.payload_key_id)
    try:
        return await Client.connect(
            **config,
            data_converter=converter,
            grpc_compression=COMPRESSION,
            plugins=tracing.plugins(),
            lazy=lazy,
            runtime=runtime,
        )
    except (RuntimeError, RPCError) as error:
        _log.info("Temporal at %s: %s", config.get("target_host"), error)
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
