"""What Prometheus reads."""

from fastapi import APIRouter, Request, Response

from service.observability.metrics import Metrics


def metrics_routes() -> APIRouter:
    """Build the route of the metrics."""
    router = APIRouter(tags=["probes"])
    router.add_api_route(
        "/metrics",
        metrics,
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    return router


def metrics(request: Request) -> Response:
    """Answer all metrics, as OpenMetrics where `Accept` asks for that and as text otherwise."""
    # On a thread: it is no function of the event loop to write thousands of lines.
    found: Metrics = request.app.state.metrics
    content, content_type = found.write(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": content_type})
