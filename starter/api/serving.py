"""Serving an application by uvicorn until SIGTERM or Ctrl-C, and saying where it is once it can be called."""

import json
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from changeover.settings import Settings, load
from changeover.telemetry import logs, tracing
from starter.api.app import create_app
from starter.plan_changes import PlanChanges
from starter.process import settle

_log = logging.getLogger("changeover.api")
_GRACE_SECONDS = 5
_BACKLOG = 2048


class PortTaken(Exception):
    """Something else listens there, or the address isn't this machine's."""


async def serve(
    host: str,
    port: int,
    *,
    with_panel: Callable[[PlanChanges, Settings], ASGIApp] | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serve the API, and a panel beside it, until the process is told to end.

    `port` 0 takes a free one. Raises `PortTaken`, and what `settings.load` raises.
    """
    settings = load(Settings)
    logs.configure(settings.log_format, settings.log_level)
    if settings.tracing:
        tracing.start("changeover-api")
    listener = _listen(host, port)
    plans = await PlanChanges.connect(settings)
    try:
        app = create_app(plans, settings, panel=with_panel(plans, settings) if with_panel else None)
        tracing.instrument(app)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        await _Server(config, lambda: (say or _print)(_url(host, listener))).serve(sockets=[listener])
    finally:
        listener.close()
        await plans.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            settle()
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in order. uvicorn would then raise the signal again, past `starter.process.leave`."""
        super().handle_exit(sig, frame)
        _log.info("stopping: %s", signal.Signals(sig).name)
        self._captured_signals.clear()


def _listen(host: str, port: int) -> socket.socket:
    """Listen there; what is written to a connection goes out at once.

    Otherwise the body of an answer, which uvicorn writes after its head, waits for the client to acknowledge
    the head: 40 ms on Linux. asyncio sees to it only for the sockets that it makes itself.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise PortTaken(f"{host} port {port}: {error.strerror or error}") from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return json.dumps({"api_url": f"http://{shown}:{listener.getsockname()[1]}"})


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
