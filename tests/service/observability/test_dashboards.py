"""The dashboard and the alerts speak of metrics that a running service exports."""

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.service.observability.scrape import Scrape, scrape
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio

DEPLOY = Path(__file__).parents[3] / "deploy"
ALERTS = [DEPLOY / "prometheus" / name for name in ("alerts.yml", "shadow.yml")]
DASHBOARD = DEPLOY / "grafana" / "orbitserve.json"

_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?")
_BY = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_FUNCTIONS = {
    *("rate", "increase", "sum", "count", "vector", "histogram_quantile", "label_values"),
    *("or", "and", "unless", "by"),
}


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that a PromQL query selects, with the labels that it asks them for.

    Labels of groupings are asked of all of them.
    """
    grouped = {label.strip() for found in _BY.findall(query) for label in found.split(",")}
    bare = _BY.sub("", query)
    bare = re.sub(r"label_values\((\w+), \w+\)", r"\1", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    for name, braces in _SELECTOR.findall(bare):
        if name not in _FUNCTIONS:
            yield name, grouped | set(_LABEL.findall(re.sub(r'"[^"]*"', '""', braces)))


def dashboard_queries(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str) and value != "prometheus":
                yield value
            else:
                yield from dashboard_queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from dashboard_queries(value)


QUERIES = [
    *dashboard_queries(json.loads(DASHBOARD.read_text())),
    *(
        rule["expr"]
        for file in ALERTS
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ),
]


def missing(query: str, found: Scrape) -> set[str]:
    """What a query asks for and no sample has; Prometheus itself adds `job` and `instance`."""
    lacking = set()
    for name, labels in selectors(query):
        having = [set(s.labels) | {"job", "instance"} for s in found.samples if s.name == name]
        if not any(labels <= each for each in having):
            lacking.add(name)
    return lacking


@pytest.fixture(scope="module")
async def exported(open_client: Any, repository: Path, images: Any) -> AsyncIterator[Scrape]:
    async with open_client(repository, shadow_share=1) as client:
        await client.post("/classify", content=npy(images[:1]), headers=NPY)
        yield await scrape(client)


def test_queries_are_found_and_read() -> None:
    assert len(QUERIES) > 20
    query = (
        'sum by (le, a) (rate(x_bucket{b=~"c=d|", e!="f"}[5m])) / rate(y[$__rate_interval]) > 0.5'
    )
    assert list(selectors(query)) == [("x_bucket", {"le", "a", "b", "e"}), ("y", {"le", "a"})]


async def test_what_is_asked_for_is_exported(exported: Scrape) -> None:
    for query in QUERIES:
        assert list(selectors(query))
        assert missing(query, exported) == set()


async def test_a_graph_that_fails_is_alerted_by_whichever_protocol_it_was_asked(
    exported: Scrape,
) -> None:
    failing = [s for s in exported.samples if s.name == "nv_inference_request_failure"]
    assert {s.labels["reason"] for s in failing} >= {"BACKEND"}
    (rule,) = [query for query in QUERIES if "nv_inference_request_failure" in query]
    assert 'reason="BACKEND"' in rule


async def test_a_wrong_name_or_label_would_be_found(exported: Scrape) -> None:
    assert missing("rate(nv_inference_counts[5m])", exported) == {"nv_inference_counts"}
    assert missing("sum by (modell) (nv_inference_count)", exported) == {"nv_inference_count"}
    assert missing('nv_inference_count{modell="a"}', exported) == {"nv_inference_count"}


async def test_every_metric_is_explained_and_every_one_explained_is_there(exported: Scrape) -> None:
    guide = (DEPLOY.parent / "docs" / "operations.md").read_text()
    explained = set(re.findall(r"`((?:nv|orbitserve)_\w+)`", guide))
    suffixes = re.compile(r"_(?:bucket|sum|count)$")
    histograms = {name for name, kind in exported.types.items() if kind == "histogram"}
    names = {
        base if (base := suffixes.sub("", name)) in histograms else name
        for name in exported.names
        if not name.startswith("process_")
    }
    assert explained == names


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert 36 <= dashboard["schemaVersion"] <= 41  # Grafana 9 to 12
    assert dashboard["uid"] and dashboard["title"]
    assert "id" not in dashboard  # it is the database's to give
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) - {"__rate_interval"}
    assert used == variables


@pytest.mark.parametrize(("file", "rules"), list(zip(ALERTS, (8, 6), strict=True)))
def test_promtool_takes_the_rules(file: Path, rules: int) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    checked = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{rules} rules found" in checked.stdout
