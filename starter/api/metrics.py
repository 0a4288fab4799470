"""What Prometheus is told: requests by route and status, and how long they took. Never whose they were."""

from http import HTTPStatus
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from starlette.types import Scope

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE"})


disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which nobody asks for


class Metrics:
    """The figures of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "changeover_api_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        # Without labels it is 0 from the start: a rate needs the value before the first.
        self._errors = Counter("changeover_api_errors", "Requests answered with 500.", registry=self.registry)
        self._seconds = Histogram(
            "changeover_api_request_seconds",
            "Seconds until the answer began.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge(
            "changeover_api_event_streams", "Event streams that are open.", registry=self.registry
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer, under the route's template: a path has ids in it."""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = template(scope)
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._errors.inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)


def template(scope: Scope) -> str:
    route: Any = scope.get("route")
    if route is not None and hasattr(route, "path"):
        return str(route.path)
    return "other"
