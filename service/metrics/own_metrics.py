"""The service's own metrics, `orbitserve_...`, read from the counters of models."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from service.errors import REASONS, Reason
from service.repository.catalogue import Unserved
from service.repository.registry import Repository
from service.repository.statistics import Histogram, Statistics
from service.repository.version import ServedModel

MODEL: Final = ("model", "version")

_SIZES: Final = tuple(float(2**power) for power in range(11))

_HISTOGRAMS: Final[Mapping[str, tuple[str, Callable[[Statistics], Histogram]]]] = {
    "orbitserve_request_seconds": (
        "From the head of an answered inference request to the end of its answer.",
        lambda counted: counted.latency,
    ),
    "orbitserve_queue_seconds": (
        "How long a request waited for its batch.",
        lambda counted: counted.waits,
    ),
    "orbitserve_inference_seconds": (
        "How long the graph ran over one batch of requests.",
        lambda counted: counted.runs,
    ),
    "orbitserve_batch_images": (
        "Images in one batch of requests.",
        lambda counted: _sizes(counted),
    ),
}

_GAUGES: Final[Mapping[str, tuple[str, Callable[[ServedModel], float]]]] = {
    "orbitserve_waiting_images": (
        "Images that wait for a batch.",
        lambda model: model.session.waiting,
    ),
    "orbitserve_model_ready": (
        "1 while the engine takes requests, 0 after a crash until it works again.",
        lambda model: model.session.ready,
    ),
    "orbitserve_model_unshown_claims": (
        "What the card claims, and proof and measurement at load did not show.",
        lambda model: len(model.verification.differences),
    ),
}

_COUNTERS: Final[Mapping[str, tuple[str, Callable[[Statistics], float]]]] = {
    "orbitserve_audit_images": (
        "Images that the graph ran over for audits, rotated ones included.",
        lambda counted: counted.audited.count,
    ),
    "orbitserve_audit_inference_seconds": (
        "How long it ran over them.",
        lambda counted: counted.audited.ns / 1e9,
    ),
}


def of_models(models: Sequence[ServedModel]) -> Iterator[Metric]:
    """Write what each version that is served has counted."""
    yield _info(models)
    for name, (text, read) in _GAUGES.items():
        gauges = GaugeMetricFamily(name, text, labels=MODEL)
        for model in models:
            gauges.add_metric(labels_of(model), read(model))
        yield gauges
    for name, (text, counter) in _COUNTERS.items():
        counters = CounterMetricFamily(name, text, labels=MODEL)
        for model in models:
            counters.add_metric(labels_of(model), counter(model.statistics))
        yield counters
    for name, (text, histogram) in _HISTOGRAMS.items():
        histograms = HistogramMetricFamily(name, text, labels=MODEL)
        for model in models:
            found = histogram(model.statistics)
            histograms.add_metric(labels_of(model), found.buckets, found.sum)
        yield histograms


def of_repository(repository: Repository) -> Iterator[Metric]:
    """Write how loading went, for every version that is in the repository."""
    served = CounterMetricFamily(
        "orbitserve_model_loads", "How often the version was loaded.", labels=MODEL
    )
    refused = CounterMetricFamily(
        "orbitserve_model_load_failures", "How often it was refused.", labels=MODEL
    )
    failed = GaugeMetricFamily(
        "orbitserve_model_failed",
        "1 while the version is not served because it failed to load.",
        labels=MODEL,
    )
    for name, versions in repository.models.items():
        for number, found in versions.items():
            labels = (name, str(number))
            if loads := repository.loads.get((name, number)):
                served.add_metric(labels, loads.served)
                refused.add_metric(labels, loads.refused)
            failed.add_metric(labels, isinstance(found, Unserved) and found.reason is not None)
    yield from (served, refused, failed)


def rejections(models: Sequence[ServedModel], others: Counter[Reason]) -> Metric:
    """Write how often requests were refused, also those that no model counts."""
    family = CounterMetricFamily(
        "orbitserve_rejections",
        "Requests that were refused, by reason; without a model where none was asked to infer.",
        labels=(*MODEL, "reason"),
    )
    for model in models:
        refusals = model.statistics.refusals
        for reason in REASONS:
            count = refusals[reason].count if reason in refusals else 0
            family.add_metric((*labels_of(model), reason), count)
    for reason in REASONS:
        family.add_metric(("", "", reason), others[reason])
    return family


def labels_of(model: ServedModel) -> tuple[str, str]:
    """Return the values of the labels `model` and `version`."""
    return model.card.name, str(model.card.version)


def _info(models: Sequence[ServedModel]) -> Metric:
    family = InfoMetricFamily(
        "orbitserve_model", "What each version is, and what was shown of it at load.", labels=MODEL
    )
    for model in models:
        exactness = model.verification.exactness
        family.add_metric(
            labels_of(model),
            {
                "digest": model.identity["digest"],
                "group": model.card.group,
                "precision": model.card.precision,
                "device": model.session.graph.configuration.device,
                "proof": _outcome(model),
                "exact": str(exactness.exact).lower() if exactness else "not tried",
            },
        )
    return family


def _outcome(model: ServedModel) -> str:
    found = model.verification
    if found.proof is not None:
        return found.proof.outcome
    return "not tried" if found.unproved is None else "not finished"


def _sizes(counted: Statistics) -> Histogram:
    found = Histogram(_SIZES)
    for size, runs in counted.batches.copy().items():
        found.observe(size, runs.count)
    return found
