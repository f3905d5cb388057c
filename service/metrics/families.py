"""The metrics of several processes as one: counts add up, and of states the worst is told."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.samples import Sample

_ADDED_TYPES: Final = frozenset({"counter", "histogram", "unknown"})

ADDED: Final = frozenset(
    {
        "nv_inference_pending_request_count",
        "orbitserve_waiting_images",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
)
"""Gauges of what the processes have together."""

LEAST: Final = frozenset(
    {
        "orbitserve_model_ready",
        "orbitserve_shadow_agreement_upper",
        "process_max_fds",
        "process_start_time_seconds",
    }
)
"""Gauges of which the smallest tells most; of all others the largest does."""


class Family(Struct, array_like=True):
    """A metric with its samples, each by its name and its labels in the order of their names."""

    name: str
    type: str
    documentation: str
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]


Snapshot = list[Family]


_DECODER: Final = msgspec.msgpack.Decoder(Snapshot)


def written(snapshot: Snapshot) -> bytes:
    """Write a snapshot for another process."""
    return msgspec.msgpack.encode(snapshot)


def read(content: bytes) -> Snapshot:
    """Read what `written` wrote; nothing where nothing was."""
    return _DECODER.decode(content) if content else []


def restarts(count: int) -> Metric:
    """Tell how often a worker was started again."""
    text = "How often a worker that had died was started again."
    return CounterMetricFamily("orbitserve_worker_restarts", text, value=count)


def snapshot_of(metrics: Iterable[Metric]) -> Snapshot:
    """Take metrics as they stand."""
    return [
        Family(
            each.name,
            each.type,
            each.documentation,
            {
                (sample.name, tuple(sample.labels.items())): float(sample.value)
                for sample in each.samples
            },
        )
        for each in metrics
    ]


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Join the metrics of several processes, each series once."""
    found: dict[str, Family] = {}
    for family in (family for snapshot in snapshots for family in snapshot):
        if family.name not in found:
            found[family.name] = Family(
                family.name, family.type, family.documentation, dict(family.samples)
            )
            continue
        samples, join = found[family.name].samples, _joined_by(family)
        for key, value in family.samples.items():
            samples[key] = join((samples[key], value)) if key in samples else value
    return list(found.values())


def lasting(snapshot: Snapshot) -> Snapshot:
    """Return what stays counted when the process that counted it is gone."""
    return [each for each in snapshot if each.type in _ADDED_TYPES]


def models_in(snapshots: Iterable[Snapshot]) -> set[tuple[str, str]]:
    """Return the versions, by name and number, that series are about."""
    return {
        which
        for snapshot in snapshots
        for family in snapshot
        for _, labels in family.samples
        if (which := _model(labels)) is not None
    }


def without_models(snapshot: Snapshot, there: set[tuple[str, str]]) -> Snapshot:
    """Leave out the series of versions other than these, which are no longer served."""
    return [
        Family(
            each.name,
            each.type,
            each.documentation,
            {
                key: value
                for key, value in each.samples.items()
                if (which := _model(key[1])) is None or which in there
            },
        )
        for each in snapshot
    ]


class Families:
    """What an encoder of Prometheus takes for a registry."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for family in self._snapshot:
            metric = Metric(family.name, family.documentation, family.type)
            metric.samples = [
                Sample(name, dict(labels), value)
                for (name, labels), value in family.samples.items()
            ]
            yield metric


def _joined_by(family: Family) -> Callable[[Sequence[float]], float]:
    if family.type in _ADDED_TYPES or family.name in ADDED:
        return sum
    return min if family.name in LEAST else max


def _model(labels: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    said = dict(labels)
    name = said.get("model")
    return (name, said.get("version", "")) if name else None
