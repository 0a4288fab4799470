"""Around everything: security headers on every answer, figures, and no stack trace to anyone outside."""

import logging
import re
import time
import traceback
from asyncio import CancelledError
from typing import Final
from uuid import uuid4

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from changeover.telemetry import logs
from starter.api.caller import texts_for
from starter.api.metrics import Metrics, template
from starter.api.problems import InternalError, response

_log = logging.getLogger("changeover.api")

_LOOKED_AT_BY_MACHINES: Final = frozenset({"/livez", "/readyz", "/metrics"})
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{16,32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Hexadecimal or a UUID, so that nothing else can be brought into the log."""

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
        with logs.about(request_id=_request_id(scope)):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                seconds = time.perf_counter() - began
                self._metrics.answered(scope, status, seconds)
                _log_answer(scope, status, seconds)
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


def _request_id(scope: Scope) -> str:
    """Return the caller's name for this request, when it is one; else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _log_answer(scope: Scope, status: int, seconds: float) -> None:
    """Log an answer under the route's template: a path has ids in it, or a link's secret."""
    route = template(scope)
    level = logging.DEBUG if route in _LOOKED_AT_BY_MACHINES else logging.INFO
    fields = {"method": scope["method"], "route": route, "status": status, "seconds": round(seconds, 4)}
    _log.log(level, "answered", extra=fields)


def _log_defect(scope: Scope, error: BaseException) -> None:
    """Log where a defect is, without its message: that may hold what the caller sent."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    route = getattr(scope.get("route"), "path", "no route")
    _log.error("%s at %s %s\n%s", type(error).__name__, scope["method"], route, frames)
