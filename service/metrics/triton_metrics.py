"""The metrics that Triton has too, under its names and with its meanings.

They are untyped: OpenMetrics wants a counter to be called `..._total`, and Triton's are not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily

from service.errors import Reason
from service.metrics.own_metrics import MODEL, labels_of
from service.repository.version import ServedModel

_FAILURE: Final = "nv_inference_request_failure"

_COUNTERS: Final[Mapping[str, tuple[str, Callable[[ServedModel], int]]]] = {
    "nv_inference_request_success": (
        "Inference requests that were answered.",
        lambda model: model.statistics.success.count,
    ),
    "nv_inference_count": (
        "Images that were classified for them.",
        lambda model: model.statistics.inferences,
    ),
    "nv_inference_exec_count": (
        "Batches of requests that the graph ran over.",
        lambda model: model.statistics.runs.count,
    ),
    "nv_inference_request_duration_us": (
        "Microseconds that answered requests took.",
        lambda model: model.statistics.success.ns // 1000,
    ),
    "nv_inference_queue_duration_us": (
        "Microseconds that requests waited for their batches.",
        lambda model: model.statistics.queue.ns // 1000,
    ),
    "nv_inference_compute_infer_duration_us": (
        "Microseconds that the graph ran, counted for every request in the batch.",
        lambda model: model.statistics.compute.ns // 1000,
    ),
}

_Failure = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]

_FAILURES: Final[Mapping[Reason, _Failure]] = {
    "full": "REJECTED",
    "expired": "REJECTED",
    "cancelled": "CANCELED",
    "failed": "BACKEND",
    "down": "BACKEND",
}


def of_models(models: Sequence[ServedModel]) -> Iterator[Metric]:
    """Write what each version that is served has counted."""
    for name, (text, read) in _COUNTERS.items():
        counters = UnknownMetricFamily(name, text, labels=MODEL)
        for model in models:
            counters.add_metric(labels_of(model), read(model))
        yield counters
    yield _failures(models)
    pending = GaugeMetricFamily(
        "nv_inference_pending_request_count", "Requests that wait for a batch.", labels=MODEL
    )
    loading = GaugeMetricFamily(
        "nv_model_load_duration_secs", "Seconds that the version took to load.", labels=MODEL
    )
    for model in models:
        pending.add_metric(labels_of(model), model.session.pending)
        loading.add_metric(labels_of(model), model.load_seconds)
    yield from (pending, loading)


def _failures(models: Sequence[ServedModel]) -> Metric:
    family = UnknownMetricFamily(
        _FAILURE, "Inference requests that were refused.", labels=(*MODEL, "reason")
    )
    for model in models:
        counts: dict[_Failure, int] = dict.fromkeys(("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0)
        for reason, refused in list(model.statistics.refusals.items()):
            counts[_FAILURES.get(reason, "OTHER")] += refused.count
        for kind, count in counts.items():
            family.add_metric((*labels_of(model), kind), count)
    return family
