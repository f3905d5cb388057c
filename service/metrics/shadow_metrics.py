"""What shadow audits have found, `orbitserve_shadow_...`, of the versions that have a shadow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.metrics.own_metrics import MODEL, labels_of
from service.repository.version import ServedModel
from service.shadow import Shadow

_GAUGES: Final[Mapping[str, tuple[str, Callable[[Shadow], float]]]] = {
    "orbitserve_shadow_share": (
        "The part of the classified images that is chosen.",
        lambda shadow: shadow.share,
    ),
    "orbitserve_shadow_largest_deviation": (
        "The largest change of a logit, relative to the largest logit.",
        lambda shadow: shadow.tally.largest_deviation,
    ),
    "orbitserve_shadow_last_trial_timestamp_seconds": (
        "When the last trial was, in seconds since 1970; 0 if there was none.",
        lambda shadow: shadow.tally.last_trial,
    ),
}

_COUNTERS: Final[Mapping[str, tuple[str, Callable[[Shadow], int]]]] = {
    "orbitserve_shadow_trials": (
        "Images that were rotated and classified again.",
        lambda shadow: shadow.tally.trials,
    ),
    "orbitserve_shadow_disagreements": (
        "Those that got another label.",
        lambda shadow: shadow.tally.disagreements,
    ),
    "orbitserve_shadow_deviations": (
        "Those of which a logit moved by more than the tolerance of the model's precision.",
        lambda shadow: shadow.tally.deviations,
    ),
    "orbitserve_shadow_unrecorded": (
        "Findings that could not be logged or kept.",
        lambda shadow: shadow.tally.unrecorded,
    ),
}


def of_models(models: Sequence[ServedModel]) -> Iterator[Metric]:
    """Write what each version with a shadow has counted since it was loaded."""
    shadows = [(model, model.shadow) for model in models if model.shadow is not None]
    for name, (text, read) in _GAUGES.items():
        gauges = GaugeMetricFamily(name, text, labels=MODEL)
        for model, shadow in shadows:
            gauges.add_metric(labels_of(model), read(shadow))
        yield gauges
    for name, (text, counter) in _COUNTERS.items():
        counters = CounterMetricFamily(name, text, labels=MODEL)
        for model, shadow in shadows:
            counters.add_metric(labels_of(model), counter(shadow))
        yield counters
    yield from _agreement(shadows)
    yield _dropped(shadows)
    yield _seconds(shadows)


_Shadows = Sequence[tuple[ServedModel, Shadow]]


def _agreement(shadows: _Shadows) -> Iterator[Metric]:
    low = GaugeMetricFamily(
        "orbitserve_shadow_agreement_lower",
        "Lower bound of the part of all trials that agree, at 95 % confidence at all times.",
        labels=MODEL,
    )
    high = GaugeMetricFamily(
        "orbitserve_shadow_agreement_upper",
        "Upper bound of it; below the lower one once that part has changed.",
        labels=MODEL,
    )
    for model, shadow in shadows:
        interval = shadow.tally.agreement()
        low.add_metric(labels_of(model), interval.low)
        high.add_metric(labels_of(model), interval.high)
    yield from (low, high)


def _dropped(shadows: _Shadows) -> Metric:
    family = CounterMetricFamily(
        "orbitserve_shadow_dropped",
        "Images that were chosen and not tried, by reason.",
        labels=(*MODEL, "reason"),
    )
    for model, shadow in shadows:
        for reason, count in shadow.tally.dropped.items():
            family.add_metric((*labels_of(model), reason), count)
    return family


def _seconds(shadows: _Shadows) -> Metric:
    family = CounterMetricFamily(
        "orbitserve_shadow_seconds",
        "How long the engine's thread was busy with trials.",
        labels=MODEL,
    )
    for model, _ in shadows:
        family.add_metric(labels_of(model), model.statistics.shadowed.ns / 1e9)
    return family
