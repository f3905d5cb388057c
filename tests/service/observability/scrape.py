"""Reading metrics as Prometheus does."""

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """All samples of one scrape."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.types = {family.name: family.type for family in families}
        self.samples = [sample for family in families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def __call__(self, name: str, **labels: Any) -> float:
        """The sum of the samples of a name that have these labels."""
        wanted = {label: str(value) for label, value in labels.items()}.items()
        found = [s.value for s in self.samples if s.name == name and wanted <= s.labels.items()]
        return sum(found)

    def labels(self, name: str, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if sample.name == name}


async def scrape(client: httpx.AsyncClient, **options: Any) -> Scrape:
    response = await client.get("/metrics", **options)
    assert response.status_code == 200
    return Scrape(response.text)
