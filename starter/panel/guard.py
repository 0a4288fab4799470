"""What holds for every answer: headers that keep a page to itself, and no unsafe request from elsewhere."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""The Content-Security-Policy: nothing inline, nothing from elsewhere."""

_HEADERS: Final = {
    "content-security-policy": POLICY,
    # No address, which may hold a link's token. By `no-referrer` our own forms would have no origin either.
    "referrer-policy": "strict-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def is_ours(headers: Headers, *, secure: bool) -> bool:
    """Say whether a request comes from a page of this very origin.

    Browsers tell by `Sec-Fetch-Site`; where one doesn't, `Origin` must name this host. Neither: refused.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    schemes = {"https"} if secure else {"http", "https"}
    return origin.scheme in schemes and bool(origin.netloc) and origin.netloc == headers.get("host")


class Guard:
    """Wraps the whole panel. `refuse` makes the page for a request that is not ours."""

    def __init__(
        self, app: ASGIApp, *, secure: bool, refuse: Callable[[Request], Awaitable[Response]]
    ) -> None:
        self._app = app
        self._secure = secure
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        if scope["method"] in _SAFE or is_ours(Headers(scope=scope), secure=self._secure):
            await self._app(scope, receive, send_guarded)
            return
        response = await self._refuse(Request(scope, receive))
        await response(scope, receive, send_guarded)
