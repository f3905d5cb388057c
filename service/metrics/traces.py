"""OpenTelemetry traces of requests, where the standard environment variables ask for them.

The packages are imported then and only then. A request's spans are made of its timings once it is
answered, so that while it is handled a trace costs what the timings cost anyway.
"""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from artifact.product import bringing_extra, product_version
from service.metrics.call import Call
from service.settings import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP: Final = "http/protobuf"
_FIRST_ERROR: Final = 500


class Traces:
    """Traces of one application, from `open` to `close`; before and after, there are none."""

    def __init__(self) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def open(self, environment: Mapping[str, str] = os.environ) -> None:
        """Begin to trace, if the environment asks for it.

        Raises
        ------
        ConfigurationError
            If it asks for what is not installed or not spoken here.
        """
        endpoint = _asked(environment)
        if endpoint is None:
            return
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise ConfigurationError(
                f"{endpoint} asks for traces, and what sends them is not installed; "
                f"{bringing_extra('otel')}, OTEL_SDK_DISABLED=true does without."
            ) from None
        resource = Resource.create({SERVICE_VERSION: product_version()})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "orbitserve"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("orbitserve", product_version())

    def close(self) -> None:
        """Send what is left, waiting for it, and end."""
        if self._provider is not None:
            self._provider.shutdown()
        self._provider = self._tracer = None

    def begin(self, headers: Mapping[bytes, bytes], call: Call) -> "Trace | None":
        """Begin the trace of a request, or go on with the one that its `traceparent` names."""
        if self._tracer is None:
            return None
        return Trace(self._tracer, headers, call)


class Trace:
    """The spans of one request.

    Attributes
    ----------
    id
        Of the trace, 32 hexadecimal digits, as log lines and other services have it.
    """

    def __init__(self, tracer: "Tracer", headers: Mapping[bytes, bytes], call: Call) -> None:
        from opentelemetry.trace import SpanKind, format_trace_id
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer, self._call = tracer, call
        # Timings are on a clock that never jumps; spans want the time of day.
        self._offset = time.time_ns() - round(1e9 * time.perf_counter())
        carrier = {name.decode("latin-1"): text.decode("latin-1") for name, text in headers.items()}
        parent = TraceContextTextMapPropagator().extract(carrier)
        self._span: Span = tracer.start_span(
            "request", parent, SpanKind.SERVER, start_time=self._ns(call.timings.began)
        )
        self.id = format_trace_id(self._span.get_span_context().trace_id)

    def end(self, method: str, path: str, route: str, status: int) -> None:
        """End the span of the request, with one inside of it for each of its stages."""
        from opentelemetry.trace import StatusCode, set_span_in_context

        span, call = self._span, self._call
        if span.is_recording():
            span.update_name(f"{method} {route}".strip())
            span.set_attributes(_attributes(call, method, path, route, status))
            if status >= _FIRST_ERROR or not status:
                span.set_status(StatusCode.ERROR, call.refusal)
            inside = set_span_in_context(span)
            for name, began, seconds in call.timings.stages:
                stage = self._tracer.start_span(name, inside, start_time=self._ns(began))
                stage.end(self._ns(began + seconds))
        span.end(self._ns(call.timings.began + call.timings.total))

    def _ns(self, seconds: float) -> int:
        return self._offset + round(1e9 * seconds)


def _asked(environment: Mapping[str, str]) -> str | None:
    """Return the variable that asks for traces; refuse what it asks for if that is not here."""
    endpoint = next((name for name in _ENDPOINTS if environment.get(name)), None)
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or endpoint is None or exporter == "none":
        return None
    if exporter != "otlp":
        raise ConfigurationError(
            f"OTEL_TRACES_EXPORTER is '{exporter}'; otlp and none are accepted."
        )
    for name in _PROTOCOLS:
        protocol = environment.get(name)
        if protocol:
            if protocol != _HTTP:
                raise ConfigurationError(f"{name} is '{protocol}'; {_HTTP} is accepted.")
            break
    return endpoint


def _attributes(call: Call, method: str, path: str, route: str, status: int) -> dict[str, Any]:
    found = {
        "http.request.method": method,
        "http.route": route or None,
        "http.response.status_code": status or None,
        "url.path": path,
        "orbitserve.model": call.model,
        "orbitserve.version": call.version,
        "orbitserve.images": call.rows,
        "orbitserve.key": call.key,
        "error.type": call.refusal,
    }
    return {name: value for name, value in found.items() if value is not None}
