"""The panel as an ASGI application: its routes, and the pages for what goes wrong."""

import logging
from datetime import UTC, tzinfo
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from changeover.domain.problems import Problem
from starter.database_away import DATABASE_AWAY, RETRY_SECONDS, log_away
from starter.panel.assets import Assets
from starter.panel.forms import MOST_BYTES, RECAP_BYTES
from starter.panel.guard import Guard
from starter.panel.markup import Pages
from starter.panel.pages import change, editor, entry, services
from starter.panel.sessions import Sessions
from starter.panel.troubles import refused, status_of
from starter.panel.visit import Endpoint, Parts, Visit, anyone, signed_in
from starter.plan_changes import PlanChanges

_log = logging.getLogger("changeover.panel")

_MESSAGES: Final = {
    400: "bad_request",
    401: "signed_out",
    403: "not_from_here",
    404: "not_found",
    405: "not_found",
    413: "bad_request",
    415: "bad_request",
    422: "bad_request",
    503: "engine_down",
}


class Panel(Starlette):
    """The panel; everything it answers has passed the guard, errors of its own included."""

    def build_middleware_stack(self) -> ASGIApp:
        parts: Parts = self.state.parts
        inner = super().build_middleware_stack()

        async def refuse(request: Request) -> Response:
            return await _message(request, 403)

        return Guard(inner, secure=parts.secure_cookies, refuse=refuse)


def create_panel(
    plans: PlanChanges,
    *,
    demo_accounts: bool,
    secure_cookies: bool,
    zone: tzinfo = UTC,
) -> Panel:
    """Make the panel over the facade, which stays the caller's to close; mount it at `/panel`, for example.

    `demo_accounts` lets anyone sign in as a sample customer: only for the embedded system. `secure_cookies`
    needs https. `zone` is that in which customers read dates.
    """
    assets = Assets()
    app = Panel(
        routes=_routes(assets),
        exception_handlers={
            HTTPException: _failed,
            Problem: _refused,
            **dict.fromkeys(DATABASE_AWAY, _database_away),
            Exception: _broken,
        },
        max_body_size=MOST_BYTES,
    )
    app.state.parts = Parts(
        plans=plans,
        sessions=Sessions(plans.database),
        assets=assets,
        pages=Pages(assets),
        zone=zone,
        demo_accounts=demo_accounts,
        secure_cookies=secure_cookies,
    )
    return app


def _routes(assets: Assets) -> list[Route]:
    one = "/services/{service_id}"
    server = one + "/servers/{server_id}"
    plan_change = "/changes/{change_id}"
    return [
        Route("/static/{file}", assets.serve, name="static"),
        _get("/", anyone(entry.home), "home"),
        _get("/enter", anyone(entry.enter), "enter"),
        _get("/sign-in", anyone(entry.sign_in_page), "sign_in"),
        _post("/sign-in", anyone(entry.sign_in)),
        _post("/sign-out", anyone(entry.sign_out), "sign_out"),
        _get("/services", signed_in(services.services), "services"),
        _get(one, signed_in(services.service), "service"),
        _post(f"{server}/mark", signed_in(services.mark), "mark"),
        _post(f"{server}/unmark", signed_in(services.unmark), "unmark"),
        _get(f"{one}/history", signed_in(services.history), "history"),
        _get(f"{one}/renew", signed_in(services.renew_page), "renew"),
        _post(f"{one}/renew", signed_in(services.renew)),
        _get(f"{one}/change", signed_in(editor.editor), "editor"),
        _get(f"{one}/change/quote", signed_in(editor.quote), "quote"),
        _get(f"{one}/change/recap", signed_in(editor.recap), "recap"),
        _post(f"{one}/change/recap", signed_in(editor.request), most_bytes=RECAP_BYTES),
        _get(plan_change, signed_in(change.change), "change"),
        _get(f"{plan_change}/live", signed_in(change.live), "live"),
        _post(f"{plan_change}/code", signed_in(change.submit_code), "code"),
        _post(f"{plan_change}/resend", signed_in(change.resend_code), "resend"),
        _post(f"{plan_change}/cancel", signed_in(change.cancel), "cancel"),
    ]


def _get(path: str, endpoint: Endpoint, name: str) -> Route:
    return Route(path, endpoint, name=name, methods=["GET"])


def _post(path: str, endpoint: Endpoint, name: str | None = None, *, most_bytes: int | None = None) -> Route:
    return Route(path, endpoint, name=name, methods=["POST"], max_body_size=most_bytes)


async def _message(request: Request, status: int) -> Response:
    response = _page(await _visit(request), status)
    if status == 401 and "hx-request" in request.headers:
        response.headers["hx-refresh"] = "true"  # the whole page shall say so, not a part of it
    return response


async def _visit(request: Request) -> Visit:
    """Return the visit, or nobody's: what went wrong can be said without a database, too."""
    try:
        return await Visit.of(request)
    except DATABASE_AWAY as error:
        log_away(_log, error)
        return Visit.of_nobody(request)


def _page(visit: Visit, status: int) -> Response:
    phrase = _MESSAGES.get(status, "broken")
    return visit.page("message.html", status=status, heading=phrase, advice=f"{phrase}_advice")


async def _failed(request: Request, error: Exception) -> Response:
    return await _message(request, error.status_code if isinstance(error, HTTPException) else 500)


async def _refused(request: Request, error: Exception) -> Response:
    """Show a refusal that no page shows beside its form: what is not found, or an engine that is away."""
    assert isinstance(error, Problem), "what this handler is for"
    return refused(await _message(request, status_of(error)), error)


async def _database_away(request: Request, error: Exception) -> Response:
    """Say that nothing can be done now; what was begun is found again by the same form."""
    log_away(_log, error)
    response = _page(Visit.of_nobody(request), 503)
    response.headers["retry-after"] = str(RETRY_SECONDS)
    return response


async def _broken(request: Request, _error: Exception) -> Response:
    """Say that something broke, not what. Nothing is read: what is read may be what broke."""
    return _page(Visit.of_nobody(request), 500)
