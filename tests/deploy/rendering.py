"""The chart as Helm renders it, and plain manifests as Kubernetes reads them."""

import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HELM = ROOT / "deploy" / "helm"
CHART = HELM / "orbitserve"

pytest.importorskip("helm_python", reason="helm-python-sdk has no wheel for this machine")
RENDER = runpy.run_path(str(HELM / "render.py"))


def rendered(release: str = "orbitserve", **values: Any) -> list[dict[str, Any]]:
    """Render the chart with these values; return its objects."""
    return [each for text in RENDER["rendered"](values, release).values() for each in parsed(text)]


def parsed(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def one(kind: str, **values: Any) -> dict[str, Any]:
    """Render the chart; return its one object of this kind."""
    (found,) = [each for each in rendered(**values) if each["kind"] == kind]
    return found


def pod(**values: Any) -> dict[str, Any]:
    """The specification of the service's pods."""
    found: dict[str, Any] = one("Deployment", **values)["spec"]["template"]["spec"]
    return found


def container(**values: Any) -> dict[str, Any]:
    (found,) = pod(**values)["containers"]
    return found


def environment(**values: Any) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container(**values)["env"]}


def leaves(values: dict[str, Any], place: str = "") -> Iterator[str]:
    """The names of all values, as `--set` writes them; one that is empty, or a list, is a leaf."""
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in ("requests", "limits"):
            yield from leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}"


@cache
def known() -> list[str]:
    return list(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
