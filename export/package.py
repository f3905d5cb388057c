"""Packaging: a trained run becomes one version directory of a model repository, or nothing.

Everything on the card is measured here, from the file that is packaged.
"""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from audit import (
    AuditFigures,
    AuditSet,
    AuditSetInfo,
    Card,
    Classifier,
    InputSpec,
    Metric,
    NetworkSize,
    Parity,
    Progress,
    Report,
    Thresholds,
    Training,
    run_audit,
    save_audit_set,
    self_test,
)
from audit.report import ModelIdentity
from export.bake import Baked, bake
from export.graph import to_onnx
from models.checkpoint import Run
from models.networks import Network, free_parameters, multiply_adds

MAX_PARITY = 1e-5
BATCH = 64
PRECISION = "fp32"


class ParityError(ValueError):
    """The exported file does not answer what the trained network answers."""


def package(run: Run, repository: Path, name: str, progress: Progress | None = None) -> Path:
    """Export a finished run as the next version of ``name`` and return the version's directory.

    Parameters
    ----------
    run
        A finished training run; the test images that it keeps become the version's audit set.
    progress
        Called with the images audited so far and in all.

    Raises
    ------
    ParityError
        If file and network differ by more than 1e-5 in a logit of the audit set.
    ValueError
        If the run is not finished, or ``name`` is no name for a model.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} names no model; accepted are small letters, digits, '.', '_' and '-'."
        )
    network, info, kept = run.network(), run.info, run.audit_set()
    baked = bake(network)
    audit_set = AuditSet(kept.images, kept.labels)
    model = to_onnx(
        baked,
        info.network,
        {
            "name": name,
            "group": info.network.group,
            "precision": PRECISION,
            "classes": list(info.classes),
            "training_data_sha256": info.data_sha256,
            "recipe": info.recipe.model_dump(mode="json"),
        },
    ).SerializeToString()
    parity = measure_parity(network, model, audit_set.images)

    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    version = _next_version(folder)
    identity = ModelIdentity(
        name=name,
        version=version,
        sha256=hashlib.sha256(model).hexdigest(),
        group=info.network.group,
        precision=PRECISION,
    )
    source = f"the first {len(audit_set.images)} test images of {info.data_set}"
    report = _audit(model, audit_set, identity, source, progress)
    card = _card(run, baked, identity, parity, audit_set, report)

    # A folder whose name is no number is not a version: it becomes one by being renamed, whole.
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        (partial / "model.onnx").write_bytes(model)
        save_audit_set(partial / "audit.npz", audit_set)
        (partial / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        partial.chmod(0o755)
        return partial.rename(folder / str(version))
    except BaseException:
        shutil.rmtree(partial)
        raise


def measure_parity(network: Network, model: bytes, images: NDArray[np.uint8]) -> Parity:
    """Compare the logits of an ONNX file with those of the network that it was made from.

    Raises
    ------
    ParityError
        If they differ by more than 1e-5 anywhere.
    """
    classify, network = _open(model), network.eval()
    differences = []
    for batch in np.array_split(images, range(BATCH, len(images), BATCH)):
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch)).numpy()
        differences.append(np.abs(classify(batch) - expected).max())
    difference = float(np.max(differences))  # of which one that is no number makes none
    if not difference <= MAX_PARITY:
        raise ParityError(
            f"The exported file's logits differ from the trained network's by {difference:.2g}, "
            f"more than {MAX_PARITY:.0e}; nothing was packaged."
        )
    runtime = f"onnxruntime {ort.__version__}, CPUExecutionProvider"
    return Parity(max_abs_logits=difference, images=len(images), runtime=runtime)


def _open(model: bytes) -> Classifier:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run(["logits"], {"image": images})[0]
        return logits

    return classify


def _audit(
    model: bytes,
    audit_set: AuditSet,
    identity: ModelIdentity,
    source: str,
    progress: Progress | None,
) -> Report:
    # A network without a symmetry is audited as well: its card says what it lacks.
    group = "C4" if identity.group == "trivial" else identity.group
    thresholds = Thresholds()
    tested = self_test(model, _open, audit_set.images, group=group, thresholds=thresholds)
    return run_audit(
        _open(model),
        audit_set.images,
        audit_set.labels,
        group=group,
        thresholds=thresholds,
        model=identity,
        source=source,
        self_test=tested,
        progress=progress,
    )


def _card(
    run: Run,
    baked: Baked,
    identity: ModelIdentity,
    parity: Parity,
    audit_set: AuditSet,
    report: Report,
) -> Card:
    info, result, network = run.info, run.result(), run.network()
    spec = info.network
    kind = "Plain CNN" if spec.group == "trivial" else f"{spec.group}-equivariant CNN"
    return Card(
        name=identity.name,
        version=identity.version,
        description=f"{kind} of {len(spec.layers)} layers, trained on {info.data_set}.",
        group=spec.group,
        precision=identity.precision,
        classes=info.classes,
        input=InputSpec.model_validate(
            {
                "channels": spec.channels,
                "fit": {"size": spec.size, "mode": info.fit, "fill": info.fill},
            }
        ),
        sha256=identity.sha256,
        parity=parity,
        metrics={
            "test": Metric(
                error_percent=result.test_error_percent,
                count=result.test_count,
                data_set=f"{info.data_set}, test",
            )
        },
        size=NetworkSize(
            free_parameters=free_parameters(network),
            baked_parameters=free_parameters(baked),
            multiply_adds=multiply_adds(network),
        ),
        audit_set=AuditSetInfo(
            sha256=audit_set.sha256(),
            count=len(audit_set.images),
            source=report.data.source,
            licence=info.data_licence,
        ),
        audit=AuditFigures.from_report(report),
        training=Training(
            data_set=info.data_set,
            data_sha256=info.data_sha256,
            recipe=info.recipe.model_dump(mode="json"),
            seed=info.recipe.seed,
            epochs=info.recipe.epochs,
        ),
        data_licence=info.data_licence,
    )


def _next_version(folder: Path) -> int:
    versions = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]
    return max(versions, default=0) + 1
