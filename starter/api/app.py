"""The application: routes over one `PlanChanges` and nothing else, so CLI, API and panel can't differ."""

import logging
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp

from changeover.domain.problems import EngineUnavailable, NotFound, Problem, RequestInvalid
from changeover.settings import Settings
from changeover.telemetry.census import CensusFigures
from changeover.telemetry.probes import Probes
from starter.api import changes, described, health, services
from starter.api.caller import texts_for, texts_of_refusal
from starter.api.events import Events
from starter.api.guard import Guard
from starter.api.health import TemporalProbe
from starter.api.keys import ApiKeys
from starter.api.metrics import Metrics
from starter.api.problems import MethodNotAllowed, response
from starter.database_away import DATABASE_AWAY, RETRY_SECONDS, log_away
from starter.plan_changes import PlanChanges

_log = logging.getLogger("changeover.api")

PANEL: Final = "/panel"
_DESCRIPTION: Final = """Plan changes of rented game servers, for the host's own panel.

Times are ISO 8601 in UTC, money is whole cents per 30 days. Refusals are RFC 9457 problems: their `type`
ends in a stable name, the figures stand beside as members; titles are in the caller's language."""


def create_app(plans: PlanChanges, settings: Settings, *, panel: ASGIApp | None = None) -> FastAPI:
    """Return the API over `plans`, which stays the caller's to close, with a panel mounted under `/panel`."""
    app = _Api(
        title="Changeover",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics()
    app.state.plans = plans
    app.state.settings = settings
    app.state.keys = ApiKeys(plans.database)
    app.state.metrics = metrics
    app.state.events = Events(plans, metrics)
    app.state.probes = Probes(plans.database, metrics.registry, TemporalProbe(), needs_temporal=False)
    app.state.census = CensusFigures(plans.database, metrics.registry)
    for router in (services.router, changes.router, health.router):
        app.include_router(router)
    if panel is not None:
        app.mount(PANEL, panel)
    app.add_middleware(Guard, metrics=metrics)
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_exception_handler(RequestValidationError, _malformed)
    for away in DATABASE_AWAY:
        app.add_exception_handler(away, _database_away)
    return app


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document, with the schemas that only our own reading of bodies knows."""
        if self.openapi_schema is None:
            self.openapi_schema = described.complete(super().openapi())
        return self.openapi_schema


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return response(problem, await texts_of_refusal(request))


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem: Problem
    match error.status_code:
        case HTTPStatus.METHOD_NOT_ALLOWED:
            problem = MethodNotAllowed(allowed=_methods(request))
        case HTTPStatus.NOT_FOUND:
            problem = NotFound(what="route")
        case _:
            problem = RequestInvalid(field="request", detail=HTTPStatus(error.status_code).phrase)
    return response(problem, texts_for(request))


def _methods(request: Request) -> list[str]:
    """Return the methods that the path has, over all of its routes."""
    found: set[str] = set()
    for method in ("GET", "PUT", "POST", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            found.add(method)
    return sorted(found)


async def _malformed(request: Request, _error: Exception) -> Response:
    problem = RequestInvalid(field="request", detail="it can't be read")
    return response(problem, await texts_of_refusal(request))


async def _database_away(request: Request, error: Exception) -> Response:
    """Say that nothing can be done now; what was begun is found again by the same key."""
    log_away(_log, error)
    return response(EngineUnavailable(retry_after=RETRY_SECONDS), texts_for(request))
