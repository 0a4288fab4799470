"""Temporal's SDK as a source of figures and log lines.

Its core has a Prometheus endpoint of its own. That one is kept to this machine and read from there, so that
a worker has one address to be asked at.
"""

import asyncio
import logging
import socket
from typing import Final

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

_LOOPBACK: Final = "127.0.0.1"
_SECONDS: Final = 2.0
_ATTEMPTS: Final = 5


class SdkTelemetry:
    """The runtime that a worker's client is connected with. With `figures`, they can be read as text."""

    def __init__(self, *, figures: bool) -> None:
        self._port: int | None = None
        self.runtime = self._with_figures() if figures else _runtime(None)

    def _with_figures(self) -> Runtime:
        for attempt in range(1, _ATTEMPTS + 1):
            with socket.socket() as probe:
                probe.bind((_LOOPBACK, 0))
                self._port = int(probe.getsockname()[1])
            try:
                return _runtime(
                    PrometheusConfig(
                        bind_address=f"{_LOOPBACK}:{self._port}",
                        counters_total_suffix=True,
                        unit_suffix=True,
                        durations_as_seconds=True,
                    )
                )
            except (RuntimeError, ValueError):  # someone was faster at the port
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def text(self) -> bytes:
        """Return the SDK's figures in Prometheus' text format; nothing when they don't come in time."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._read()
        except OSError:
            return b""

    async def _read(self) -> bytes:
        if self._port is None:
            return b""
        reader, writer = await asyncio.open_connection(_LOOPBACK, self._port)
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return body if head.split(b" ", 2)[1:2] == [b"200"] else b""


def _runtime(metrics: PrometheusConfig | None) -> Runtime:
    forwarded = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
    )
    return Runtime(telemetry=TelemetryConfig(logging=forwarded, metrics=metrics))
