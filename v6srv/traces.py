"""Spans of OpenTelemetry, for those who collect traces. Off unless the settings name a collector.

Nothing of OpenTelemetry is imported before `configure`, and until then each call here is one
comparison. A span says which route, socket event or decision it was and how it ended: no name, no
address, no id of a row, no text that somebody sent.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from v6srv import problems

_tracer: Any = None

_PROBLEM = "traces"
_NOT_SENT = "traces are not sent: their collector does not answer, or refuses them"
_TIMEOUT_S = 3
_WAIT_MS = 1_000
"""A span waits so long for others at most."""


def configure(endpoint: str, sample: float, version: str) -> None:
    """Send spans to the OTLP/HTTP address of a collector from now on.

    `sample`: which part of the requests, 0 to 1; less if who asks says that it takes none.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    class Exporter(OTLPSpanExporter):
        def export(self, spans: "Any | list[ReadableSpan]") -> SpanExportResult:
            done = super().export(spans)
            if done is SpanExportResult.SUCCESS:
                problems.end(_PROBLEM)
            else:
                problems.begin(_PROBLEM, _NOT_SENT)
            return done

    global _tracer
    part = TraceIdRatioBased(sample)
    named: dict[str, str | int] = {
        "service.name": "v6srv",
        "service.version": version,
        "process.pid": os.getpid(),
    }
    provider = TracerProvider(
        sampler=ParentBased(part, remote_parent_sampled=part), resource=Resource.create(named)
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            Exporter(endpoint=endpoint, timeout=_TIMEOUT_S), schedule_delay_millis=_WAIT_MS
        )
    )
    _tracer = provider.get_tracer("v6srv", version)


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Something that the server does for somebody. What is decided inside belongs to it.

    `headers` of the request may name a span of the caller that this one belongs to. None where
    there are no traces.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    outer = TraceContextTextMapPropagator().extract(headers or {})
    with _tracer.start_as_current_span(
        name,
        outer,
        SpanKind.SERVER,
        record_exception=False,  # its text may hold anything
        set_status_on_exception=False,
    ) as begun:
        yield begun


def answered(begun: Any, method: str, route: str, status: int) -> None:
    """Name the span of a request by what it was about."""
    if begun is not None:
        begun.update_name(f"{method} {route}")
        begun.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
            }
        )
        if status >= 500:
            failed(begun)


def failed(begun: Any) -> None:
    """Mark a span as one that the server is to blame for."""
    if begun is not None:
        from opentelemetry.trace import StatusCode

        begun.set_status(StatusCode.ERROR)


def decision(resource: str, operation: str, effect: str, policy: str) -> None:
    """Note a decision of this version of the policy in the span that it was made for."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        said = {"resource": resource, "operation": operation, "effect": effect, "policy": policy}
        get_current_span().add_event("decision", said)
