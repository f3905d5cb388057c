"""Reads manifests by the models of KServe's package; prints what they do not know.

It runs in an environment of its own, as `tests/service/kserve_client.py` does:
``python kserve_schema.py FILE...``.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve
import yaml
from kubernetes import client

KINDS = {
    "ClusterServingRuntime": "V1alpha1ClusterServingRuntime",
    "InferenceService": "V1beta1InferenceService",
}
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def faults(kind: str, value: Any, place: str) -> Iterator[str]:
    if held := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, each in enumerate(value):
            yield from faults(held[1], each, f"{place}[{number}]")
    elif held := re.fullmatch(r"[Dd]ict[(\[]str, (.*)[)\]]", kind):
        for name, each in value.items():
            yield from faults(held[1], each, f"{place}.{name}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            yield f"{place} is no {kind}"
    elif kind != "object":
        yield from _of_a_model(kind, value, place)


def _of_a_model(kind: str, value: Any, place: str) -> Iterator[str]:
    model = (
        getattr(kserve, kind, None) or getattr(kserve.models, kind, None) or getattr(client, kind)
    )
    names = {key: name for name, key in model.attribute_map.items()}
    for key, each in value.items():
        if key not in names:
            yield f"{place} has no field {key}"
        else:
            yield from faults(model.openapi_types[names[key]], each, f"{place}.{key}")
    if isinstance(value, dict):
        known = {names[key]: each for key, each in value.items() if key in names}
        try:
            model(**known)  # which asks for what is required
        except ValueError as error:
            yield f"{place}: {error}"


found = [
    fault
    for file in sys.argv[1:]
    for each in yaml.safe_load_all(Path(file).read_text())
    for fault in faults(KINDS[each["kind"]], each, each["kind"])
]
print("\n".join(found))
sys.exit(bool(found))
