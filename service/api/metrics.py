"""What Prometheus reads."""

from fastapi import Request, Response

from service.http.routes import ServiceRoute
from service.metrics.prometheus import Metrics


def metrics_routes() -> list[ServiceRoute]:
    """Build the route of the metrics."""
    return [
        ServiceRoute(
            "/metrics",
            metrics,
            needs="key",
            tags=["probes"],
            summary="Metrics for Prometheus",
            response_class=Response,
            responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        )
    ]


def metrics(request: Request) -> Response:
    """Answer all metrics, as OpenMetrics where `Accept` asks for that and as text otherwise."""
    # On a thread: it is no function of the event loop to write thousands of lines.
    found: Metrics = request.app.state.metrics
    content, content_type = found.write(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": content_type})
