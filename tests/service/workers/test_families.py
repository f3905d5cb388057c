"""The metrics of several processes, joined."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from service.metrics import families
from tests.service.observability.scrape import Scrape

pytestmark = pytest.mark.anyio

# What of each process's gauges holds for the service where the largest does.
WORST = {
    "nv_model_load_duration_secs",
    "orbitserve_model_failed",
    "orbitserve_model_unshown_claims",
    "orbitserve_shadow_agreement_lower",
    "orbitserve_shadow_largest_deviation",
    "orbitserve_shadow_last_trial_timestamp_seconds",
    "orbitserve_shadow_share",
}


def snapshot(answered: int, waiting: int, ready: int, model: str = "m") -> families.Snapshot:
    label = {"labels": ["model", "version"]}
    of = [model, "1"]
    counter = CounterMetricFamily("orbitserve_audit_images", "-", **label)
    counter.add_metric(of, answered)
    queue = GaugeMetricFamily("orbitserve_waiting_images", "-", **label)
    queue.add_metric(of, waiting)
    state = GaugeMetricFamily("orbitserve_model_ready", "-", **label)
    state.add_metric(of, ready)
    seconds = HistogramMetricFamily("orbitserve_queue_seconds", "-", **label)
    seconds.add_metric(of, [("0.1", answered), ("+Inf", 2 * answered)], answered / 10)
    calls = CounterMetricFamily("orbitserve_http_requests", "-", labels=["route"])
    calls.add_metric(["/"], answered)
    # As it comes from another process.
    found = families.snapshot_of([counter, queue, state, seconds, calls])
    return families.read(families.written(found))


def values(snapshot: families.Snapshot, name: str) -> list[float]:
    return [
        value for each in snapshot for (sample, _), value in each.samples.items() if sample == name
    ]


def test_counts_and_queues_add_up_and_states_do_not() -> None:
    joined = families.merged([snapshot(3, 5, 1), snapshot(4, 7, 0)])
    assert values(joined, "orbitserve_audit_images_total") == [7]
    assert values(joined, "orbitserve_waiting_images") == [12]
    assert values(joined, "orbitserve_model_ready") == [0]
    assert values(joined, "orbitserve_queue_seconds_bucket") == [7, 14]
    assert values(joined, "orbitserve_queue_seconds_sum") == pytest.approx([0.7])
    assert values(families.merged([snapshot(1, 0, 1)] * 2), "orbitserve_model_ready") == [1]


def test_what_a_process_counted_outlives_it_and_its_states_do_not() -> None:
    kept = families.lasting(snapshot(3, 5, 0))
    joined = families.merged([kept, snapshot(4, 7, 1)])
    assert values(joined, "orbitserve_audit_images_total") == [7]
    assert values(joined, "orbitserve_waiting_images") == [7]
    assert values(joined, "orbitserve_model_ready") == [1]


def test_the_series_of_a_model_that_nobody_serves_go_with_it() -> None:
    kept = families.lasting(snapshot(3, 5, 1, model="old"))
    there = families.models_in([snapshot(1, 1, 1)])
    left = families.without_models(kept, there)
    assert there == {("m", "1")}
    assert values(left, "orbitserve_audit_images_total") == []
    assert values(left, "orbitserve_http_requests_total") == [3]


def test_joining_leaves_what_is_joined_alone() -> None:
    one = snapshot(3, 5, 1)
    families.merged([one, snapshot(4, 7, 0)])
    assert one == snapshot(3, 5, 1)


async def test_what_one_process_tells_comes_back_as_it_was(
    open_client: Any, repository: Any, images: Any
) -> None:
    """Every series in either format, and of each gauge it is said how it is joined."""
    async with open_client(repository, shadow_share=1.0) as client:
        metrics = client._transport.app.state.metrics
        registry: CollectorRegistry = metrics._registry
        found = families.snapshot_of(registry.collect())
    content = families.written(found)
    for accept in ("", "application/openmetrics-text"):
        text = metrics.write(accept, [content])[0].decode()
        assert len(text) > 1000
    scraped = Scrape(metrics.write("", [content])[0].decode())
    assert scraped.types == Scrape(metrics.write("")[0].decode()).types
    gauges = {each.name for each in found if each.type == "gauge"}
    assert gauges == families.ADDED | families.LEAST | WORST
