"""Around everything: security headers on every answer, figures, and no stack trace to anyone outside."""

import logging
import time
import traceback
from asyncio import CancelledError
from typing import Final

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.api.caller import texts_for
from starter.api.metrics import Metrics
from starter.api.problems import InternalError, response

_log = logging.getLogger("changeover.api")

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """The outermost part that is ours. A panel that is mounted beside sets its own headers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                self._metrics.answered(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost: it is logged, and told as a problem
            _log_defect(scope, error)
            if status == 0:
                problem = response(InternalError(), texts_for(Request(scope)))
                await problem(scope, receive, guarded)


def _log_defect(scope: Scope, error: BaseException) -> None:
    """Log where a defect is, without its message: that may hold what the caller sent."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    route = getattr(scope.get("route"), "path", "no route")
    _log.error("%s at %s %s\n%s", type(error).__name__, scope["method"], route, frames)
