"""Who is compared: what is installed, how it is started, and in which formats it is asked."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.serving import launchers
from benchmarks.serving.formats import (
    Format,
    base64_json,
    jpeg,
    oip_binary,
    oip_grpc,
    oip_json,
    png,
    raw,
)
from benchmarks.serving.launchers import Setting
from benchmarks.serving.server import Launch

OURS, TRITON, NAIVE = "orbitserve", "triton", "naive"
LINES, JSON_LINES = "orbitserve-lines", "orbitserve-json-lines"
WORKERS = (2, 4)


@dataclass(frozen=True)
class System:
    """One server.

    Attributes
    ----------
    name, title
        What `--systems` and the table call it.
    package
        The distribution whose version is printed.
    requirements
        What its environment holds beside onnxruntime; without any it runs in this project's own.
    formats
        From the model's name to the formats in which single images are asked about.
    launch
        How it is started.
    """

    name: str
    title: str
    package: str
    requirements: tuple[str, ...]
    formats: Callable[[str], tuple[Format, ...]]
    launch: Callable[[Setting], Launch]


def _ours(model: str) -> tuple[Format, ...]:
    return oip_binary(model), oip_grpc(model), png("/classify")


# Those that a bar compares stand beside each other, so that they are measured in a row.
SYSTEMS = (
    System(
        TRITON,
        "Triton, Python backend",
        "nvidia-pytriton",
        ("nvidia-pytriton==0.7.0",),
        lambda model: (oip_binary(model), oip_grpc(model)),
        launchers.triton,
    ),
    System(
        OURS,
        "orbitserve",
        "orbitserve",
        (),
        _ours,
        launchers.orbitserve,
    ),
    System(
        LINES,
        "orbitserve, a log line a request",
        "orbitserve",
        (),
        lambda model: (oip_binary(model),),
        partial(launchers.orbitserve, lines="console"),
    ),
    System(
        JSON_LINES,
        "orbitserve, a log line a request, as JSON",
        "orbitserve",
        (),
        lambda model: (oip_binary(model),),
        partial(launchers.orbitserve, lines="json"),
    ),
    System(
        NAIVE,
        "naive FastAPI, no batching",
        "fastapi",
        (),
        lambda model: (raw("/classify"),),
        launchers.naive,
    ),
    *(
        System(
            f"{OURS}-{count}",
            f"orbitserve, {count} workers",
            "orbitserve",
            (),
            _ours,
            partial(launchers.orbitserve, workers=count),
        )
        for count in WORKERS
    ),
    System(
        "mlserver",
        "MLServer",
        "mlserver",
        ("mlserver==1.7.1",),
        lambda model: (oip_json(model),),
        launchers.mlserver,
    ),
    System(
        "litserve",
        "LitServe",
        "litserve",
        ("litserve==0.2.19",),
        lambda model: (
            base64_json("/predict", lambda text: {"image": text}, lambda answer: [answer["label"]]),
        ),
        launchers.litserve,
    ),
    System(
        "bentoml",
        "BentoML",
        "bentoml",
        ("bentoml==1.4.40",),
        lambda model: (
            base64_json(
                "/classify",
                lambda text: {"images": [text]},
                lambda answers: [answer["label"] for answer in answers],
            ),
        ),
        launchers.bentoml,
    ),
    System(
        "ray",
        "Ray Serve, one replica",
        "ray",
        ("ray[serve]==2.60.0",),
        lambda model: (raw("/classify"),),
        launchers.ray,
    ),
)

_OF_PHOTOGRAPHS: dict[str, Callable[[str], tuple[Format, ...]]] = {
    TRITON: lambda model: (oip_binary(model),),
    OURS: lambda model: (oip_binary(model), jpeg("/classify")),
}

PHOTOGRAPH_SYSTEMS = tuple(
    replace(system, formats=_OF_PHOTOGRAPHS[system.name])
    for system in SYSTEMS
    if system.name in _OF_PHOTOGRAPHS
)
"""Who is asked about photographs; another decodes no files, and is asked about pixels."""
