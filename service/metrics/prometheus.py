"""Prometheus: what is counted elsewhere, written out when it is asked for.

Nothing is counted here but calls that no model counts. So a model's series cost its requests
nothing, and are gone when it is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.errors import Reason
from service.metrics import families, own_metrics, shadow_metrics, triton_metrics
from service.repository.registry import Repository
from service.repository.version import ServedModel

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.repository: Repository | None = None
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.grpc_calls = Counter({("ModelInfer", "OK"): 0})  # there from the start
        self.refusals: Counter[Reason] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Service(self))
        ProcessCollector(registry=self._registry)

    def called(self, method: str, route: str, status: int) -> None:
        """Count a call.

        Parameters
        ----------
        route
            The template of its path; empty where no route took it.
        status
            Of its answer; 0 if there was none.
        """
        # Clients choose the method, and each value of a label is kept for ever.
        self.calls[method if method in _METHODS else "other", route, str(status)] += 1

    def called_by_grpc(self, method: str, code: str) -> None:
        """Count a call of a gRPC method that the service has, by the code it ended with."""
        self.grpc_calls[method, code] += 1

    def refused(self, reason: Reason) -> None:
        """Count a call that was refused and that no model counts."""
        self.refusals[reason] += 1

    @property
    def progress(self) -> int:
        """How many calls were counted."""
        return self.calls.total() + self.grpc_calls.total()

    def snapshot(self) -> bytes:
        """Write all metrics for `write` in another process."""
        return families.written(families.snapshot_of(self._registry.collect()))

    def write(self, accept: str, snapshots: Sequence[bytes] = ()) -> tuple[bytes, str]:
        """Write all metrics in the format that an `Accept` header names, and name it.

        Parameters
        ----------
        snapshots
            Those of all workers, where there are several.
        """
        encode, content_type = choose_encoder(accept)
        if not snapshots:
            return encode(self._registry), content_type
        joined = families.merged(map(families.read, snapshots))
        return encode(families.Families(joined)), content_type


class _Service(Collector):
    """All that the service itself has to tell."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Read every counter as it stands."""
        yield _counted(
            "orbitserve_http_requests",
            "HTTP calls by the status of their answers; 0 where the client hung up before.",
            ("method", "route", "status"),
            self._metrics.calls,
        )
        yield _counted(
            "orbitserve_grpc_requests",
            "gRPC calls by the code that they ended with.",
            ("method", "code"),
            self._metrics.grpc_calls,
        )
        yield families.restarts(0)  # by the supervisor of several workers it is told
        models: list[ServedModel] = []
        repository = self._metrics.repository
        if repository is not None:
            versions = [each for found in repository.models.values() for each in found.values()]
            models = [each for each in versions if isinstance(each, ServedModel)]
            yield from own_metrics.of_repository(repository)
        yield own_metrics.rejections(models, self._metrics.refusals)
        yield from own_metrics.of_models(models)
        yield from shadow_metrics.of_models(models)
        yield from triton_metrics.of_models(models)


Labels = TypeVar("Labels", bound=tuple[str, ...])


def _counted(
    name: str, documentation: str, labels: Sequence[str], counts: Mapping[Labels, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in list(counts.items()):
        family.add_metric(values, count)
    return family
