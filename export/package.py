"""Packaging: a trained run becomes the float32 version of a model, compared with its network."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from artifact.card import InputSpec, Training
from artifact.figures import Metric, NetworkSize, Parity
from audit import RefusedError
from export.bake import bake
from export.graph import to_onnx
from export.publish import Candidate, Progress, check_place, publish
from export.runtime import RUNTIME, batches, open_model
from models.checkpoint import Run
from models.networks import Network, NetworkSpec, free_parameters, multiply_adds

MAX_PARITY = 1e-5


class ParityError(RefusedError):
    """The exported file does not answer what the trained network answers."""


def package(run: Run, repository: Path, name: str, progress: Progress = lambda *_: None) -> Path:
    """Export a finished run as the next version of ``name`` and return the version's directory.

    Parameters
    ----------
    run
        A finished training run; the test images that it keeps become the version's audit set.
    progress
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    ParityError
        If file and network differ by more than 1e-5 in a logit of the audit set.
    ValueError
        If the run is not finished, or ``name`` is no name for a model.
    """
    check_place(repository, name)
    outcome, info = run.outcome(), run.info
    network, result, kept = outcome.network, outcome.result, outcome.audit_set
    baked, spec = bake(network), run.info.network
    _check_shape(kept.images.shape[1:], spec)
    metadata = {
        "name": name,
        "group": spec.group,
        "precision": "fp32",
        "classes": list(info.classes),
        "training_data_sha256": info.data_sha256,
        "recipe": info.provenance(),
    }
    model = to_onnx(baked, spec, metadata).SerializeToString()
    kind = "Plain CNN" if spec.group == "trivial" else f"{spec.group}-equivariant CNN"
    candidate = Candidate(
        name=name,
        model=model,
        description=f"{kind} of {len(spec.layers)} layers, trained on {info.data_set}.",
        group=spec.group,
        precision="fp32",
        classes=info.classes,
        input=InputSpec.model_validate(
            {
                "channels": spec.channels,
                "fit": {"size": spec.size, "mode": info.fit, "fill": info.fill},
                "white_level": info.white_level,
            }
        ),
        audit_set=AuditSet(kept.images, kept.labels, kept.groups),
        audit_source=f"the first {len(kept)} test images of {info.data_set}",
        data_licence=info.data_licence,
        size=NetworkSize(
            free_parameters=free_parameters(network),
            baked_parameters=free_parameters(baked),
            multiply_adds=multiply_adds(network),
        ),
        parity=measure_parity(network, model, kept.images),
        metrics={
            "test": Metric(
                error_percent=result.test_error_percent,
                count=result.test_count,
                data_set=f"{info.data_set}, test",
            )
        },
        training=Training(
            data_set=info.data_set,
            data_sha256=info.data_sha256,
            recipe=info.provenance(),
            seed=info.recipe.seed,
            epochs=info.recipe.epochs,
        ),
    )
    return publish(candidate, repository, progress)


def _check_shape(shape: tuple[int, ...], spec: NetworkSpec) -> None:
    taken = (spec.channels, spec.size, spec.size)
    if shape != taken:
        raise RefusedError(
            f"The run's audit set has images of shape {list(shape)}, and its network takes "
            f"{list(taken)}; the two are not of one run."
        )


def measure_parity(network: Network, model: bytes, images: NDArray[np.uint8]) -> Parity:
    """Compare the logits of an ONNX file with those of the network that it was made from.

    Raises
    ------
    ParityError
        If they differ by more than 1e-5 anywhere.
    """
    classify, network = open_model(model), network.eval()
    differences = []
    for batch in batches(images):
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch)).numpy()
        differences.append(np.abs(classify(batch) - expected).max())
    difference = float(np.max(differences))  # of which one that is no number makes none
    if not difference <= MAX_PARITY:
        raise ParityError(
            f"The exported file's logits differ from the trained network's by {difference:.2g}, "
            f"more than {MAX_PARITY:.0e}; nothing was packaged."
        )
    return Parity(max_abs_logits=difference, images=len(images), runtime=RUNTIME)
