"""Traces, off by default: from the API through the workflow to the activity, by OTLP over HTTP.

OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, ...) say where to and how.
While it is off none of what traces is imported. What a span may carry is on a list: no body, no header, no
query, no path with a link's secret, no update id; and the words of errors go through the mask of the log.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from changeover.telemetry.logs import masked

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import ReadableSpan
    from temporalio.client import Plugin

KEPT: Final = frozenset(
    {
        "exception.message",
        "exception.type",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.status_code",
        "temporalActivityID",
        "temporalRunID",
        "temporalWorkflowID",
    }
)
"""The attributes that leave the process, of spans and of their events."""

_NOT_TRACED: Final = "livez,readyz,metrics"


class TracingMissing(Exception):
    """Tracing is on, and its packages are not installed."""


class _Tracing:
    """Whether this process traces: as global as OpenTelemetry's own provider."""

    on = False


def start(service: str) -> None:
    """Trace from now on, as `service` unless OTEL_SERVICE_NAME says otherwise. Raises `TracingMissing`."""
    try:
        from opentelemetry import trace  # noqa: PLC0415 - only when it is on
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from temporalio.contrib.opentelemetry import create_tracer_provider  # noqa: PLC0415
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise TracingMissing(
            "CHANGEOVER_TRACING is on, and its packages are missing: install `changeover[tracing]`, "
            "or turn it off"
        )

    class Cleaned(OTLPSpanExporter):
        def export(self, spans: "Sequence[ReadableSpan]") -> Any:
            return super().export([cleaned(span) for span in spans])

    named = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
    provider = create_tracer_provider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(Cleaned()))
    trace.set_tracer_provider(provider)
    _Tracing.on = True


def plugins() -> "list[Plugin]":
    """Return what a Temporal client needs so that its calls, and its worker's work, are traced."""
    if not _Tracing.on:
        return []
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin  # noqa: PLC0415 - only when it is on

    return [OpenTelemetryPlugin(add_temporal_spans=True)]


def instrument(app: "FastAPI") -> None:
    """Let each request to `app` be a span, named by its route."""
    if not _Tracing.on:
        return
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 - only when it is on

    FastAPIInstrumentor.instrument_app(app, excluded_urls=_NOT_TRACED, exclude_spans=["receive", "send"])


def cleaned(span: "ReadableSpan") -> "ReadableSpan":
    """Return the span with what may leave the process."""
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415 - only when it is on
    from opentelemetry.trace import Status  # noqa: PLC0415

    told = span.status.description
    return ReadableSpan(
        name=masked(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_kept(span.attributes),
        events=[Event(event.name, _kept(event.attributes), event.timestamp) for event in span.events],
        kind=span.kind,
        status=Status(span.status.status_code, None if told is None else masked(told)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _kept(attributes: Any) -> dict[str, Any]:
    return {
        name: masked(value) if isinstance(value, str) else value
        for name, value in (attributes or {}).items()
        if name in KEPT
    }
